package broker

import (
	"time"

	"casemate/acl/ban"
	"casemate/acl/decide"
	"casemate/listener/address"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
)

// reasonRules is the refusal of the host rules; limits and operators (package ban) have their own words.
const (
	reasonRules = "acl"
	reasonBusy  = "busy"    // our own queues are full
	reasonLoad  = "load"    // the host's is above what its limit lets be
	reasonQueue = "queue"   // no place was free as long as its limit lets it wait
	reasonGone  = "gone"    // it went while it waited
	reasonNames = "names"   // too many questions to the names worker
	reasonCross = "contend" // datagrams of several peers in one queue
)

// refuse ends a visit and counts it.
func (b *Broker) refuse(v *visit, reason string) {
	v.svc.tally.refuse(reason, 1)
	v.svc.tally.shield.surges(reason, 1, 1)
	if v.conn >= 0 {
		b.block(v)
		if spec := v.svc.spec; spec.Banner != "" || spec.BannerAccept != "" {
			inbound.Say(v.conn, spec.Banner)
			b.part(v.conn, false)
		} else {
			inbound.Refuse(v.conn)
		}
		v.conn = -1
	}
	if journal.Omits(string(v.svc.spec.Log), anyRefusal) {
		return // and not counted as left out: status has the number
	}
	q := &v.svc.tally.quiet
	if !q.Allow(refusalRate, b.loop.Now()) {
		if t := &v.svc.tally.unsaid; !t.Armed() {
			t.Owner = loop.Func(func() { b.countLeftOut(v.svc.tally) })
			b.loop.After(t, refusalCount)
		}
		return
	}
	b.lastID++
	b.logDecision(v, b.lastID, reason, 0)
}

// What one service's refusals may write.
var refusalRate = journal.Rate{Every: time.Second / 10, Burst: 50}

var anyRefusal = &journal.Decision{Refused: "any"}

// refusalCount is how long after the first record left out the count is written.
const refusalCount = time.Second

// countLeftOut writes how many refusals were left out.
func (b *Broker) countLeftOut(t *tally) {
	if t.quiet.Left > 0 {
		b.log.Put(&journal.Suppressed{At: b.wall(), What: journal.Refusals, Service: t.name, Count: t.quiet.Left})
		t.quiet.Left = 0
	}
}

// logDecision writes the record of one decision; refused "" means admitted.
func (b *Broker) logDecision(v *visit, id uint64, refused string, pid int) {
	d := &journal.Decision{At: b.wall(), ID: id, Service: v.svc.name, Client: v.peer, Network: address.Transport(v.at.spec.Endpoint), Local: v.local, Path: v.at.spec.Path,
		Refused: refused, ACL: v.svc.spec.ACL, Digest: v.svc.gen.digest, Generation: v.svc.gen.number, PID: pid}
	d.Rule, d.RuleName = v.svc.rules.origins.Text(v.rule), decide.RuleName(v.svc.rules.list, v.rule)
	if refused != "" && refused != reasonRules && !ban.Reason(refused) {
		d.Source = v.counted
		d.Limit = v.svc.gen.doc.Policy.Limit(v.svc.spec.Limit).Refusing()
	}
	v.svc.put(d)
}
