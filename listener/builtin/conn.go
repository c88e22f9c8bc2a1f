package builtin

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"
	"casemate/listener/journal"
)

const (
	// writeStall ends a session whose client takes nothing for so long: see taking.
	writeStall = 30 * time.Second
	// lastWords is how long a client may take to close after the last byte.
	lastWords = 2 * time.Second
	// maxDrain is how much a client may still send meanwhile.
	maxDrain = 1 << 20
)

// stream is what net.TCPConn and net.UnixConn have in common.
type stream interface {
	net.Conn
	CloseWrite() error
}

// conn is a client's connection under a session limit: reads end with the
// session, writes end with it or when the client stalls.
type conn struct {
	stream
	client  client
	shunned atomic.Pointer[string] // why it was ended, nil where it was not
	ends    time.Time              // the session limit; zero = none
	watch   *watch                 // nil for none
	until   time.Time              // the deadline of writes
	taken   taking
}

// taking is how much a client, one of tcp, had taken as that was asked last. The kernel has no room for more before a third of what
// waits is taken, which of some MB can last longer than we are patient: so who has taken anything is none that takes nothing.
type taking uint64

func (t *taking) more(now inbound.Talk) bool {
	was := uint64(*t)
	*t = taking(now.Taken)
	return now.Taken > was
}

// newConn starts the session's clocks.
func newConn(s stream, now time.Time, l *limit.Spec, idle time.Duration) (*conn, error) {
	c := &conn{stream: s, watch: watched(s, now, l, idle)}
	if l.Session > 0 {
		c.ends = now.Add(l.Session)
	}
	return c, s.SetReadDeadline(c.ends)
}

// Write writes all of b (a few KiB), or fails when the session ends or the client
// has taken nothing within writeStall, or a quarter more. One goroutine at a time writes.
func (c *conn) Write(b []byte) (n int, err error) {
	// Setting a timer costs as much as a small write, so it is set for some writes at once.
	if now := time.Now(); now.Add(writeStall).After(c.until) && (c.ends.IsZero() || c.until.Before(c.ends)) {
		c.takes()
		if err := c.patient(now.Add(writeStall * 5 / 4)); err != nil {
			return 0, err
		}
	}
	for {
		more, err := c.stream.Write(b[n:])
		n += more
		now := time.Now()
		if !errors.Is(err, os.ErrDeadlineExceeded) || !c.ends.IsZero() && !now.Before(c.ends) || !c.takes() {
			return n, err
		}
		if err := c.patient(now.Add(writeStall)); err != nil {
			return n, err
		}
	}
}

// patient has writes end then, or with the session.
func (c *conn) patient(until time.Time) error {
	if c.until = until; !c.ends.IsZero() && c.ends.Before(until) {
		c.until = c.ends
	}
	return c.SetWriteDeadline(c.until)
}

func (c *conn) takes() bool {
	var now inbound.Talk // of one that is not of tcp nothing is known
	overheard(c.stream, func(_ int, t inbound.Talk) { now = t })
	return c.taken.more(now)
}

// errLong is a line that does not end.
var errLong = errors.New("the line is too long")

// line reads one line of at most most bytes, without its end, and not one byte behind it: what
// follows may be for another. The client has d for all of it, at whatever pace it comes.
func (c *conn) line(most int, d time.Duration) ([]byte, error) {
	until := time.Now().Add(d)
	if !c.ends.IsZero() && c.ends.Before(until) {
		until = c.ends
	}
	if err := c.SetReadDeadline(until); err != nil {
		return nil, err
	}
	line := make([]byte, 0, most)
	for one := make([]byte, 1); len(line) < most; {
		if _, err := io.ReadFull(c.stream, one); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return bytes.TrimSuffix(line, []byte("\r")), c.SetReadDeadline(c.ends)
		}
		line = append(line, one[0])
	}
	return nil, errLong
}

// drain reads and forgets until the client ends or the read deadline passes.
func (c *conn) drain(buf []byte) error {
	for {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
}

// interrupt makes a read that is under way return.
func (c *conn) interrupt() { _ = c.SetReadDeadline(time.Unix(1, 0)) }

// last sends the last bytes and waits a moment for the client to close. Closing
// at once would answer what it still sends with a reset, which may overtake the
// bytes it is to get.
func (c *conn) last(b []byte) error {
	if _, err := c.Write(b); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return nil // the client is gone, and had its bytes or will not miss them
	}
	until := time.Now().Add(lastWords)
	if !c.ends.IsZero() && c.ends.Before(until) {
		until = c.ends
	}
	c.await(until)
	return nil
}

// await waits until then for the client to close: its end, our patience's and too much of it are all the same.
func (c *conn) await(until time.Time) {
	if c.SetReadDeadline(until) != nil {
		return
	}
	buf := make([]byte, 512)
	for left := maxDrain; left > 0; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}

// part prepares the close after such an end. What a client that outstayed has not taken in a moment, or one that
// takes nothing at all, would stay in the kernel for as long as it likes: it gets a reset.
func (c *conn) part(reason string) {
	due := func() uint64 {
		t, _ := c.talk()
		return t.Due()
	}
	if reason != journal.Timeout && reason != journal.Stalled || due() == 0 {
		return
	}
	if reason == journal.Timeout && c.CloseWrite() == nil {
		c.await(time.Now().Add(lastWords))
	}
	if t, tcp := c.stream.(*net.TCPConn); tcp && due() > 0 {
		_ = t.SetLinger(0)
	}
}
