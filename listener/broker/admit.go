package broker

import "casemate/acl/limit/admission"

// admit takes a place from the limits and makes the session; without one the
// reason is the limit that refused.
func (b *Broker) admit(v *visit) (*session, string) {
	t := v.svc.tally
	if v.svc.overloaded() {
		return nil, reasonLoad
	}
	if len(t.queue) > 0 && !t.limiter.Peek(b.loop.Now(), v.source()).Refused() { // nobody overtakes who waits
		return nil, string(admission.ByConcurrency)
	}
	ticket, refusal := t.limiter.Admit(b.loop.Now(), v.source())
	if refusal.Refused() {
		v.counted = t.limiter.Counted(v.source(), refusal)
		return nil, string(refusal.Reason)
	}
	s := &session{visit: *v, ticket: ticket, started: b.loop.Now(), run: v.svc.runner(v.rule), uid: v.svc.uid}
	s.timer.Owner = s
	t.live++
	t.peak = max(t.peak, t.live)
	b.lastID++
	s.id = b.lastID
	if v.svc.dynamic {
		uid, ok := b.hands.Leases().Take()
		if !ok {
			b.giveBack(s)
			return nil, reasonBusy
		}
		s.uid, s.leased = uid, true
	}
	return s, ""
}
