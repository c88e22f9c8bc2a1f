package broker

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"casemate/acl"
	"casemate/listener/loop"
)

// The bounds of what waits for a name. The connection is held meanwhile, so
// one source must not fill the table for all others.
const (
	maxAsked       = 1024
	maxAskedSource = 8 // for each IPv4 address or IPv6 /64
	nameDeadline   = 3 * time.Second
)

// names asks casemate-worker names, so that the privileged process speaks no
// DNS. A question is 24 bytes: an id (u64, little endian) and the address (16
// bytes, v4 mapped). An answer is the id, a status byte, a length byte and the
// name.
type names struct {
	b       *Broker
	worker  *worker
	asked   map[uint64]*question
	sources map[netip.Prefix]int
	lastID  uint64
}

// question is one connection that waits for its client's name.
type question struct {
	n     *names
	id    uint64
	visit visit
	timer loop.Timer
}

func newNames(b *Broker) *names {
	n := &names{b: b, asked: make(map[uint64]*question), sources: make(map[netip.Prefix]int)}
	n.worker = newWorker(b, "names", maxAnswer)
	n.worker.message, n.worker.up, n.worker.down, n.worker.again = n.answer, n.sendAll, n.lost, func() {}
	return n
}

// ask holds the connection until its name is known or the deadline has passed.
// Who would be refused by a limit anyway costs no question.
func (n *names) ask(v *visit) {
	if r := v.svc.tally.limiter.Peek(n.b.loop.Now(), v.source()); r.Refused() {
		n.b.refuse(v, string(r.Reason))
		return
	}
	src := sourceOf(v.peer.Addr.Addr())
	if len(n.asked) >= maxAsked || n.sources[src] >= maxAskedSource {
		n.b.refuse(v, reasonNames)
		return
	}
	n.lastID++
	q := &question{n: n, id: n.lastID, visit: *v}
	q.timer.Owner = q
	msg := binary.LittleEndian.AppendUint64(make([]byte, 0, 24), q.id)
	addr := v.peer.Addr.Addr().As16()
	msg = append(msg, addr[:]...)
	if !n.worker.running() && n.worker.backoff.Armed() || n.worker.fd >= 0 && !n.worker.send(outgoing{msg, -1}) {
		n.b.named(v, acl.Name{State: acl.NoAnswer})
		return
	}
	n.asked[q.id] = q
	v.conn = -1
	n.sources[src]++
	n.b.loop.After(&q.timer, nameDeadline)
}

// sourceOf is the prefix under which questions are counted.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // the length fits the family
	return p
}

// sendAll asks what came while the worker was starting.
func (n *names) sendAll() {
	for _, q := range n.asked {
		msg := binary.LittleEndian.AppendUint64(make([]byte, 0, 24), q.id)
		addr := q.visit.peer.Addr.Addr().As16()
		if !n.worker.send(outgoing{append(msg, addr[:]...), -1}) {
			return
		}
	}
}

// answer takes one answer. An id nobody asked is one whose deadline has passed.
func (n *names) answer(m []byte) {
	id, name, err := parseAnswer(m)
	if err != nil {
		n.worker.end(err)
		return
	}
	if q := n.asked[id]; q != nil {
		q.done(name)
	}
}

// lost answers everything that is open when the worker dies.
func (n *names) lost() {
	for _, q := range n.asked {
		n.b.loop.Guard(func() { q.done(acl.Name{State: acl.NoAnswer}) })
	}
}

// expire is the deadline: no answer.
func (q *question) Expire(*loop.Timer) { q.done(acl.Name{State: acl.NoAnswer}) }

func (q *question) done(name acl.Name) {
	n := q.n
	delete(n.asked, q.id)
	n.b.loop.Disarm(&q.timer)
	src := sourceOf(q.visit.peer.Addr.Addr())
	if n.sources[src]--; n.sources[src] <= 0 {
		delete(n.sources, src)
	}
	defer q.visit.strand()
	n.b.named(&q.visit, name)
}

// named decides about a connection whose name has been asked. The service may
// have been replaced by a reload meanwhile; the rules of the new one count.
func (b *Broker) named(v *visit, name acl.Name) {
	if v.at.svc == nil || b.stopping {
		b.refuse(v, reasonBusy)
		return
	}
	v.svc = v.at.svc
	if name.State == acl.Known {
		v.peer.Name = name.Host
	}
	b.decided(v, v.decide(name))
}

var errAnswer = errors.New("malformed answer")

// parseAnswer reads an answer strictly: anything but what the worker is
// specified to send is an error, and the worker is then replaced.
func parseAnswer(m []byte) (id uint64, name acl.Name, err error) {
	if len(m) < 10 || len(m) != 10+int(m[9]) {
		return 0, acl.Name{}, errAnswer
	}
	id, host := binary.LittleEndian.Uint64(m), m[10:]
	states := [...]acl.NameState{acl.Known, acl.Unknown, acl.Paranoid, acl.NoAnswer}
	if int(m[8]) >= len(states) {
		return 0, acl.Name{}, errAnswer
	}
	state := states[m[8]]
	if state != acl.Known {
		if len(host) > 0 {
			return 0, acl.Name{}, errAnswer
		}
		return id, acl.Name{State: state}, nil
	}
	if !plainHost(host) {
		return 0, acl.Name{}, errAnswer
	}
	return id, acl.Name{State: state, Host: string(host)}, nil
}

// plainHost reports whether h is 1 to 253 bytes of [a-z0-9._-], without a dot
// or dash at either end: it goes into environments and records as it is.
func plainHost(h []byte) bool {
	if len(h) == 0 || len(h) > 253 {
		return false
	}
	for i, c := range h {
		edge := i == 0 || i == len(h)-1
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		case (c == '.' || c == '-') && !edge:
		default:
			return false
		}
	}
	return true
}
