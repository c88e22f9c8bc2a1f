package broker

import (
	"time"

	"casemate/acl"
	"casemate/listener"
	"casemate/listener/loop"
)

// reasonRules is the refusal of the host rules; limits have their own words.
const (
	reasonRules = "acl"
	reasonBusy  = "busy"    // our own queues are full
	reasonNames = "names"   // too many questions to the names worker
	reasonCross = "contend" // datagrams of several peers in one queue
)

// offer decides about a client that was just accepted.
func (b *Broker) offer(v *visit) {
	d := v.decide(acl.Name{})
	if d.NeedName {
		b.names.ask(v)
		return
	}
	b.decided(v, d)
}

// decided goes on with the host rules' answer: limits, then the start.
func (b *Broker) decided(v *visit, d acl.Decision) {
	v.rule = d.Rule
	if d.Verdict != acl.Allow {
		b.refuse(v, reasonRules)
		return
	}
	s, reason := b.admit(v)
	if s == nil {
		b.refuse(v, reason)
		return
	}
	v.conn = -1
	s.run.start(s)
}

// strand is deferred by who has a visit: a connection that a bug has left with
// it is closed.
func (v *visit) strand() {
	if v.conn >= 0 {
		listener.Refuse(v.conn, "")
	}
}

// admit takes a place from the limits and makes the session; without one the
// reason is the limit that refused.
func (b *Broker) admit(v *visit) (*session, string) {
	t := v.svc.tally
	ticket, refusal := t.limiter.Admit(b.loop.Now(), v.source())
	if refusal.Refused() {
		return nil, string(refusal.Reason)
	}
	s := &session{visit: *v, ticket: ticket, ticketd: true, started: b.loop.Now(), pidfd: -1, sysnr: -1, run: v.svc.run, uid: v.svc.uid}
	s.timer.Owner = s
	t.live++
	t.peak = max(t.peak, t.live)
	b.lastID++
	s.id = b.lastID
	if v.svc.dynamic {
		uid, ok := b.leases.Take()
		if !ok {
			t.limiter.Release(b.loop.Now(), ticket)
			t.live--
			return nil, reasonBusy
		}
		s.uid, s.leased = uid, true
	}
	return s, ""
}

// refuse ends a visit and counts it.
func (b *Broker) refuse(v *visit, reason string) {
	v.svc.tally.refuse(reason)
	if v.conn >= 0 {
		banner := v.svc.spec.Banner
		if banner != "" {
			banner += "\r\n"
		}
		listener.Refuse(v.conn, banner)
		v.conn = -1
	}
	q := &v.svc.tally.quiet
	if !q.allow(b.loop.Now()) {
		if !q.timer.Armed() {
			q.timer.Owner = unsaid{b, v.svc.tally}
			b.loop.After(&q.timer, refusalCount)
		}
		return
	}
	b.lastID++
	b.logDecision(v, b.lastID, reason, false, 0)
}

// unsaid writes how many refusals were left out.
type unsaid struct {
	b *Broker
	t *tally
}

func (u unsaid) Expire(*loop.Timer) {
	if u.t.quiet.unsaid > 0 {
		u.b.log.put(suppressed{at: u.b.wall(), service: u.t.name, count: u.t.quiet.unsaid})
		u.t.quiet.unsaid = 0
	}
}

// logDecision writes the record of one decision. reason "" stands for allowed.
func (b *Broker) logDecision(v *visit, id uint64, reason string, allowed bool, pid int) {
	if allowed {
		reason = "allowed"
	}
	b.log.put(&decision{at: b.wall(), id: id, service: v.svc.name, client: v.peer, local: v.local, path: v.at.spec.Path, allowed: allowed,
		reason: reason, rule: v.svc.ruleText(v.rule), acl: v.svc.spec.ACL, digest: v.svc.gen.digest,
		generation: v.svc.gen.number, pid: pid})
}

// wall is the time of a record.
func (b *Broker) wall() time.Time { return time.Now() }
