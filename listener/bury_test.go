package listener

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestMain plays the process of sandbox/zygote's Undertake.
func TestMain(m *testing.M) {
	if os.Args[0] == "undertaker" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func undertake(fds []int) error {
	files := []*os.File{}
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), "buried"))
	}
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"undertaker"}, ExtraFiles: files}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range files {
		f.Close()
	}
	if err == nil {
		in.Close()
		err = cmd.Wait()
	}
	return err
}

// lingering is a tcp socket whose last close waits ten minutes for its peer, which takes nothing.
func lingering(t *testing.T) (fd int, peer net.Conn) {
	t.Helper()
	// What the peer can hold is far less than what is sent, however late it comes.
	size := func(fd, option, n int) {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, n); err != nil {
			t.Fatal(err)
		}
	}
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { size(int(fd), unix.SO_RCVBUF, 4096) })
	}}
	l, err := small.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	size(fd, unix.SO_SNDBUF, 256<<10)
	to := l.Addr().(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 600}); err != nil {
		t.Fatal(err)
	}
	for full := 0; full < 10; { // nothing more goes, and nothing of it is on its way
		if err := unix.Sendto(fd, make([]byte, 64<<10), unix.MSG_DONTWAIT, nil); err == nil {
			full = 0
		} else {
			full++
			time.Sleep(20 * time.Millisecond)
		}
	}
	return fd, peer
}

// holding is a unix socket in whose queue lies the last of such a socket.
func holding(t *testing.T) (fd int, peer net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	sent, peer := lingering(t)
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(sent), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(sent)
	return pair[1], peer
}

// datagramHolding is the like with a datagram without a byte, which DropDatagram takes away.
func datagramHolding(t *testing.T) (fd int, peer net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	sent, peer := lingering(t)
	if err := unix.Sendmsg(pair[0], nil, unix.UnixRights(sent), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(sent)
	return pair[1], peer
}

const patience = 5 * time.Second

func ends(f func()) bool {
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}

// TestNobodyLingers: what a program or a client has set on a socket, or on one that it
// sent along, holds up nobody who closes it.
func TestNobodyLingers(t *testing.T) {
	kernel := refusesRights
	refusesRights = func() bool { return false } // as before Linux 6.16
	closer := Undertake
	Undertake = undertake
	defer func() { refusesRights, Undertake = kernel, closer }()
	buried := func() bool { // an undertaker being born has a copy of every descriptor for a moment
		return ends(func() {
			for busy := true; busy; time.Sleep(time.Millisecond) {
				graves.Lock()
				busy = graves.busy
				graves.Unlock()
			}
		})
	}
	for name, get := range map[string]func(*testing.T) (int, net.Conn){"a socket": lingering, "one in its queue": holding, "one in its datagrams": datagramHolding} {
		lingers := false
		for tries := 0; !lingers && tries < 5; tries++ { // on a crowded host the kernel has sent it all by chance
			fd, peer := get(t)
			lingers = !ends(func() { unix.Close(fd) }) // until its peer has gone
			peer.Close()
		}
		if !lingers {
			t.Errorf("%s: a plain close does not linger here: the test shows nothing", name)
		}
		again, _ := get(t)
		if !ends(func() { Close(again) }) {
			t.Errorf("%s: Close lingers", name)
		}
		if !buried() {
			t.Errorf("%s: the undertaker has not ended", name)
		}
	}
	for name, take := range map[string]func(int) error{
		"Recv into nothing": func(fd int) error { _, err := Recv(fd, nil); return err },
		"Recv":              func(fd int) error { _, err := Recv(fd, make([]byte, 8)); return err },
	} {
		fd, _ := datagramHolding(t)
		if !ends(func() {
			if err := take(fd); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := take(fd); err != unix.EAGAIN {
				t.Errorf("%s: %v where nothing is", name, err)
			}
		}) {
			t.Errorf("%s lingers", name)
		}
		Close(fd)
	}
	if !buried() {
		t.Error("the undertaker has not ended")
	}
}

// TestRightsAreRefused: no client can send descriptors to whom it is connected with.
func TestRightsAreRefused(t *testing.T) {
	if !refusesRights() {
		need.Kernel(t, "SO_PASSRIGHTS of Linux 6.16")
	}
	for _, network := range []string{"unix", "unixpacket", "unixgram"} {
		s, err := Open(unixSpec(network, filepath.Join(t.TempDir(), "s")))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c, err := unix.Socket(unix.AF_UNIX, kinds[s.Spec.Network].of|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		if err := unix.Connect(c, &unix.SockaddrUnix{Name: s.Spec.Path}); err != nil {
			t.Fatal(err)
		}
		send := func() error { return unix.Sendmsg(c, []byte{0}, unix.UnixRights(0), nil, unix.MSG_DONTWAIT) }
		if err := send(); err != unix.EPERM {
			t.Errorf("%s: sent with %v", network, err)
		}
		if network == "unixgram" {
			continue
		}
		conn, _, err := unix.Accept4(s.FD, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if err := send(); err != unix.EPERM {
			t.Errorf("%s: sent to the accepted socket with %v", network, err)
		}
		Close(conn)
	}
}
