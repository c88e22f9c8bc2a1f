package builtin

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// acceptTurn is how many clients of one listener are taken before others have their turn.
const acceptTurn = 64

// reactor serves stream clients of a prompt protocol, all that it has accepted on one goroutine: a goroutine for each, with its deadlines and
// its place among the runtime's, costs more than accepting, answering and closing together.
// All that it has belongs to its loop.
type reactor struct {
	s       *server
	loop    *loop.Loop
	doors   []*door
	live    map[*prompt]struct{}
	load    atomic.Int64 // of live, and of those on their way: for the other reactors
	answers []*prompt    // have got all that they get, and are not polled yet; the oldest first
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
	network string         // tcp, unix or unixpacket
	bound   netip.AddrPort // unmapped; of tcp
	rest    loop.Timer     // while the process has no descriptors left
}

// reactors share the listeners of a worker. One thread that serves all clients is what most of them wait for, while the processor that
// they came by has nothing to do: as many as hands serve half as many echoes more.
type reactors struct {
	all []*reactor
	fds []int
}

// hands is how many reactors a worker has. They, and the processors of the runtime that they hold while they wait for a moment, are no more where
// the host has more.
const hands = 4

// newReactors takes the listeners' descriptors over, and begins.
func newReactors(s *server, fds []int) (*reactors, error) {
	rs := &reactors{fds: fds}
	for range hands {
		r, err := newReactor(s, fds)
		if err != nil {
			rs.end()
			rs.close()
			return nil, err
		}
		rs.all = append(rs.all, r)
	}
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), hands+1))
	return rs, nil
}

func newReactor(s *server, fds []int) (r *reactor, err error) {
	r = &reactor{s: s, live: make(map[*prompt]struct{}), over: make(chan struct{})}
	for _, fd := range fds {
		d := &door{r: r, fd: fd, network: "unix"}
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil {
			return nil, os.NewSyscallError("getsockopt", err)
		} else if domain != unix.AF_UNIX {
			d.network = "tcp"
		} else if kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); kind == unix.SOCK_SEQPACKET {
			d.network = "unixpacket"
		}
		if d.network == "tcp" {
			if d.bound, err = inbound.Local(fd); err != nil {
				return nil, err
			}
		}
		d.rest.Owner = loop.Func(d.open)
		r.doors = append(r.doors, d)
	}
	if r.loop, err = loop.New(); err != nil {
		return nil, err
	}
	r.loop.Failed = func(err error) { panic(err) } // a worker that has a bug is replaced
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
func (rs *reactors) accept(on bool, failed func(error)) {
	for _, r := range rs.all {
		_ = r.loop.Do(func() { r.accept(on, failed) })
	}
}

func (r *reactor) accept(on bool, failed func(error)) {
	r.failed = failed
	for _, d := range r.doors {
		if r.loop.Disarm(&d.rest); on {
			d.open()
		} else {
			r.loop.Del(d.fd)
		}
	}
}

// each does something with every client; stop is to refuse newcomers from then on.
func (rs *reactors) each(stop bool, do func(*prompt)) {
	for _, r := range rs.all {
		_ = r.loop.Post(func() {
			if stop { // who waits is the next worker's, also while others of these loops are held up
				r.ending = true
				r.accept(false, r.failed)
			}
			for p := range r.live {
				do(p)
			}
		})
	}
}

// close gives the listeners up; whom they have accepted the reactors serve to the end.
func (rs *reactors) close() {
	for _, fd := range rs.fds {
		unix.Close(fd)
	}
	rs.fds = nil
}

// end is for when nobody is left.
func (rs *reactors) end() {
	for _, r := range rs.all {
		_ = r.loop.Do(r.loop.End)
		<-r.over
	}
}

func (d *door) open() {
	if err := d.r.loop.Add(d.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, d); err != nil {
		d.r.failed(err)
	}
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
	if v.refused == "" && (r.ending || s.living.Load() >= int64(s.most)) {
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
	s.sessions.Add(1)
	s.living.Add(1)
	s.idle.begin()
	to := r
	if s.protocol.opening == nil { // it stays for more than a moment
		to = s.reactors.lightest(r)
	}
	if to.load.Add(1); to == r {
		r.begin(fd, w, v, now)
	} else {
		_ = to.loop.Post(func() { // it does not end while somebody is there
			if p := to.begin(fd, w, v, now); !p.over {
				p.shun() // who was to end meanwhile was not among its clients
			}
		})
	}
}

// lightest is who has the fewest clients, or r where that has hardly more.
func (rs *reactors) lightest(r *reactor) *reactor {
	least := r.load.Load() - 1
	for _, x := range rs.all {
		if n := x.load.Load(); n < least {
			r, least = x, n
		}
	}
	return r
}

// identify tells who is at the other end of who was just accepted, and where that came to.
func (d *door) identify(fd int) (w client, err error) {
	if w.network = d.network; d.network != "tcp" {
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
