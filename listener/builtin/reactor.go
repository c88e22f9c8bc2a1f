package builtin

import (
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// acceptTurn is how many clients of one listener are taken before others have their turn.
const acceptTurn = 64

// reactor serves the stream clients of a prompt protocol, all of them on one goroutine: a goroutine for each, with its deadlines and
// its place among the runtime's, costs more than accepting, answering and closing together.
// All that it has belongs to its loop.
type reactor struct {
	s       *server
	loop    *loop.Loop
	doors   []*door
	live    map[*prompt]struct{}
	answers []*prompt // have got all that they get, and are not polled yet; the oldest first
	glance  loop.Timer
	from    unix.RawSockaddrAny // of who was just accepted
	buf     [chunk]byte         // of what was just read or is just written
	failed  func(error)         // a listener cannot be served any more
	ending  bool                // whoever comes now is refused
	over    chan struct{}
}

// door is one listener.
type door struct {
	r       *reactor
	fd      int
	network string         // tcp or unix
	bound   netip.AddrPort // unmapped; of tcp
	rest    loop.Timer     // while the process has no descriptors left
}

// newReactor takes the listeners' descriptors over, and begins. alone says that nothing else waits for the processor.
func newReactor(s *server, fds []int, alone bool) (r *reactor, err error) {
	r = &reactor{s: s, live: make(map[*prompt]struct{}), over: make(chan struct{})}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, fd := range fds {
		r.doors = append(r.doors, &door{r: r, fd: fd, network: "unix"})
	}
	for _, d := range r.doors {
		d.rest.Owner = loop.Func(d.open)
		if err := unix.SetNonblock(d.fd, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		if domain, err := unix.GetsockoptInt(d.fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain == unix.AF_UNIX {
			continue
		}
		d.network = "tcp"
		if d.bound, err = inbound.Local(d.fd); err != nil {
			return nil, err
		}
	}
	if r.loop, err = loop.New(); err != nil {
		return nil, err
	}
	r.loop.Failed = func(err error) { panic(err) } // a worker that has a bug is replaced
	r.loop.Shared = !alone
	r.glance.Owner = loop.Func(r.look)
	go func() {
		defer close(r.over)
		if err := r.loop.Run(); err != nil {
			panic(err) // epoll_wait fails for no reason that comes from outside
		}
	}()
	return r, nil
}

// accept begins, or ends, to take clients, and is back when that is so.
func (r *reactor) accept(on bool, failed func(error)) {
	_ = r.loop.Do(func() {
		if on {
			r.failed = failed
		}
		for _, d := range r.doors {
			if r.loop.Disarm(&d.rest); on {
				d.open()
			} else {
				r.loop.Del(d.fd)
			}
		}
	})
}

func (d *door) open() {
	if err := d.r.loop.Add(d.fd, unix.EPOLLIN, d); err != nil {
		d.r.failed(err)
	}
}

// each has the loop do something with every client, and stop is to refuse newcomers from then on.
func (r *reactor) each(stop bool, do func(*prompt)) {
	_ = r.loop.Post(func() {
		r.ending = r.ending || stop
		for p := range r.live {
			do(p)
		}
	})
}

// close gives the listeners up; whom it has accepted it serves to the end.
func (r *reactor) close() {
	for _, d := range r.doors {
		unix.Close(d.fd)
	}
	r.doors = nil
}

// end is for when nobody is left.
func (r *reactor) end() {
	_ = r.loop.Do(r.loop.End)
	<-r.over
}

// Ready takes who waits.
func (d *door) Ready(uint32) {
	r := d.r
	r.look() // who has gone makes room
	for range acceptTurn {
		fd, err := admit(d.fd, &r.from)
		switch {
		case err == nil:
			d.take(fd)
		case err == unix.EAGAIN:
			return
		case inbound.Temporary(err):
		case inbound.Exhausted(err):
			r.loop.Del(d.fd)
			r.loop.After(&d.rest, exhausted)
			return
		default:
			r.loop.Del(d.fd)
			r.failed(fmt.Errorf("accept: %w", err))
			return
		}
	}
}

// take decides about a client, and refuses or serves it.
func (d *door) take(fd int) {
	r, s := d.r, d.r.s
	w, err := d.identify(fd)
	if err != nil {
		listener.Close(fd) // the client left before it was looked at
		return
	}
	now := time.Now()
	s.idle.touch(now)
	v := s.gate.admit(&w)
	if v.refused == "" && (r.ending || len(r.live) >= s.most) {
		s.gate.release(&w, &v, "")
		if v.refused = reasonSessions; r.ending {
			inbound.Refuse(fd)
			return
		}
	}
	if v.refused != "" {
		s.records.decision(&w, &v, false, now)
		inbound.Refuse(fd)
		return
	}
	r.begin(fd, w, v, now)
}

// identify tells who is at the other end of who was just accepted, and where that came to.
func (d *door) identify(fd int) (w client, err error) {
	if w.network = d.network; d.network == "unix" {
		w.peer, err = inbound.Credentials(fd)
		return w, err
	}
	addr, zone := addressOf(unsafe.Pointer(&d.r.from))
	if !addr.IsValid() {
		return w, unix.ENOTCONN
	}
	w.peer = inbound.Peer{Addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), Zone: zoneNumber(zone)}
	if w.local = d.bound; d.bound.Addr().IsUnspecified() {
		w.local, err = inbound.Local(fd)
	}
	return w, err
}
