package root

import (
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestLingeringClose: neither a program nor a client of a unix socket can make the
// broker wait for the close of a socket.
func TestLingeringClose(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	linger, other := rig.Port(t), rig.Port(t)
	sock := filepath.Join(rig.PublicDir(t), "s")
	b := rig.Serve(t, head+
		service("linger", "tcp4://127.0.0.1:"+linger, []string{program, "linger"}, "profile = profile.strict")+
		service("local", "unix:"+sock, []string{program, "unread"}, "profile = profile.line", "acl = acl.anyone")+
		service("other", "tcp4://127.0.0.1:"+other, []string{program, "once"}, "profile = profile.line"))
	// The broker may wait a little for a client's end before it closes.
	serves := func(when string) {
		t.Helper()
		for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(300 * time.Millisecond) {
			if got, err := rig.Exchange(other, ""); err != nil || got != "once\n" {
				t.Fatalf("%s the other service said %q (%v)", when, got, err)
			}
		}
	}
	deaf, err := rig.Dial(linger) // reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	if _, err := deaf.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Await(1, 10*time.Second, "msg", "session", "service", "linger", "exit", "0"); err != nil {
		t.Fatal(err)
	}
	serves("beside a program's lingering socket")
	for i := range 2 {
		sendLingering(t, sock)
		if _, err := b.Await(i+1, 10*time.Second, "msg", "session", "service", "local"); err != nil {
			t.Fatal(err)
		}
		serves("beside a client's lingering socket")
	}
	began := time.Now()
	b.Stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the broker took %v to stop", took)
	}
}

// sendLingering sends the last descriptor of a socket that lingers to a service that
// does not read it.
func sendLingering(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	fd := int(file.Fd())
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 600}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = unix.Sendto(fd, make([]byte, 64<<10), unix.MSG_DONTWAIT, nil)
	}
	u, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	_, _, err = u.(*net.UnixConn).WriteMsgUnix([]byte("x"), unix.UnixRights(fd), nil)
	if errors.Is(err, unix.EPERM) { // the kernel keeps it out: nobody waits but who closes it here
		peer.Close()
	} else if err != nil {
		t.Fatal(err)
	}
	file.Close()
}
