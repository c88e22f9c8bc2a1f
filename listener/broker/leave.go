package broker

import (
	"slices"

	"casemate/acl/limit/admission"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/warden"
	"casemate/listener/wire"
)

// reaped is the end of a session's program. That of one whose client has not been sent all waits.
func (b *Broker) reaped(s *session, exit warden.Exit) {
	if s.exit = &exit; exit.Forged {
		b.forged(s)
		return
	}
	if b.relays.holds(s) {
		return
	}
	b.over(s)
}

// forged is the end of a session that there never was: its zygote has named another's process, and has no say.
func (b *Broker) forged(s *session) {
	if b.sessions[s.key] == s {
		delete(b.sessions, s.key)
	}
	s.run.live--
	s.run.died(warden.ErrForged)
	b.startFailed(s, "zygote", warden.ErrForged)
}

// over is the end of a session.
func (b *Broker) over(s *session) {
	exit := *s.exit
	defer b.leave(s) // whatever becomes of its record
	delete(b.sessions, s.key)
	s.run.live--
	e := b.ending(s, exit)
	if s.conn >= 0 {
		var talk inbound.Talk
		b.loop.Del(s.conn) // if it was watched
		if s.pace != nil {
			s.pace.Leave(s.conn)
		}
		talk, e.Heard = b.part(s.conn, slices.Contains(journal.Outstayed, e.Reason))
		e.In, e.Out, s.conn = talk.In, talk.Out, -1
	}
	if e.Detail = s.why; s.lost {
		e.Detail = "its relay ended"
	}
	if t := s.svc.tally; s.held != nil {
		if e.Reason == journal.Exit && exit.Status.ExitStatus() == 0 || s.mercy != "" {
			t.faults = 0
		} else {
			t.faults++
		}
	}
	if s.held == nil && s.at != nil && s.at.stream() {
		b.penalize(s, e.Reason)
	}
	if e.Reason != journal.Exit {
		count(&s.svc.tally.endedBy, e.Reason, 1)
	}
	s.svc.put(e)
	if e.Reason == journal.Violation {
		b.logWorker.worker.send(wire.Order{Kind: wire.Killed, ID: s.id, Token: uint64(s.pid), Name: b.filtered(s.svc.name)}.Encode())
	}
}

// abandon is deferred by who has a session on its way: one that a bug, or a
// failure before its start, has kept from a runner goes the way out.
func (b *Broker) abandon(s *session) {
	if !s.taken {
		delete(s.run.pending, s.id)
		b.leave(s)
	}
}

// leave gives everything back that a session held. Every session goes this way
// once: when it was reaped, or when it could not be started. Only those that
// on_stop = "leave" leaves behind do not. The later
// steps are deferred, so that a bug in one of them leaves out no other.
func (b *Broker) leave(s *session) {
	defer b.lastLeft()
	defer s.run.left()
	defer b.free(s)
	s.taken = true
	b.loop.Disarm(&s.timer)
	b.loop.Disarm(&s.client)
	b.logWorker.left(s)
	b.relays.left(s)
	if s.denied {
		b.denials.worker.send(wire.Order{Kind: wire.Over, ID: s.id}.Encode())
	}
	s.counts.forget()
	if s.conn >= 0 {
		inbound.Refuse(s.conn)
		s.conn = -1
	}
	if s.leased {
		b.hands.Leases().Give(s.uid)
		s.leased = false
	}
	b.giveBack(s)
}

// giveBack gives the session's place back, once.
func (b *Broker) giveBack(s *session) {
	if s.ticket != (admission.Ticket{}) {
		s.svc.tally.limiter.Release(b.loop.Now(), &s.ticket)
		if t := s.svc.tally; len(t.queue) > 0 {
			b.loop.After(&t.turn, 0)
		}
		s.svc.tally.live--
	}
}

// free gives the sockets back that a wait program held.
func (b *Broker) free(s *session) {
	held := s.held
	s.held = nil
	for _, at := range held {
		b.loop.Guard(func() { at.free(s) })
	}
}

// lastLeft ends a broker that waits for the last of its sessions.
func (b *Broker) lastLeft() {
	if b.stopTimer.Armed() && b.quiet() {
		b.stopped()
	}
}

// startFailed ends a session that never ran: one record, and nothing left behind.
func (b *Broker) startFailed(s *session, step string, err error) {
	defer b.leave(s)
	s.svc.tally.failed++
	detail := step
	if err != nil {
		detail = step + ": " + err.Error()
		if step == "" {
			detail = err.Error()
		}
	}
	e := &journal.Session{At: b.wall(), ID: s.id, Service: s.svc.name, Client: s.peer, Reason: journal.Failed, Detail: detail, Digest: s.svc.gen.digest}
	e.Limits = s.bounds(e, s.run.events())
	b.log.Put(e)
	if s.held != nil {
		s.svc.tally.faults++
		if s.at != nil && !s.at.stream() && s.at.sock != nil {
			// It stays at the head of the queue otherwise and starts the next failure.
			_ = inbound.DropDatagram(s.at.fd())
		}
	}
}
