package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// client is one end of a tcp connection, and the file of the other, as the broker accepts it.
func client(t *testing.T) (*net.TCPConn, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	f, err := theirs.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); f.Close() })
	_ = ours.SetDeadline(time.Now().Add(20 * time.Second))
	return ours.(*net.TCPConn), f
}

// begun is a connection to a port, as the broker hands it over.
func begun(t *testing.T, port int) *os.File {
	t.Helper()
	fd, err := inbound.Begin(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)))
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "target")
	t.Cleanup(func() { f.Close() })
	return f
}

// TestRelayProcess: the real process carries both ways and introduces its client.
func TestRelayProcess(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, theirs := client(t)
	cmd, log := worker(t, "relay")
	cmd.Args = append(cmd.Args, "tcp://"+l.Addr().String(), "v1")
	cmd.Env, cmd.ExtraFiles = []string{"LISTEN_FDS=2"}, []*os.File{theirs, begun(t, l.Addr().(*net.TCPAddr).Port)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_ = d.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write([]byte("question"))
	_ = c.CloseWrite()
	from, to := c.LocalAddr().(*net.TCPAddr), c.RemoteAddr().(*net.TCPAddr)
	want := "PROXY TCP4 127.0.0.1 127.0.0.1 " + port(from) + " " + port(to) + "\r\nquestion"
	if got, err := io.ReadAll(d); err != nil || string(got) != want {
		t.Errorf("the target got %q, %v, want %q", got, err, want)
	}
	_, _ = d.Write([]byte("answer"))
	d.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
		t.Errorf("the client got %q, %v", got, err)
	}
	if err := finish(t, cmd); err != nil || log.Len() > 0 {
		t.Errorf("%v, %q", err, log)
	}
}

func port(a *net.TCPAddr) string { _, p, _ := net.SplitHostPort(a.String()); return p }

// TestRelayWithoutTarget: who cannot be carried on is told by a reset, and the log why; TERM
// ends a relay that waits.
func TestRelayWithoutTarget(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := begun(t, l.Addr().(*net.TCPAddr).Port)
	l.Close() // it was never accepted: a reset
	for _, tt := range []struct {
		name   string
		args   []string
		target *os.File
		says   string
	}{
		{"reset", []string{"tcp://192.0.2.1:1"}, dead, "connection reset by peer"},
		{"no socket", []string{"unix:/none"}, nil, "no such file or directory"},
		{"not handed over", []string{"tcp://192.0.2.1:1"}, nil, "was not handed over"},
		{"no such header", []string{"tcp://192.0.2.1:1", "v3"}, begun(t, listening(t)), "no version"},
	} {
		c, theirs := client(t)
		cmd, log := worker(t, "relay")
		cmd.Args = append(cmd.Args, tt.args...)
		cmd.Env, cmd.ExtraFiles = []string{"LISTEN_FDS=1"}, []*os.File{theirs}
		if tt.target != nil {
			cmd.Env, cmd.ExtraFiles = []string{"LISTEN_FDS=2"}, append(cmd.ExtraFiles, tt.target)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		theirs.Close()
		if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s: the client got %d bytes, %v", tt.name, n, err)
		}
		if err := finish(t, cmd); err == nil || !strings.Contains(log.String(), "relay: "+tt.args[0]+": ") || !strings.Contains(log.String(), tt.says) {
			t.Errorf("%s: %v, %q, want it to say %q", tt.name, err, log, tt.says)
		}
	}
	c, theirs := client(t)
	cmd, log := worker(t, "relay")
	cmd.Args = append(cmd.Args, "tcp://127.0.0.1:1")
	cmd.Env, cmd.ExtraFiles = []string{"LISTEN_FDS=2"}, []*os.File{theirs, begun(t, listening(t))}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("x"))
	for until := time.Now().Add(20 * time.Second); ; { // it has begun when it has read that
		if left, err := unix.IoctlGetInt(int(theirs.Fd()), unix.TIOCINQ); err != nil || left == 0 || time.Now().After(until) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	theirs.Close()
	_ = cmd.Process.Signal(unix.SIGTERM)
	if err := finish(t, cmd); err != nil {
		t.Errorf("TERM: %v, %q", err, log)
	}
}

// TestResetClientIsNotNobody: a client that says something and breaks off at once has an address
// that the kernel tells no more. The target must not get its bytes under a header that names nobody,
// which stands for the relay itself.
func TestResetClientIsNotNobody(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, theirs := client(t)
		if _, err := c.Write([]byte("question")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetLinger(0)
		c.Close()
		target := begun(t, l.Addr().(*net.TCPAddr).Port)
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		cmd, log := worker(t, "relay")
		cmd.Args = append(cmd.Args, "tcp://"+l.Addr().String(), version)
		cmd.Env, cmd.ExtraFiles = []string{"LISTEN_FDS=2"}, []*os.File{theirs, target}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, f := range cmd.ExtraFiles {
			f.Close()
		}
		_ = d.SetDeadline(time.Now().Add(20 * time.Second))
		if got, _ := io.ReadAll(d); len(got) > 0 {
			t.Errorf("%s: the target got %q", version, got)
		}
		if err := finish(t, cmd); err != nil || log.Len() > 0 {
			t.Errorf("%s: %v, %q", version, err, log)
		}
	}
}
