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

// side is one of the two sockets. err is why its connection broke, if it did.
type side struct {
	fd  int
	err error
}

// half is one direction. It reads only while its pipe is empty: what the kernel says of
// one that holds something tells neither how much fits nor whether the socket is dry.
type half struct {
	from, to *side
	in, out  int  // ends of the pipe
	held     int  // bytes in it
	done     bool // nothing more goes this way
}

func newHalf(from, to *side) (*half, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return &half{from: from, to: to, out: p[0], in: p[1]}, nil
}

// idle tells whether the half waits for something to read.
func (h *half) idle() bool { return !h.done && h.held == 0 }

// move carries what can be carried now; readable says that the kernel has something of
// from. It never waits.
func (h *half) move(readable bool) {
	for !h.done {
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
	case errors.Is(err, unix.EAGAIN):
		return false
	case err != nil: // who is behind it is told, once all is there that came before
		h.from.err, h.done = err, true
	case n == 0:
		h.done = true
		_ = unix.Shutdown(h.to.fd, unix.SHUT_WR) // an error means that it has gone, which the other half finds
	default:
		h.held = n
	}
	return true
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
	}
	return true
}

// broke notes why nothing reaches a side any more. One that has closed as it should did
// not break.
func (s *side) broke(err error) {
	if s.err == nil && !errors.Is(err, unix.EPIPE) {
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
