package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"casemate/acl"
	"casemate/acl/shield"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/warden"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// reasonShield is what the kernel has refused at the listeners: addresses by the host rules, and sources that a limit or an operator shuts out; also
// what found their queue full.
const reasonShield = "kernel"

// How often what the kernel drops is counted, and how soon after the first of them sources are shut out by it: the filter is
// made anew, for all that come meanwhile. A source that is shut out for less is none of its, it lets each in a little
// before the limit does, and knows of so many at a time.
const (
	dropsEvery    = time.Second
	shieldAfter   = 100 * time.Millisecond
	shortestBlock = 500 * time.Millisecond
	blockMargin   = 50 * time.Millisecond // beside shielding.rest
	maxBlocked    = 1024
)

// shields has casemate-worker shield attach filters to listeners: that takes CAP_NET_ADMIN where they are of TCP, and to take one off
// again takes nothing.
type shields struct {
	b       *Broker
	worker  *worker
	missing unix.Errno // why the kernel or the worker's rights give none
	retry   loop.Timer
	drops   loop.Timer // when what the kernel has dropped is counted
}

func newShields(b *Broker) *shields {
	l := &shields{b: b}
	l.worker = newWorker(b, "shield")
	l.worker.heard, l.worker.down = l.heard, l.down
	l.worker.up = func() { b.syncAll(); l.settle() }
	l.worker.again = func() {
		if l.needed() {
			l.worker.running()
		}
	}
	l.retry.Owner, l.drops.Owner = loop.Func(b.syncAll), loop.Func(l.count)
	return l
}

// needed tells whether anything is to be attached.
func (l *shields) needed() (any bool) {
	for _, t := range l.b.tallies {
		any = any || t.shield != nil && t.shield.now != nil
	}
	return any
}

// settle lets a worker go that nobody needs: the next surge starts another.
func (l *shields) settle() {
	if l.worker.fd >= 0 && !l.needed() {
		l.worker.stop()
		l.down()
	}
}

// attach has a listener get a filter, and tells whether the worker was told so.
func (l *shields) attach(at *listening, filter []byte) bool {
	if !l.worker.running() {
		return false
	}
	file, err := warden.FileOf(filter)
	if err != nil {
		return false
	}
	defer unix.Close(file)
	return l.worker.pass(wire.Order{Kind: wire.Attach}.Encode(), at.fd(), file)
}

// heard takes one message of the worker.
func (l *shields) heard(r wire.Report) {
	switch errno := unix.Errno(r.Of); {
	case r.Kind != wire.Refused:
	case errno == unix.ENOMEM:
		l.b.everyListening(l.cramped)
	case errno != l.missing:
		l.missing = errno
		l.b.limitedNote("", "shield", "refused addresses are not dropped by the kernel, but here", errno)
	}
}

// everybody is whom the smallest filter drops.
var everybody = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

// cramped takes an old filter off a listener before it gets the new one, where the kernel has no memory for both at a time
// (net.core.optmem_max). The old one refuses whom the service admits now or, where it is all that holds clients to the rules, admits whom they
// refuse: there nobody is admitted meanwhile, nor later if there is no memory for the new one alone.
func (l *shields) cramped(at *listening) {
	want := at.sent
	if at.sock == nil || at.svc == nil || want == nil || inbound.Filtered(at.fd(), at.program(want)) {
		return
	}
	if at.lean == want {
		l.b.limitedNote(at.name(), "shield "+at.spec.Key(), "the filter of "+at.spec.Key()+" needs more memory than net.core.optmem_max is", unix.ENOMEM)
		return
	}
	at.lean = want
	if !at.svc.spec.Screened() {
		_ = inbound.Unshield(at.fd())
	} else if !l.attach(at, shield.Filter(!at.stream(), shield.Prefixes(everybody, nil), shield.Ranges{})) {
		at.sent = nil
	}
	if at.sent == nil || !l.attach(at, at.program(want)) {
		at.sent, at.lean = nil, nil
		l.b.loop.After(&l.retry, shieldAfter)
	}
}

// lacks is why the kernel refuses nobody for a service that asks it to, nil where it does.
func (l *shields) lacks(s *shielding) error {
	switch {
	case s == nil || s.surge.asleep:
		return nil
	case s.missing != nil:
		return s.missing
	case l.missing != 0:
		return l.missing
	case l.worker.fd < 0:
		return errors.New("casemate-worker shield does not run")
	case slices.ContainsFunc(s.svc.listen, func(at *listening) bool {
		return at.sock != nil && at.lean != nil && at.lean == at.sent && !inbound.Filtered(at.fd(), at.program(at.sent))
	}):
		return fmt.Errorf("net.core.optmem_max is too small for the filter: %w", unix.ENOMEM)
	case s.svc.spec.Screened() && slices.ContainsFunc(s.svc.listen, func(at *listening) bool {
		return at.sock != nil && at.held() && !inbound.Filtered(at.fd(), at.program(s.now))
	}):
		return errUnscreened // its program has taken it off, or will have it in a moment
	}
	return nil
}

