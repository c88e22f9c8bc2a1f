package broker

import (
	"encoding/json"
	"net/netip"
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/warden"
	"casemate/policy/granted"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// A broker that has ended (nothing remote should end it) leaves programs, which are root's children. The next one goes on
// with them: they count in their limits and end in their time, with a record. What it cannot have
// again are their clients' sockets and what they write to stderr.

// testament is what the next broker has to know of a session.
type testament struct {
	ID      uint64
	Service string
	Peer    inbound.Peer
	Local   netip.AddrPort
	Key     string // of where it came to
	Muxed   string // there, by a tcpmux
	Rule    int
	UID     uint32
	Leased  bool
	Init    int
	Held    bool
	Started time.Time
}

func (s *session) testament(pid, init int) []byte {
	t := testament{ID: s.id, Service: s.svc.name, Peer: s.peer, Local: s.local, Muxed: s.muxed, Rule: s.rule, UID: s.uid, Leased: s.leased, Init: init, Held: s.held != nil,
		Started: s.svc.b.wall().Add(-time.Duration(s.svc.b.loop.Now() - s.started))}
	if s.at != nil {
		t.Key = s.at.spec.Key()
	}
	text, _ := json.Marshal(t) // no type in it can fail
	return text
}

// adopt goes on with a program of the broker before. One of a service that has gone, and the worker of a built-in, whose
// records have no way here, are ended.
func (b *Broker) adopt(left warden.Survivor) {
	var t testament
	err := granted.Unmarshal(left.Text, &t)
	svc := b.gen.service(t.Service)
	at := b.sockets[t.Key]
	if at == nil && svc != nil && len(svc.listen) > 0 {
		at = svc.listen[0]
	}
	if err != nil || svc == nil || svc.spec.Wait != t.Held || at == nil {
		b.hands.Adopt(left.PID, func(warden.Exit) {}, func(bool) { b.hands.Kill(left.PID, unix.SIGKILL) })
		return
	}
	s := &session{id: t.ID, started: b.loop.Now() - int64(max(b.wall().Sub(t.Started), 0)), run: svc.runner(t.Rule), uid: t.UID, leased: t.Leased, pid: int32(left.PID), key: int32(left.PID), init: int32(t.Init), taken: true}
	s.visit = visit{svc: svc, at: at, muxed: t.Muxed, peer: t.Peer, local: t.Local, conn: -1, rule: t.Rule}
	s.timer.Owner = s
	if t.Held {
		s.held = []*listening{} // where it listens may have gone since it was started
	}
	for _, at := range svc.listen {
		if t.Held && (at.spec.Key() == t.Key || svc.spec.Together()) {
			s.held, at.holder = append(s.held, at), s
		}
	}
	s.ticket = svc.tally.limiter.Resume(b.loop.Now(), s.source())
	svc.tally.live++
	svc.tally.peak = max(svc.tally.peak, svc.tally.live)
	b.sessions[s.key] = s
	s.run.live++
	b.hands.Adopt(left.PID, s.ended, func(runs bool) {
		switch {
		case !runs: // it has ended in between
			s.run.live--
			delete(b.sessions, s.key)
			b.leave(s)
		case svc.spec.Builtin != "", svc.spec.Stdio == sandbox.StdioRelay: // its relay has ended, too
			b.terminate(s, journal.Killed)
		case svc.limit.Session > 0 && s.held == nil:
			s.schedule(max(svc.limit.Session-time.Duration(b.loop.Now()-s.started), 0))
		}
	})
}
