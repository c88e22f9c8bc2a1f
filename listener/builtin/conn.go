package builtin

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// writeStall ends a session whose client takes nothing for so long.
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
	ends time.Time // the session limit; zero = none
}

// newConn starts the session's clock. limit 0 is no limit.
func newConn(s stream, now time.Time, limit time.Duration) (*conn, error) {
	c := &conn{stream: s}
	if limit > 0 {
		c.ends = now.Add(limit)
	}
	return c, s.SetReadDeadline(c.ends)
}

// Write writes all of b (a few KiB), or fails when the session ends or the client
// has not taken it within writeStall.
func (c *conn) Write(b []byte) (int, error) {
	until := time.Now().Add(writeStall)
	if !c.ends.IsZero() && c.ends.Before(until) {
		until = c.ends
	}
	if err := c.SetWriteDeadline(until); err != nil {
		return 0, err
	}
	return c.stream.Write(b)
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
	if err := c.SetReadDeadline(until); err != nil {
		return nil
	}
	buf := make([]byte, 512)
	for left := maxDrain; left > 0; {
		n, err := c.Read(buf)
		if err != nil {
			return nil // its end, or our patience's: both are a served client
		}
		left -= n
	}
	return nil
}