// down has what was attached come again from the next worker, which may do what this one could not; it stays until then.
func (l *shields) down() {
	l.missing = 0
	l.b.everyListening(func(at *listening) { at.sent = nil })
}

// shielding has the kernel refuse for a service with refuse = "silent", at its listeners. Nothing depends on it: whom it lets pass
// meets the same rules and limits here. It stays with a service's name, as its limiter does.
type shielding struct {
	svc     *service
	rules   shield.Ranges
	known   bool     // rules are, of one that sheds, from its first surge on
	now     *filters // what is to be attached
	blocked map[netip.Prefix]int64
	timer   loop.Timer    // makes now anew
	soon    bool          // it does so shieldAfter the first that is to be in it
	took    time.Duration // to make it last
	missing error         // why the host rules cannot be worked out
	says    []string      // what of them the kernel decides, and what not
	surge   surge
	over    loop.Timer // when it is asked whether a surge is
}

// attached is what a listener has of the kernel's refusals.
type attached struct {
	sent    *filters // what the worker was told to attach, nil for nothing
	clean   bool     // nothing is: neither of ours, nor what the broker before or a program has attached
	early   bool     // who came before it was may be in the queue
	counted bool     // drops counts from when the first was
	drops   uint32   // what the kernel has dropped, as far as that is counted
	lean    *filters // for which there was no memory beside the one before
}

// filters are the programs of one service.
type filters struct{ connections, datagrams []byte }

func (s *service) filters(first, more shield.Ranges) *filters {
	f := new(filters)
	for _, l := range s.spec.Listen {
		to := &f.connections
		if l.Datagram() {
			to = &f.datagrams
		}
		if *to == nil {
			*to = shield.Filter(l.Datagram(), first, more)
		}
	}
	return f
}

// shutBy is a list, and whether a filter is all that holds clients to it.
type shutBy struct {
	list  *acl.List
	alone bool
}

// shut is whom a list refuses by address alone, as far as a filter can hold them.
type shut struct {
	ranges shield.Ranges
	says   []string
	err    error
}

// shielding is the one of a planned service, nil for none. It is made off the loop. What cannot be worked out refuses nobody.
func (c *candidate) shielding(p *planned) *shielding {
	if !p.svc.spec.Shielded() {
		if !p.svc.spec.Sheds() {
			return nil
		}
		s := &shielding{svc: p.svc, surge: surge{asleep: true}, blocked: make(map[netip.Prefix]int64)}
		s.timer.Owner, s.over.Owner = loop.Func(s.renew), loop.Func(s.subsides)
		return s
	}
	key := shutBy{p.svc.rules.list, p.svc.spec.Screened()}
	of, known := c.shut[key]
	if !known {
		if key.alone {
			of.ranges, of.err = shield.Whole(key.list)
		} else {
			var held shield.Held
			of.ranges, held, of.err = shield.Refused(key.list)
			of.says = held.Words()
		}
		c.shut[key] = of
	}
	s := &shielding{svc: p.svc, rules: of.ranges, missing: of.err, says: of.says, blocked: make(map[netip.Prefix]int64)}
	s.now = p.svc.filters(s.rules, shield.Ranges{})
	s.timer.Owner = loop.Func(s.renew)
	return s
}

// shield puts a service's shielding in force, in place of the one before. Those whom that shuts out stay so as long as
// the limit is the same.
func (b *Broker) shield(p *planned) {
	t := p.svc.tally
	old := t.shield
	surging := old != nil && old.over.Armed()
	if t.shield = p.shield; old != nil {
		b.loop.Disarm(&old.timer)
		b.loop.Disarm(&old.over)
		if t.shield != nil && reflect.DeepEqual(old.svc.limit, t.shield.svc.limit) {
			t.shield.blocked = old.blocked
		}
	}
	if t.shield != nil && len(t.shield.blocked)+len(b.bans.prefixes(p.svc.name)) > 0 {
		t.shield.renew()
	}
	if t.shield != nil && !t.shield.surge.asleep {
		b.counts()
	}
	if surging {
		t.shield.surges(reasonRules, surgeLeast, 1)
	}
}

// counts has what the kernel drops counted from now on.
func (b *Broker) counts() {
	if !b.shields.drops.Armed() {
		b.loop.After(&b.shields.drops, dropsEvery)
	}
}

