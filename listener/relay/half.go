package relay

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is how many bytes of one direction are under way at most: what a pipe holds
// that nobody has made larger (pipe(7)).
const pipeSize = 64 << 10

// side is one of the two sockets. err is why its connection broke, if it did; one that is a
// program's never does.
type side struct {
	fd      int
	err     error
	program bool
}

// half is one direction. It reads only while its pipe is empty: what the kernel says of
// one that holds something tells neither how much fits nor whether the socket is dry.
type half struct {
	from, to *side
	in, out  int  // ends of the pipe
	held     int  // bytes in it
	done     bool // nothing more goes this way
	last     bool // what from has now is all that comes
	moved    *uint64
}

func newHalf(from, to *side, moved *uint64) (*half, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return &half{from: from, to: to, out: p[0], in: p[1], moved: moved}, nil
}

func (h *half) close() {
	unix.Close(h.in)
	unix.Close(h.out)
}

// idle tells whether the half waits for something to read.
func (h *half) idle() bool { return !h.done && h.held == 0 }

// maxTurns is how many times a pipe is filled before others have their turn.
const maxTurns = 16

// move carries what can be carried now; readable says that the kernel has something of
// from. It never waits, and leaves off where there is too much of it: the kernel says so again.
func (h *half) move(readable bool) {
	for turns := 0; !h.done && turns < maxTurns; turns++ {
		if h.held == 0 && !h.take(readable) {
			return
		}
		if readable = false; h.held > 0 && !h.give() {
			return
		}
	}
}

// take fills the pipe, and tells whether there is something to go on with.
func (h *half) take(readable bool) bool {
	n, err := splice(h.from.fd, h.in, pipeSize)
	if err == unix.EAGAIN && readable || err == nil && n == 0 {
		n, err = h.copy()
	}
	switch {
	case errors.Is(err, unix.EAGAIN) && h.last:
		h.end()
	case errors.Is(err, unix.EAGAIN):
		return false
	case err != nil && h.from.program: // it ended, and left something unread
		h.end()
	case err != nil: // who is behind it is told, once all is there that came before
		h.from.err, h.done = err, true
	case n == 0:
		h.end()
	default:
		h.held = n
		*h.moved += uint64(n)
	}
	return true
}

// end passes the end on.
func (h *half) end() {
	h.done = true
	_ = unix.Shutdown(h.to.fd, unix.SHUT_WR) // an error means that it has gone, which the other half finds
}

// copy does by hand what splice does not. That stops for ever at a byte that was sent as
// urgent (tcp(7)), and calls it the end once the peer has said all; here it goes on like
// all others.
func (h *half) copy() (int, error) {
	buf := make([]byte, 4096) // as much as a pipe takes whole
	n, _, err := unix.Recvfrom(h.from.fd, buf, unix.MSG_DONTWAIT)
	if err != nil {
		time.Sleep(time.Millisecond) // the kernel says one thing and does another: not in a circle
		return 0, err
	}
	if n > 0 {
		n, err = unix.Write(h.in, buf[:n])
	}
	return n, err
}

// give empties the pipe, and tells the same. Who does not take it any more may still
// have said something, which is the other half's.
func (h *half) give() bool {
	n, err := splice(h.out, h.to.fd, h.held)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false
	case err != nil:
		h.to.broke(err)
		h.done = true
	default:
		h.held -= n
		*h.moved += uint64(n)
	}
	return true
}

// broke notes why nothing reaches a side any more. One that has closed as it should did
// not break.
func (s *side) broke(err error) {
	if s.err == nil && !s.program && !errors.Is(err, unix.EPIPE) {
		s.err = err
	}
}

// splice moves up to most bytes; 0 is the end of from.
func splice(from, to, most int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int(n), err
		}
	}
}
