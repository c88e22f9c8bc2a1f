package broker

import (
	"errors"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// relays has casemate-worker relay carry for the services with stdio = "relay". For each session the worker
// gets the client's socket and makes a socket pair, one end of which it sends to the launch of the program: who asks
// the kernel whose the other end is (SO_PEERCRED) is told an unprivileged user, and not root. While the session lasts
// it is that of its program in every way, and it lasts until its client has been sent all, or as long as it may.
type relays struct {
	b      *Broker
	worker *worker
	of     map[uint64]*session // whose client the worker has, or is to have
	watch  loop.Timer
}

func newRelays(b *Broker) *relays {
	l := &relays{b: b, of: make(map[uint64]*session)}
	l.watch.Owner = l
	l.worker = newWorker(b, "relay")
	l.worker.heard, l.worker.up, l.worker.down, l.worker.again = l.heard, l.up, l.down, func() { l.worker.running() }
	return l
}

// errNoRelay answers connections while the worker cannot be had.
var errNoRelay = errors.New("casemate-worker relay does not run; trying again soon")

// take has the worker carry for a session, and gives what the program's launch hears of it by.
func (l *relays) take(s *session) (end int, err error) {
	if !l.worker.running() && !l.worker.starting {
		return -1, errNoRelay
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if l.of[s.id], s.relay = s, int32(pair[0]); l.worker.fd >= 0 {
		l.give(s)
	}
	if !l.watch.Armed() {
		l.worker.heardAt = l.b.loop.Now()
		l.b.loop.After(&l.watch, deafAfter/2)
	}
	return pair[1], nil
}

// give passes a session on. Where the worker does not take it, the launch finds that nobody will answer.
func (l *relays) give(s *session) {
	l.worker.pass(wire.Order{Kind: wire.Carry, ID: s.id}.Encode(), s.conn, int(s.relay))
	l.forget(s)
}

func (l *relays) forget(s *session) {
	if s.relay != 0 {
		unix.Close(int(s.relay))
		s.relay = 0
	}
}

func (l *relays) up() {
	for _, s := range l.of {
		l.give(s)
	}
}

// down ends all sessions that the worker carried for, or was to.
func (l *relays) down() {
	for id, s := range l.of {
		delete(l.of, id)
		l.forget(s)
		switch s.lost = true; {
		case s.exit != nil:
			l.b.loop.Guard(func() { l.b.over(s) })
		case s.pid > 0:
			l.b.terminate(s, journal.Killed)
		}
	}
}

// heard takes one message of the worker.
func (l *relays) heard(r wire.Report) {
	s := l.of[r.ID]
	if r.Kind != wire.Done || s == nil {
		return
	}
	delete(l.of, r.ID)
	l.forget(s)
	if s.exit != nil {
		l.b.over(s)
	}
}

// holds tells whether a session whose program has just ended goes on.
func (l *relays) holds(s *session) bool {
	if l.of[s.id] != s {
		return false
	}
	l.b.bare--
	delete(l.b.sessions, s.key) // its number may be another's soon
	s.key = l.b.bare
	l.b.sessions[s.key] = s
	l.over(s, s.killed)
	return true
}

// over tells the worker that a session's program has ended, or with now that its client gets no more either.
func (l *relays) over(s *session, now bool) {
	order := wire.Order{Kind: wire.Over, ID: s.id}
	if now {
		order.Token = 1
	}
	l.worker.send(order.Encode())
}

// left has the worker let go of the client of a session that never ran.
func (l *relays) left(s *session) {
	if l.forget(s); l.of[s.id] == s {
		delete(l.of, s.id)
		l.over(s, true)
	}
}

// Expire looks after a worker that carries.
func (l *relays) Expire(*loop.Timer) {
	if l.worker.silence(); len(l.of) > 0 {
		l.b.loop.After(&l.watch, deafAfter/2)
	}
}