// renew makes the filter of those that are shut out now, by an operator too, and itself due when that changes. Who is exempt is
// none of those that a limit shuts out.
func (s *shielding) renew() {
	began := time.Now()
	s.soon = false
	if s.surge.asleep {
		return
	}
	b := s.svc.b
	var out []netip.Prefix
	next := int64(0)
	for p, until := range s.blocked {
		if until -= int64(s.rest() + blockMargin); until <= b.loop.Now() {
			delete(s.blocked, p)
			continue
		}
		out = append(out, p)
		if next == 0 || until < next {
			next = until
		}
	}
	first, more := shield.Prefixes(out, s.svc.limit.Exempt).And(shield.Prefixes(b.bans.prefixes(s.svc.name), nil)), s.rules
	if s.svc.spec.Screened() { // the filter is all that holds clients to the rules, and none of them is given up for a ban
		first, more = more, first
	}
	s.now = s.svc.filters(first, more)
	s.took = time.Since(began)
	for _, at := range s.svc.listen {
		at.sync()
	}
	if next > 0 {
		b.loop.After(&s.timer, max(time.Duration(next-b.loop.Now()), s.rest()))
	}
}

// rest is how soon it is made anew at the earliest: however many clients ask for it, that takes a tenth of the time, as long as it does
// not take a tenth of a second.
func (s *shielding) rest() time.Duration { return max(shieldAfter, min(10*s.took, time.Second)) }

// block has the kernel drop what comes from a client's source, and from networks around it, as long as its limit shuts them out. It made
// a connection: nobody else can have sent what came from there.
func (b *Broker) block(v *visit) {
	s := v.svc.tally.shield
	if s == nil || s.surge.asleep || !v.at.stream() {
		return
	}
	now := b.loop.Now()
	v.svc.tally.limiter.Shut(now, v.source(), func(source netip.Prefix, wait int64) {
		if wait < int64(shortestBlock) || len(s.blocked) >= maxBlocked && s.blocked[source] == 0 {
			return
		}
		if s.blocked[source] = now + wait; !s.soon { // those who come all the time do not put it off
			s.soon = true
			b.loop.After(&s.timer, s.rest())
		}
	})
}

// shielded has the filter in force attached to the listener, if that has another one. As long as nobody attaches it, it has none:
// an old one may refuse whom its service admits now.
func (at *listening) shielded() {
	if at.sock == nil || at.svc == nil || at.svc.tally == nil {
		return
	}
	var want *filters
	if s := at.svc.tally.shield; s != nil {
		want = s.now
	}
	if want == at.sent && want != nil {
		return
	}
	if want == nil {
		at.unshield()
		return
	}
	if !at.counted {
		at.drops, _ = inbound.Drops(at.fd())
		at.counted = true
	}
	screened := at.svc.spec.Screened()
	if screened && inbound.Filtered(at.fd(), at.program(want)) { // by the broker before this one, perhaps
		at.sent, at.clean = want, false
		return
	}
	none := screened && inbound.Filtered(at.fd(), nil)
	if at.b.shields.attach(at, at.program(want)) {
		at.early = at.early || none
		at.sent, at.clean = want, false
		return
	}
	if at.sent != nil && !screened {
		at.unshield()
	}
	at.b.loop.After(&at.b.shields.retry, shieldAfter)
}

// program is the one of these for the socket.
func (at *listening) program(of *filters) []byte {
	if at.stream() {
		return of.connections
	}
	return of.datagrams
}

// unshield takes off what is attached.
func (at *listening) unshield() {
	if !at.clean {
		_ = inbound.Unshield(at.fd()) // unix.ENOENT is that there is nothing
	}
	at.sent, at.clean = nil, true
}

// everyListening calls f for all sockets.
func (b *Broker) everyListening(f func(*listening)) {
	for _, at := range b.sockets {
		f(at)
		for _, lane := range at.lanes {
			f(lane)
		}
	}
}

// count counts what the kernel has dropped since it was asked last.
func (l *shields) count() {
	more := false
	l.b.everyListening(func(at *listening) {
		if !at.counted || at.sock == nil || at.svc == nil || at.svc.tally.shield == nil || at.svc.tally.shield.surge.asleep {
			return
		}
		more = true
		now, err := inbound.Drops(at.fd())
		n := now - at.drops
		if err != nil || n == 0 {
			return
		}
		at.drops = now
		t := at.svc.tally
		t.refuse(reasonShield, uint64(n))
		t.shield.surge.went += uint64(n)
		if !journal.Omits(string(at.svc.spec.Log), anyRefusal) {
			t.quiet.Left += uint64(n)
			l.b.countLeftOut(t)
		}
	})
	if more {
		l.b.loop.After(&l.drops, dropsEvery)
	}
}
