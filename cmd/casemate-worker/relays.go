package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"casemate/listener/loop"
	"casemate/listener/relay"
	"casemate/listener/wire"
	"casemate/listener/wire/far"

	"golang.org/x/sys/unix"
)

// stalled is how long the client of a program that has ended may take none of what that wrote.
const stalled = time.Minute

// maxOrders is how many orders are taken before what is carried has its turn.
const maxOrders = 16

// relays carries for the programs of stdio = "relay", all of them on one event loop, until the broker
// tells it to end or ends its side of their socket.
type relays struct {
	loop     *loop.Loop
	broker   int // the link: SOCK_SEQPACKET
	of       map[uint64]*carried
	buf, oob []byte
	stalled  time.Duration
	err      error
}

func runRelays(ctx context.Context, broker int) error {
	r, err := newRelays(broker)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = r.loop.Post(r.loop.End) // an error means that it has ended
	}()
	return errors.Join(r.loop.Run(), r.err)
}

func newRelays(broker int) (*relays, error) {
	l, err := loop.New()
	if err != nil {
		return nil, err
	}
	l.Failed = func(err error) { fmt.Fprintf(os.Stderr, "casemate-worker: relay: %v\n", err) }
	r := &relays{loop: l, broker: broker, of: make(map[uint64]*carried), buf: make([]byte, wire.MaxOrder+1), oob: make([]byte, unix.CmsgSpace(2*4)), stalled: stalled}
	return r, l.Add(broker, unix.EPOLLIN, r)
}

// Ready takes the broker's orders.
func (r *relays) Ready(uint32) {
	for range maxOrders {
		n, oobn, flags, _, err := unix.Recvmsg(r.broker, r.buf, r.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			r.end(fmt.Errorf("broker socket: %w", err))
			return
		case n == 0:
			r.end(nil)
			return
		}
		fds := rights(r.oob[:oobn])
		if flags&unix.MSG_CTRUNC != 0 { // no descriptor is left, and the launch that waits finds that nobody will answer
			closeAll(fds)
			continue
		}
		o, err := far.DecodeOrder(r.buf[:n], len(fds))
		if err != nil {
			closeAll(fds)
			r.end(err)
			return
		}
		r.obey(o, fds)
	}
}

func (r *relays) end(err error) {
	r.err = err
	r.loop.End()
}

func (r *relays) obey(o wire.Order, fds []int) {
	switch o.Kind {
	case wire.Carry:
		r.carry(o.ID, fds[0], fds[1])
	case wire.Over:
		if c := r.of[o.ID]; c != nil {
			c.over(o.Token != 0)
		}
	case wire.Ping:
		r.tell(wire.Report{Kind: wire.Pong, ID: o.Token})
	case wire.Last:
		r.end(nil)
	default:
		closeAll(fds)
	}
}

// tell sends a message. A broker that is gone is noticed by reading.
func (r *relays) tell(m wire.Report) { _, _ = unix.Write(r.broker, far.EncodeReport(m)) }

// rights are the descriptors that came with a message.
func rights(oob []byte) (fds []int) {
	msgs, _ := unix.ParseSocketControlMessage(oob) // the kernel's own
	for i := range msgs {
		got, _ := unix.ParseUnixRights(&msgs[i])
		fds = append(fds, got...)
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// carried is one session: its client, and our end of its program's socket pair.
type carried struct {
	r     *relays
	id    uint64
	pair  *relay.Pair
	ends  [2]end
	stall loop.Timer
	moved uint64 // as the timer saw it
}

// end is one of the two sockets in the loop.
type end struct {
	c     *carried
	which int
	fd    int
	wants int // -1: it is not in the loop
}

// carry makes a socket pair, sends the program's end of it to the launch that waits at way, and carries
// between the other one and the client. Where it cannot, way's end tells the launch.
func (r *relays) carry(id uint64, client, way int) {
	defer unix.Close(way)
	ours, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		unix.Close(client)
		return
	}
	defer unix.Close(ours[1])
	pair, err := relay.Begin(client, ours[0], true)
	if err != nil {
		closeAll([]int{client, ours[0]})
		return
	}
	for _, fd := range []int{client, ours[0]} {
		// Nobody has descriptors to send here, whose close might wait for others. An error is a tcp socket, or a kernel before 6.16.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	}
	c := &carried{r: r, id: id, pair: pair}
	c.ends, c.stall.Owner = [2]end{{c, 0, client, -1}, {c, 1, ours[0], -1}}, c
	if unix.Sendmsg(way, []byte{0}, unix.UnixRights(ours[1]), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) != nil {
		c.close()
		return
	}
	r.of[id] = c
	c.poll()
}

// Ready does what a socket has become ready for.
func (e *end) Ready(events uint32) {
	e.c.pair.Turn(e.which, int(events))
	e.c.poll()
}

// poll has the loop tell what is to be known next, or ends what is over.
func (c *carried) poll() {
	if c.pair.Over() {
		c.close()
		return
	}
	for i, wants := range c.pair.Wants() {
		var err error
		switch e := &c.ends[i]; {
		case wants == e.wants:
		case wants < 0:
			c.r.loop.Del(e.fd)
		case e.wants < 0:
			err = c.r.loop.Add(e.fd, uint32(wants), e)
		default:
			err = c.r.loop.Mod(e.fd, uint32(wants))
		}
		if c.ends[i].wants = wants; err != nil {
			c.abort()
			return
		}
	}
}

// over is told when the program has ended. What it wrote the client gets, unless that takes none of it for
// too long; with now, no more of it than it takes at once.
func (c *carried) over(now bool) {
	if c.pair.Finish(); now && !c.pair.Over() {
		c.abort()
		return
	}
	c.moved = c.pair.Moved()
	c.r.loop.After(&c.stall, c.r.stalled)
	c.poll()
}

// Expire looks whether the client takes anything.
func (c *carried) Expire(*loop.Timer) {
	if c.pair.Moved() == c.moved {
		c.abort()
		return
	}
	c.moved = c.pair.Moved()
	c.r.loop.After(&c.stall, c.r.stalled)
}

// abort ends a connection whose client does not get all, and sees that by a reset.
func (c *carried) abort() {
	_ = unix.SetsockoptLinger(c.ends[0].fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a unix socket just closes
	c.close()
}

// close lets go of a session, and tells the broker so, which has the client's socket too and closes it.
func (c *carried) close() {
	c.r.loop.Disarm(&c.stall)
	_ = c.pair.End() // of a program there is no error
	for i := range c.ends {
		c.r.loop.Del(c.ends[i].fd)
		unix.Close(c.ends[i].fd)
	}
	if c.r.of[c.id] == c {
		delete(c.r.of, c.id)
		c.r.tell(wire.Report{Kind: wire.Done, ID: c.id, Of: wire.Carry})
	}
}
