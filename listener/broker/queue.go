package broker

import (
	"cmp"
	"slices"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit/admission"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// queued is a connection that waits for a place, as its limit lets it. Nobody reads from it.
type queued struct {
	visit
	timer loop.Timer
}

// wait holds a connection that found no place, behind those that wait already; false if
// it may not. One source gets no more of the queue than it may have of the places.
func (b *Broker) wait(v *visit) bool {
	t, l := v.svc.tally, v.svc.gen.doc.Policy.Limit(v.svc.spec.Limit)
	most := cmp.Or(l.PerSource.Concurrent, max(l.QueueLength/4, 1))
	for _, q := range t.queue {
		if t.limiter.Alike(q.source(), v.source()) {
			most--
		}
	}
	q := &queued{visit: *v}
	ends := map[bool]uint32{true: unix.EPOLLRDHUP}[v.svc.spec.Hangup] // a reset is told in any case
	if b.stopping || most <= 0 || len(t.queue) >= l.QueueLength || v.conn >= b.maxFiles/2 || b.loop.Add(q.conn, ends, q) != nil {
		return false
	}
	v.conn, q.timer.Owner, t.queue = -1, q, append(t.queue, q)
	b.loop.After(&q.timer, l.Queue)
	return true
}

// Ready is called when the client has gone, Expire when no place was free in time.
func (q *queued) Ready(uint32)       { q.dismiss(reasonGone) }
func (q *queued) Expire(*loop.Timer) { q.dismiss(reasonQueue) }

func (q *queued) dismiss(reason string) {
	q.leave()
	q.svc.b.refuse(&q.visit, reason)
}

func (q *queued) leave() {
	q.svc.b.loop.Del(q.conn)
	q.svc.b.loop.Disarm(&q.timer)
	q.svc.tally.queue = slices.DeleteFunc(q.svc.tally.queue, func(o *queued) bool { return o == q })
}

// serveQueue serves the first in the queue as long as there are places. The rules of a policy
// that was loaded meanwhile are asked anew.
func (b *Broker) serveQueue(t *tally) {
	for len(t.queue) > 0 {
		q, svc := t.queue[0], t.queue[0].current()
		full := t.limiter.Peek(b.loop.Now(), q.source())
		switch {
		case svc == nil || svc.spec.Wait:
			q.dismiss(reasonBusy)
		case svc != q.svc || full.Reason != admission.ByConcurrency && full.Reason != admission.ByRate:
			b.turn(q, svc)
		case full.RetryAfter > 0:
			b.loop.After(&t.turn, full.RetryAfter)
			return
		default:
			return
		}
	}
}

// turn has q come before all others.
func (b *Broker) turn(q *queued, svc *service) {
	q.leave()
	t, behind := svc.tally, svc.tally.queue
	t.queue = nil
	defer func() { t.queue = append(t.queue, behind...) }()
	defer q.strand()
	if q.svc == svc {
		b.decided(&q.visit, decide.Decision{Verdict: acl.Allow, Rule: q.rule})
		return
	}
	q.svc = svc
	b.offer(&q.visit)
}
