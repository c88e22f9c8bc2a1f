package broker

import (
	"time"

	"casemate/acl/decide"
	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/listener/loop"
	"casemate/listener/wire"
)

// The bounds of what waits for a name. The connection is held meanwhile, so
// one source must not fill the table for all others.
const (
	maxAsked       = 1024
	maxAskedSource = 8 // for each IPv4 address or IPv6 /64
	nameDeadline   = 3 * time.Second
)

// names asks casemate-worker names, so that the privileged process speaks no DNS.
type names struct {
	b       *Broker
	worker  *worker
	asked   map[uint64]*question
	limiter *admission.Limiter // of what is asked
	lastID  uint64
}

// question is one connection that waits for its client's name.
type question struct {
	n     *names
	id    uint64
	visit visit
	place admission.Ticket
	timer loop.Timer
	asked int // so many workers
}

func newNames(b *Broker) *names {
	n := &names{b: b, asked: make(map[uint64]*question),
		limiter: admission.New(limit.Spec{Concurrent: maxAsked, PerSource: limit.PerSource{Concurrent: maxAskedSource, Prefix4: 32, Prefix6: 64}})}
	n.worker = newWorker(b, "names")
	n.worker.most = nameDeadline / 3 // who waits for a name sees another worker
	n.worker.heard, n.worker.up, n.worker.down, n.worker.again = n.answer, n.sendAll, n.lost, n.again
	return n
}

// ask holds the connection until its name is known or the deadline has passed.
// Who would be refused by a limit anyway costs no question.
func (n *names) ask(v *visit) {
	if r := v.svc.tally.limiter.Peek(n.b.loop.Now(), v.source()); r.Refused() {
		n.b.refuse(v, string(r.Reason))
		return
	}
	place, full := n.limiter.Admit(n.b.loop.Now(), v.source())
	if full.Refused() {
		n.b.refuse(v, reasonNames)
		return
	}
	n.lastID++
	q := &question{n: n, id: n.lastID, visit: *v, place: place}
	q.timer.Owner = q
	n.asked[q.id] = q
	v.conn = -1
	n.b.loop.After(&q.timer, nameDeadline)
	if n.worker.running() && !n.worker.send(q.message()) {
		q.done(decide.Name{State: decide.NoAnswer})
	}
}

// sendAll asks what came while the worker was starting.
func (n *names) sendAll() {
	for _, q := range n.asked {
		if !n.worker.send(q.message()) {
			return
		}
	}
}

// answer takes one answer. An id nobody asked is one whose deadline has passed.
func (n *names) answer(r wire.Report) {
	if q := n.asked[r.ID]; q != nil && r.Kind == wire.Named {
		q.done(r.Name)
	}
}

// lost is called when the worker has died. What it was asked is asked once more: a
// question that two have died with has no answer.
func (n *names) lost() {
	for _, q := range n.asked {
		if q.asked > 1 {
			n.b.loop.Guard(func() { q.done(decide.Name{State: decide.NoAnswer}) })
		}
	}
}

// again starts another worker for those who wait.
func (n *names) again() {
	if len(n.asked) > 0 {
		n.worker.running()
	}
}

func (q *question) message() []byte {
	q.asked++
	return wire.Order{Kind: wire.Ask, ID: q.id, Name: string(q.visit.peer.Addr.Addr().AsSlice())}.Encode()
}

// Expire is the deadline: no answer.
func (q *question) Expire(*loop.Timer) { q.done(decide.Name{State: decide.NoAnswer}) }

func (q *question) done(name decide.Name) {
	n := q.n
	delete(n.asked, q.id)
	n.b.loop.Disarm(&q.timer)
	n.limiter.Release(n.b.loop.Now(), &q.place)
	defer q.visit.strand()
	n.b.named(&q.visit, name)
}

// named decides about a connection whose name has been asked. The service may
// have been replaced by a reload meanwhile; the rules of the new one count.
func (b *Broker) named(v *visit, name decide.Name) {
	now := v.current()
	if now == nil || b.stopping {
		b.refuse(v, reasonBusy)
		return
	}
	if v.svc = now; now.spec.Wait { // its program wants the listener
		b.refuse(v, reasonBusy)
		return
	}
	if name.State == decide.Known {
		v.peer.Name = name.Host
	}
	b.decided(v, v.decide(name))
}
