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
	c, t := &side{fd: client}, &side{fd: target}
	for _, s := range []*side{c, t} {
		if err := prepare(s.fd); err != nil {
			return err
		}
	}
	_ = unix.SetsockoptInt(target, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) // the client's is the policy's
	up, err := newHalf(c, t)
	if err != nil {
		return err
	}
	down, err := newHalf(t, c)
	if err != nil {
		return err
	}
	for !up.done || !down.done {
		if err := turn(up, down); err != nil {
			return err
		}
	}
	for _, s := range []*half{up, down} {
		if s.from.err != nil {
			Reset(s.to.fd)
		}
	}
	return t.err
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

// turn waits until one of the two sockets has something to do, and does it.
func turn(up, down *half) error {
	fds := []unix.PollFd{watch(up, down), watch(down, up)}
	for {
		_, err := unix.Poll(fds, -1)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
	}
	for i, h := range []*half{up, down} {
		back := []*half{down, up}[i]
		if fds[i].Revents == 0 {
			continue
		}
		if h.done && fds[i].Revents&gone != 0 && back.idle() { // nobody is there who would take what may come
			back.done = true
			if n, err := unix.GetsockoptInt(h.from.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
				h.from.broke(unix.Errno(n))
			}
			continue
		}
		h.move(fds[i].Revents&(unix.POLLIN|gone) != 0)
		back.move(false)
	}
	return nil
}

// watch is what is to be known of the socket from which h reads and to which back
// writes. One that has ended while the other side does not take is left alone: poll
// would say so again and again.
func watch(h, back *half) unix.PollFd {
	p := unix.PollFd{Fd: int32(h.from.fd)}
	if h.idle() {
		p.Events |= unix.POLLIN
	}
	if !back.done && back.held > 0 {
		p.Events |= unix.POLLOUT
	}
	if p.Events == 0 && (!h.done || back.done) {
		p.Fd = -1
	}
	return p
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
