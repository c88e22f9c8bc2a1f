package relay

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Relay carries between client and target, two connected stream sockets, until both
// ways have ended, and leaves them open: who closes them ends the two connections. The
// end of one way is passed on and the other goes on. Where a connection breaks, what it
// said before is delivered, and then the other one is made to end in a reset too.
//
// The error is why the target's connection broke. A client may come and go as it likes.
func Relay(client, target int) error {
	p, err := Begin(client, target, false)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(target, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) // the client's is the policy's
	for !p.Over() {
		if err := p.wait(); err != nil {
			return err
		}
	}
	return p.End()
}

// Pair is a client and a target between which bytes are carried. It never waits: who has
// it waits for what it wants to be told. It is not safe for concurrent use.
type Pair struct {
	up, down *half
	moved    uint64
}

// Begin makes a Pair of two connected stream sockets, and of two pipes of its own. It makes
// the sockets ones that do not wait. They stay the caller's. With program the target is no
// server's but the end of a socket pair whose other end a program has: that one's end is an end
// however it comes, and all that it learns of a client whose connection broke is an end.
func Begin(client, target int, program bool) (*Pair, error) {
	c, t := &side{fd: client}, &side{fd: target, program: program}
	for _, s := range []*side{c, t} {
		if err := prepare(s.fd); err != nil {
			return nil, err
		}
	}
	p := new(Pair)
	var err error
	if p.up, err = newHalf(c, t, &p.moved); err != nil {
		return nil, err
	}
	if p.down, err = newHalf(t, c, &p.moved); err != nil {
		p.up.close()
		return nil, err
	}
	return p, nil
}

// Over tells whether both ways have ended.
func (p *Pair) Over() bool { return p.up.done && p.down.done }

// Moved counts the bytes that were read from or written to one of the two; it only grows.
func (p *Pair) Moved() uint64 { return p.moved }

// Finish is for a target whose program has ended: it reads nothing any more, and what it wrote
// lies in the socket already. Whoever else may hold the other end is not waited for.
func (p *Pair) Finish() {
	p.up.done, p.down.last = true, true
	p.down.move(true)
}

// End closes what Begin has made, once nothing more is to be carried. Of two that are no program's it
// waits up to a minute for what a side has to be sent before a reset. The error is why the target broke.
func (p *Pair) End() error {
	p.up.close()
	p.down.close()
	for _, h := range []*half{p.up, p.down} {
		if h.from.err != nil && !h.to.program {
			Reset(h.to.fd)
		}
	}
	return p.down.from.err
}

// prepare makes a socket one that never waits. Urgent bytes stay in their place, and
// small ones do not wait for more: who sent them has done that.
func prepare(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("set O_NONBLOCK: %w", err)
	}
	// A unix socket has no such options, and carries all the same.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_NODELAY, 1)
	return nil
}

// gone is what poll(2) says of a connection that is over both ways.
const gone = unix.POLLERR | unix.POLLHUP

// wait waits until one of the two sockets has something to do, and does it.
func (p *Pair) wait() error {
	wanted := p.Wants()
	var fds [2]unix.PollFd
	for i, h := range []*half{p.up, p.down} {
		if fds[i] = (unix.PollFd{Fd: int32(h.from.fd), Events: int16(wanted[i])}); wanted[i] < 0 {
			fds[i].Fd = -1
		}
	}
	for {
		_, err := unix.Poll(fds[:], -1)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
	}
	for i := range fds {
		p.Turn(i, int(fds[i].Revents))
	}
	return nil
}

// Turn does what can be done after the kernel has said events (of poll(2), or as well of epoll(7)) of the
// client's socket, 0, or the target's, 1.
func (p *Pair) Turn(which, events int) {
	h, back := p.up, p.down
	if which == 1 {
		h, back = back, h
	}
	if events == 0 {
		return
	}
	if h.done && events&gone != 0 && back.idle() { // nobody is there who would take what may come
		back.done = true
		if n, err := unix.GetsockoptInt(h.from.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
			h.from.broke(unix.Errno(n))
		}
		return
	}
	h.move(events&(unix.POLLIN|gone) != 0)
	back.move(false)
}

// Wants is what is to be known of the client's socket and of the target's, as events of poll(2);
// with 0 it is that one is gone, and -1 is nothing at all: one that has ended while
// the other side does not take would be said to be gone again and again.
func (p *Pair) Wants() [2]int { return [2]int{wants(p.up, p.down), wants(p.down, p.up)} }

// wants is for the socket from which h reads and to which back writes.
func wants(h, back *half) (events int) {
	if h.idle() {
		events |= unix.POLLIN
	}
	if !back.done && back.held > 0 {
		events |= unix.POLLOUT
	}
	if events == 0 && (!h.done || back.done) {
		return -1
	}
	return events
}

// Reset has the close of fd be a reset (tcp(7)), which tells its peer that it did not get
// all; what is on its way is waited for first, as long as some of it arrives.
func Reset(fd int) {
	const patience, look = time.Minute, 5 // milliseconds
	last, since := -1, time.Now()
	for time.Since(since) < patience {
		n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil || n == 0 {
			break
		}
		if n != last {
			last, since = n, time.Now()
		}
		if said, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, look); said > 0 {
			break // nobody is there
		}
	}
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a unix socket just closes
}
