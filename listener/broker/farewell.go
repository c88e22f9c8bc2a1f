package broker

import (
	"time"

	"casemate/listener"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// A socket that is closed with unread bytes in it, or that gets some after it was
// closed, answers them with a reset, and the reset may overtake what its program
// has written. So the broker keeps its own copy of a client's socket while the
// session lasts, never reads from it, and closes it as follows.
const (
	// farewellTime is how long a client may take to close after the last byte.
	farewellTime = 2 * time.Second
	// maxDrain is how many bytes it may still send meanwhile.
	maxDrain = 1 << 20
	// maxParting is how many clients are waited for at a time.
	maxParting = 1024
)

// farewell is a connection to which nobody writes any more, waiting for its client's end.
type farewell struct {
	b     *Broker
	conn  int
	left  int // bytes it may still send
	timer loop.Timer
}

// keeps tells whether a session's socket may be kept: half of the descriptors are
// for what cannot do without.
func (b *Broker) keeps(s *session) bool {
	spec := s.svc.spec
	return spec.KeepSocket && s.at.stream() && (spec.Hangup || spec.Idle > 0 || s.conn < b.maxFiles/2)
}

// part closes the socket of a session that is over, or of a client that got a
// banner. It costs nothing where all was read from a client that has spoken, or
// that has closed; else the client's end is waited for.
func (b *Broker) part(conn int) (talk listener.Talk, tcp bool) {
	talk, tcp = listener.Overhear(conn)
	if listener.Unread(conn) == 0 && (!tcp || talk.Closed || talk.In > 0) || !b.linger(conn, tcp) {
		listener.Close(conn)
	}
	return talk, tcp
}

// linger begins to wait for the client's end, if there is something to wait for. A
// unix client's is only waited out: what it has sent cannot be thrown away unread.
func (b *Broker) linger(conn int, tcp bool) bool {
	f := &farewell{b: b, conn: conn, left: maxDrain}
	if unix.Shutdown(conn, unix.SHUT_WR) != nil || tcp && f.over() || b.parting >= maxParting || b.stopping {
		return false
	}
	if tcp && b.loop.Add(conn, unix.EPOLLIN, f) != nil {
		return false
	}
	b.parting++
	f.timer.Owner = f
	b.loop.After(&f.timer, farewellTime)
	return true
}

// over throws away what has come, and tells whether the client has closed or has sent too much.
func (f *farewell) over() bool {
	for f.left > 0 {
		n, err := listener.Discard(f.conn, f.left)
		if n == 0 {
			return err != unix.EAGAIN
		}
		f.left -= n
	}
	return true
}

// Ready is called when the client has sent something, or has closed.
func (f *farewell) Ready(uint32) {
	if f.over() {
		f.Expire(nil)
	}
}

// Expire ends the wait.
func (f *farewell) Expire(*loop.Timer) {
	f.b.loop.Disarm(&f.timer)
	f.b.loop.Del(f.conn)
	listener.Close(f.conn)
	f.b.parting--
}
