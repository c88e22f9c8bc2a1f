package builtin

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// narrow is a server that runs, and a client of it whose host has little room for what it gets.
func narrow(t *testing.T, builtin string, log func(journal.Record)) (*server, net.Conn) {
	t.Helper()
	s, addr := listening(t, config(builtin), log)
	go func() { _ = s.run(t.Context()) }()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<17) })
	}}
	c, err := d.DialContext(t.Context(), "tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c
}

// TestStalledIsWhoTakesNothing: a client that takes what it gets, more slowly than the kernel has room for the next of it in our
// patience, is none that takes nothing.
func TestStalledIsWhoTakesNothing(t *testing.T) {
	s, c := narrow(t, "echo", func(journal.Record) {})
	for ; ; c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) {
		if _, err := c.Write(make([]byte, 1<<16)); err != nil {
			break // nothing of it has room any more, on either way
		}
	}
	// impatient has our patience with the client end, and tells whether it goes on.
	impatient := func() (on bool) {
		for _, r := range s.reactors.all {
			_ = r.loop.Do(func() {
				for p := range r.live {
					if p.rest == nil {
						t.Error("it took all of what it gets")
					}
					p.until = r.loop.Now()
					p.Expire(&p.timer)
					on = !p.over
				}
			})
		}
		return on
	}
	for range 3 {
		if _, err := io.ReadFull(c, make([]byte, 1<<18)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if !impatient() {
			t.Fatal("one that takes something was ended")
		}
	}
	time.Sleep(300 * time.Millisecond)
	impatient() // of the last that its host took
	if impatient() {
		t.Error("one that takes nothing goes on")
	}
}

// TestStalledIsWhoTakesNothingOfChargen: nor is such a client of a built-in that writes as long as it can.
func TestStalledIsWhoTakesNothingOfChargen(t *testing.T) {
	ended := make(chan string, 1)
	s, c := narrow(t, "chargen", func(r journal.Record) {
		if e, ok := r.(*journal.Session); ok {
			ended <- e.Reason
		}
	})
	impatient := func() (last string) { // has our patience with the client end, once nothing more has room
		time.Sleep(300 * time.Millisecond)
		s.mu.Lock()
		for c := range s.conns {
			_ = c.SetWriteDeadline(time.Now())
		}
		s.mu.Unlock()
		select {
		case last = <-ended:
		case <-time.After(300 * time.Millisecond):
		}
		return last
	}
	impatient() // of what its host took
	for range 3 {
		if _, err := io.ReadFull(c, make([]byte, 1<<18)); err != nil {
			t.Fatal(err)
		}
		if why := impatient(); why != "" {
			t.Fatalf("one that takes something was ended: %s", why)
		}
	}
	why := ""
	for i := 0; i < 3 && why == ""; i++ { // what its host took is taken
		why = impatient()
	}
	if why != journal.Stalled {
		t.Errorf("one that takes nothing ends with %q", why)
	}
}
