package policytest

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"

	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/acl/limit/responses"
	"casemate/policy"
)

// The refusals of the log that no limit's Reason is (see listener/broker and listener/builtin).
const (
	reasonACL      = "acl"
	reasonLoad     = "load"
	reasonQueue    = "queue"
	reasonAnswers  = "response-rate"
	reasonDisabled = "disabled" // nothing listens, so the log has no word for it
	reasonNowhere  = "listener" // likewise: nothing listens for such a client
)

// guest is one client on its way through the limits of a service.
type guest struct {
	source  admission.Source
	hold    time.Duration
	ends    string
	load    int
	draw    string
	answer  bool // a datagram to a built-in
	result  *result
	ticket  admission.Ticket
	settled bool
}

// desk is the limits of one service on a virtual clock, as the broker applies them, or the
// worker of a built-in. now is in nanoseconds since the case began.
type desk struct {
	service *policy.Service
	spec    limit.Spec
	limiter *admission.Limiter
	answers *admission.Limiter // of datagrams of a built-in
	guest   *guest             // who comes
	now     int64
	agenda  agenda
	queue   []*guest
	serial  int
}

func newDesk(s *policy.Service, spec limit.Spec) *desk {
	d := &desk{service: s, spec: spec, limiter: admission.New(spec), answers: admission.New(responses.Of(&spec))}
	d.limiter.Draw = d.draw
	return d
}

// draw is that of early_drop, about the guest who comes. A test must not hang on chance: it says how
// the draw ends, or fails where one would decide.
func (d *desk) draw() uint64 {
	switch d.guest.draw {
	case "admit":
		return math.MaxUint64
	case "":
		d.guest.result.lacks = lacksDraw
	}
	return 0
}

// advance lets everything happen that is due until then.
func (d *desk) advance(until int64) {
	for len(d.agenda) > 0 && d.agenda[0].at <= until {
		e := heap.Pop(&d.agenda).(entry)
		d.now = max(d.now, e.at)
		e.do()
	}
	d.now = max(d.now, until)
}

// finish lets everything happen that is due at all.
func (d *desk) finish() {
	for len(d.agenda) > 0 {
		d.advance(d.agenda[0].at)
	}
}

func (d *desk) later(wait int64, do func()) {
	d.serial++
	heap.Push(&d.agenda, entry{d.now + wait, d.serial, do})
}

// come is a client whom the rules admit, now.
func (d *desk) come(g *guest) {
	d.guest = g
	if g.answer {
		d.datagram(g)
		return
	}
	if reason := d.admit(g); reason == string(admission.ByConcurrency) && d.wait(g) {
		g.result.Waited = true
	} else if reason != "" {
		d.refuse(g, reason)
	}
}

// admit gives a guest a place, or says which limit refuses it.
func (d *desk) admit(g *guest) string {
	ours := d.service.Builtin != "" // its worker asks the limits alone
	if !ours && d.spec.MaxLoad > 0 && g.load >= d.spec.MaxLoad {
		return reasonLoad
	}
	if len(d.queue) > 0 && !d.limiter.Peek(d.now, g.source).Refused() {
		return string(admission.ByConcurrency) // nobody overtakes who waits
	}
	ticket, refusal := d.limiter.Admit(d.now, g.source)
	if refusal.Refused() {
		return string(refusal.Reason)
	}
	g.ticket, g.result.Admitted, g.settled = ticket, true, true
	hold := g.hold
	if d.spec.Session > 0 && (hold > d.spec.Session || g.ends == string(limit.Timeout)) {
		hold, g.ends = d.spec.Session, string(limit.Timeout)
	}
	d.later(int64(hold), func() { d.leave(g) })
	return ""
}

// leave ends a session: an offence counts before the place is free.
func (d *desk) leave(g *guest) {
	if class := limit.Class(g.ends); slices.Contains(limit.Classes, class) {
		d.limiter.Penalize(d.now, g.source, class)
	}
	d.limiter.Release(d.now, &g.ticket)
	if len(d.queue) > 0 {
		d.later(0, d.serve)
	}
}

// wait takes a guest into the queue, if its limit has one with room for this source.
func (d *desk) wait(g *guest) bool {
	if d.service.Builtin != "" {
		return false
	}
	most := cmp.Or(d.spec.PerSource.Concurrent, max(d.spec.QueueLength/4, 1))
	for _, q := range d.queue {
		if d.limiter.Alike(q.source, g.source) {
			most--
		}
	}
	if most <= 0 || len(d.queue) >= d.spec.QueueLength {
		return false
	}
	d.queue = append(d.queue, g)
	d.later(int64(d.spec.Queue), func() {
		if i := slices.Index(d.queue, g); i >= 0 && !g.settled {
			d.queue = slices.Delete(d.queue, i, i+1)
			d.refuse(g, reasonQueue)
		}
	})
	return true
}

// serve gives the first of the queue places as long as there are any.
func (d *desk) serve() {
	for len(d.queue) > 0 {
		g := d.queue[0]
		full := d.limiter.Peek(d.now, g.source)
		switch {
		case full.Reason != admission.ByConcurrency && full.Reason != admission.ByRate:
			behind := d.queue[1:]
			d.queue = nil
			if reason := d.admit(g); reason != "" {
				d.refuse(g, reason)
			}
			d.queue = behind
		case full.RetryAfter > 0:
			d.later(int64(full.RetryAfter), d.serve)
			return
		default:
			return
		}
	}
}

// datagram is one for a built-in, which needs no place for longer than its answer takes.
func (d *desk) datagram(g *guest) {
	if d.answers.Peek(d.now, g.source).Refused() {
		d.refuse(g, reasonAnswers)
		return
	}
	ticket, refusal := d.limiter.Admit(d.now, g.source)
	if refusal.Refused() {
		d.refuse(g, string(refusal.Reason))
		return
	}
	g.result.Admitted, g.settled = true, true
	d.limiter.Release(d.now, &ticket)
	if ticket, refusal := d.answers.Admit(d.now, g.source); !refusal.Refused() {
		d.answers.Release(d.now, &ticket)
	}
}

func (d *desk) refuse(g *guest, reason string) { g.result.Reason, g.settled = reason, true }

// entry is what happens at a time; of one time, in the order in which it was planned.
type entry struct {
	at     int64
	serial int
	do     func()
}

// agenda is a heap of what is to happen.
type agenda []entry

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(a[i].at, a[j].at), cmp.Compare(a[i].serial, a[j].serial)) < 0
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push is of heap.Interface.
func (a *agenda) Push(x any) { *a = append(*a, x.(entry)) }

// Pop is of heap.Interface.
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
