package broker

import (
	"container/list"
	"time"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/loop"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// A socket that is closed with unread bytes in it, or that gets some after it was
// closed, answers them with a reset, and the reset may overtake what its program
// has written. So the broker keeps its own copy of a client's socket while the
// session lasts, never reads from it, and closes it as follows.
const (
	// farewellTime is how long a client may take to close after the last byte.
	farewellTime = 2 * time.Second
	// firstLook is when it is looked after first: most have closed by then, and all
	// those of one such time together cost one wake.
	firstLook = 20 * time.Millisecond
	// maxDrain is how many bytes it may still send meanwhile.
	maxDrain = 1 << 20
	// maxParting is how many clients are waited for at a time, of all services. The one who has been longest makes room for one more: else
	// a thousand that stay, who need not even be admitted where a service has a banner, would cost all others their last bytes.
	maxParting = 1024
)

// farewell is a connection to which nobody writes any more, waiting for its client's end.
type farewell struct {
	b      *Broker
	conn   int
	tcp    bool
	polled bool
	reset  bool // what it has not taken by then is thrown away
	left   int  // bytes it may still send
	timer  loop.Timer
	place  *list.Element // of Broker.partings
}

// keeps tells whether a session's socket may be kept: half of the descriptors are
// for what cannot do without, as a relay whose client has to be taken leave of.
func (b *Broker) keeps(s *session) bool {
	spec := s.svc.spec
	return spec.Stdio == sandbox.StdioRelay || spec.KeepSocket && s.at.stream() && (spec.Hangup || spec.Idle > 0 || s.svc.limit.FirstByte > 0 || s.svc.limit.MinRate > 0 || s.conn < b.maxFiles/2)
}

// part closes the socket of a session that is over, or of a client that got a
// banner. It costs nothing where all was read from a client that has spoken, or
// that has closed; else the client's end is waited for. A program that wants its client
// to see a reset has it. A client that outstayed is waited for as well while it has something to take, and
// gets a reset if it has not then: the kernel would keep that for as long as the client likes.
func (b *Broker) part(conn int, outstayed bool) (talk inbound.Talk, tcp bool) {
	talk, tcp = inbound.Overhear(conn)
	if tcp && inbound.Abrupt(conn) {
		listener.Close(conn)
		return talk, tcp
	}
	if !tcp { // nothing comes between the look and the close: its client's next write fails at once
		_ = unix.Shutdown(conn, unix.SHUT_RDWR)
	}
	silent := tcp && talk.In == 0
	unread := !silent && listener.Unread(conn) > 0
	f := &farewell{b: b, conn: conn, tcp: tcp, reset: tcp && outstayed && talk.Due() > 0, left: maxDrain}
	if !unread && !f.reset && (!silent || talk.Closed) || !f.begin(unread) {
		f.close()
	}
	return talk, tcp
}

// begin begins to wait for the client's end, if there is something to wait for. A
// unix client's is only waited out: what it has sent cannot be thrown away unread.
func (f *farewell) begin(unread bool) bool {
	b := f.b
	if unix.Shutdown(f.conn, unix.SHUT_WR) != nil || f.tcp && unread && f.over() || b.stopping {
		return false
	}
	if b.partings.Len() >= maxParting {
		b.partings.Front().Value.(*farewell).end()
	}
	f.place = b.partings.PushBack(f)
	f.timer.Owner = f
	wait := farewellTime
	if f.tcp {
		wait = 2*firstLook - time.Duration(b.loop.Now())%firstLook
	}
	b.loop.After(&f.timer, wait)
	return true
}

// over throws away what has come, and tells whether the client has closed or has sent too much.
func (f *farewell) over() bool {
	for f.left > 0 {
		n, err := inbound.Discard(f.conn, f.left)
		if n == 0 {
			return err != unix.EAGAIN
		}
		f.left -= n
	}
	return true
}

// Expire looks after the client for the first time, or ends the wait.
func (f *farewell) Expire(*loop.Timer) {
	if f.tcp && !f.polled && !f.over() && f.b.loop.Add(f.conn, unix.EPOLLIN, f) == nil {
		f.polled = true
		f.b.loop.After(&f.timer, farewellTime)
		return
	}
	f.end()
}

// Ready is called when the client has sent something, or has closed.
func (f *farewell) Ready(uint32) {
	if f.over() {
		f.end()
	}
}

func (f *farewell) end() {
	f.b.loop.Disarm(&f.timer)
	f.b.loop.Del(f.conn)
	f.close()
	f.b.partings.Remove(f.place)
}

// close gives the socket up, with what lies in it unless that is thrown away.
func (f *farewell) close() {
	if f.reset {
		if talk, _ := inbound.Overhear(f.conn); talk.Due() > 0 {
			inbound.Refuse(f.conn)
			return
		}
	}
	listener.Close(f.conn)
}
