package broker

import (
	"time"

	"casemate/acl"
	"casemate/listener"
	"casemate/listener/journal"
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
	if !q.Allow(refusalRate, b.loop.Now()) {
		if t := &v.svc.tally.unsaid; !t.Armed() {
			t.Owner = unsaid{b, v.svc.tally}
			b.loop.After(t, refusalCount)
		}
		return
	}
	b.lastID++
	b.logDecision(v, b.lastID, reason, 0)
}

// What one service's refusals may write.
var refusalRate = journal.Rate{Every: time.Second / 10, Burst: 50}

// refusalCount is how long after the first record left out the count is written.
const refusalCount = time.Second

// unsaid writes how many refusals were left out.
type unsaid struct {
	b *Broker
	t *tally
}

func (u unsaid) Expire(*loop.Timer) {
	if u.t.quiet.Left > 0 {
		u.b.log.Put(&journal.Suppressed{At: u.b.wall(), What: journal.Refusals, Service: u.t.name, Count: u.t.quiet.Left})
		u.t.quiet.Left = 0
	}
}

// logDecision writes the record of one decision; refused "" means admitted.
func (b *Broker) logDecision(v *visit, id uint64, refused string, pid int) {
	d := &journal.Decision{At: b.wall(), ID: id, Service: v.svc.name, Client: v.peer, Network: v.at.spec.Transport(), Local: v.local, Path: v.at.spec.Path,
		Refused: refused, ACL: v.svc.spec.ACL, Digest: v.svc.gen.digest, Generation: v.svc.gen.number, PID: pid}
	d.Rule, d.RuleName = v.svc.rules.origins.Text(v.rule), v.svc.rules.list.RuleName(v.rule)
	b.log.Put(d)
}
