package builtin

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// listening is a server that has one listener of tcp, and where that is.
func listening(t *testing.T, c *Config, log func(journal.Record)) (s *server, addr string) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = newServer(c, nil, []*os.File{f}, log); err != nil {
		t.Fatal(err)
	}
	return s, l.Addr().String()
}

// lateListener accepts one more client after it was told to stop: one whose
// connection the kernel handed over while the worker was deciding to end.
type lateListener struct {
	*net.TCPListener
	mu   sync.Mutex
	late net.Conn // the client's end
}

func (l *lateListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil || l.late != nil || !isDeadline(err) {
		return c, err
	}
	if err := l.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if l.late, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, err
	}
	c, err = l.TCPListener.Accept()
	if err := l.SetDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	return c, err
}

func isDeadline(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// TestClientAtTheIdleEnd: a client that is accepted between the idle decision and
// the close keeps a worker that goes on serving everybody.
func TestClientAtTheIdleEnd(t *testing.T) {
	c := config("auth")
	c.Linger = 0 // counts as a second
	s, _ := listening(t, c, func(journal.Record) {})
	l := &lateListener{TCPListener: s.listeners[0].(*net.TCPListener)}
	s.listeners[0] = l
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	var late net.Conn
	eventually(t, "the late client", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		late = l.late
		return late != nil
	})
	defer late.Close()
	query(t, late)
	next, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	next.SetDeadline(time.Now().Add(30 * time.Second))
	query(t, next)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// query has an auth answer.
func query(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Write([]byte("6191, 23\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "6191 , 23 : ERROR : HIDDEN-USER\r\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestSessionsFillTheDescriptors: what bounds a worker's sessions is its profile's
// open_files, and nothing else that no policy tells.
func TestSessionsFillTheDescriptors(t *testing.T) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		t.Fatal(err)
	}
	want := int(min(r.Cur, 1<<20)) - spareFiles
	if got := mostSessions(); got != want || got < 512 {
		t.Errorf("%d sessions with %d descriptors", got, r.Cur)
	}
}
