// Package admission decides how often, by the Specs of package limit: rate (GCRA),
// concurrency and penalties, for a service as a whole and for each source prefix.
//
// It is pure: the caller passes the time. Every limit sheds load and recovers
// by itself; nothing latches a service off.
package admission

import (
	"cmp"
	"net/netip"
	"slices"

	"casemate/acl/limit"
)

// Limiter applies one Spec. Time is int64 nanoseconds, at least 0, of a clock
// that never goes back (CLOCK_MONOTONIC or CLOCK_BOOTTIME); the caller passes
// it. A Limiter is not safe for concurrent use.
type Limiter struct {
	conf  config
	tat   int64 // of the rate of the service as a whole
	busy  int   // sessions
	table table
	// pool is what all sources share that come while the table is full of live
	// ones: the budget of poolShare sources for all of them together. An attacker
	// with that many prefixes gets no more out of it than that, and a
	// newcomer still has a chance.
	pool entry
	// former are prefix lengths, each as the key of its family's address 0, also of
	// before a reload, at which penalties may still be outstanding.
	former []key
	last   int64 // the latest time seen

	// Draw gives the random numbers of limit.EarlyDrop, each of 64 bits evenly (math/rand/v2.Uint64). Without
	// it every draw is the worst one: from Start sessions on nobody is admitted.
	Draw  func() uint64
	coin  uint64 // the upper half of what was drawn last
	drawn bool   // and it has decided about nobody yet
}

const poolShare = 16

func (c *sourceConfig) pool() (concurrent int, rate gcra) {
	return c.concurrent * poolShare, c.rate.times(poolShare)
}

// New makes a Limiter for a Spec that package policy found valid.
func New(s limit.Spec) *Limiter {
	return &Limiter{conf: newConfig(s), table: table{most: MaxSources}}
}

// verdict is the outcome of a check and what admitting would write.
type verdict struct {
	refusal Refusal
	tat     int64  // of the whole service
	source  *entry // nil: not counted, or
	make    bool   // yet to be made
	key     key
	after   int64 // tat of the source or the pool
	// wider are the networks around the source, nearest first, those of no such network empty.
	wider [limit.MaxWider]step
}

// Admit asks every limit and, if all pass, takes the session into their counts;
// the Ticket must then be released when the session ends. A refusal writes
// nothing: who is refused pays nothing, and costs the service no budget.
//
// The order is penalty, rate, concurrency, then the source's concurrency and
// rate, then those of the networks around it, the nearest first; the first that refuses is the reason. Whom all of these admit the draw may still drop. Of
// a source that is exempt only the service's own rate and concurrency, and the draw, are asked.
func (l *Limiter) Admit(now int64, src Source) (Ticket, Refusal) {
	l.tick(now)
	v := l.check(now, src)
	l.drawn = l.drawn && v.refusal.Refused() && v.refusal.Reason != ByEarlyDrop
	if v.refusal.Refused() {
		return Ticket{}, v.refusal
	}
	l.tat = v.tat
	if v.make {
		v.source = l.table.insert(v.key)
	}
	if v.source != nil {
		v.source.tat = v.after
		v.source.inflight++
		l.climb(&v)
	}
	l.busy++
	return Ticket{l, v.source}, Refusal{}
}

// Resume takes a session into the counts that runs already, whatever they allow, and says nothing of rates.
func (l *Limiter) Resume(now int64, src Source) Ticket {
	l.tick(now)
	v := verdict{key: src.cut(l.conf.source.bits4, l.conf.source.bits6)}
	if v.source = l.table.index[v.key]; l.conf.source.counts() && !l.Exempt(src) {
		if v.source == nil && l.table.room(now, 1+len(l.conf.source.wider)) {
			v.source = l.table.insert(v.key)
		} else if v.source == nil {
			v.source = &l.pool
		}
		v.source.inflight++
		l.around(v.source, 1)
	} else {
		v.source = nil
	}
	l.busy++
	return Ticket{l, v.source}
}

// Alike tells whether two sources are one to the Limiter. One that is exempt is like no other, nor itself.
func (l *Limiter) Alike(a, b Source) bool {
	return !l.Exempt(a) && !l.Exempt(b) && a.cut(l.conf.source.bits4, l.conf.source.bits6) == b.cut(l.conf.source.bits4, l.conf.source.bits6)
}

// Exempt tells whether nothing is counted of a source.
func (l *Limiter) Exempt(src Source) bool {
	return l.conf.exempt != nil && l.conf.exempt.Contains(src.addr())
}

// Peek is the answer Admit would give, without taking anything.
func (l *Limiter) Peek(now int64, src Source) Refusal { return l.check(now, src).refusal }

// Shut tells shut of each prefix around src of which nobody is admitted, whoever else comes and goes, but who is exempt, and
// for how long that is so, in ns: its own, by a penalty or its rate, and those of the networks around it whose
// rate is used up. There is none of a src that is exempt or has no address.
func (l *Limiter) Shut(now int64, src Source, shut func(p netip.Prefix, wait int64)) {
	c := &l.conf.source
	k := src.cut(c.bits4, c.bits6)
	if k.family != inet4 && k.family != inet6 || l.Exempt(src) {
		return
	}
	if e := l.table.index[k]; e != nil {
		wait := max(e.penalty-now, 0)
		if c.counts() {
			_, rate := c.rate.next(e.tat, now)
			wait = max(wait, rate)
		}
		if wait > 0 {
			shut(k.prefix(), wait)
		}
	}
	for i := range c.wider {
		around, ok := c.wider[i].around(k)
		if e := l.table.index[around]; ok && e != nil {
			if _, wait := c.wider[i].rate.next(e.tat, now); wait > 0 {
				shut(around.prefix(), wait)
			}
		}
	}
}

func (l *Limiter) tick(now int64) {
	l.last = max(l.last, now)
	l.table.sweep(now, sweepStep)
}

func (l *Limiter) check(now int64, src Source) verdict {
	k := src.cut(l.conf.source.bits4, l.conf.source.bits6)
	v, exempt, wait := verdict{key: k, source: l.table.index[k]}, l.Exempt(src), int64(0)
	if !exempt {
		wait = l.penalised(now, src, v.source)
	}
	if wait > 0 {
		v.refusal = refuse(ByPenalty, wait)
	} else if v.tat, wait = l.conf.rate.next(l.tat, now); wait > 0 {
		v.refusal = refuse(ByRate, wait)
	} else if l.conf.concurrent > 0 && l.busy >= l.conf.concurrent {
		v.refusal = refuse(ByConcurrency, 0)
	} else if l.checkSource(now, &v, exempt); !v.refusal.Refused() && l.draw() {
		v.refusal = refuse(ByEarlyDrop, 0)
	}
	return v
}

func (l *Limiter) checkSource(now int64, v *verdict, exempt bool) {
	c := &l.conf.source
	concurrent, rate, full, fast := c.concurrent, c.rate, BySourceConcurrency, BySourceRate
	switch {
	case exempt, !c.counts():
		v.source = nil
		return
	case v.source != nil:
	case l.table.room(now, 1+len(c.wider)):
		v.make = true
	default:
		v.source, full, fast = &l.pool, ByTableFull, ByTableFull
		concurrent, rate = c.pool()
	}
	e := cmp.Or(v.source, new(entry))
	if concurrent > 0 && int(e.inflight) >= concurrent {
		v.refusal = refuse(full, 0)
		return
	}
	var wait int64
	if v.after, wait = rate.next(e.tat, now); wait > 0 {
		v.refusal = refuse(fast, wait)
		return
	}
	if l.checkWider(now, v); v.source == &l.pool { // which is counted nowhere else
		v.wider = [limit.MaxWider]step{}
	}
}

// Penalize records an offence of a session from src. A class the Spec does not
// name is no offence, and a source that is exempt has none. Call it before Release: the running session keeps the
// source's entry, so a full table cannot lose the penalty. A session that the pool has keeps none: its source is penalized only if
// there is room for it by now.
func (l *Limiter) Penalize(now int64, src Source, class limit.Class) {
	l.tick(now)
	i := slices.Index(limit.Classes, class)
	if i < 0 || l.conf.adds[i] == 0 || l.Exempt(src) {
		return
	}
	k := src.cut(l.conf.source.bits4, l.conf.source.bits6)
	e := l.table.index[k]
	if e == nil {
		if !l.table.room(now, 1) {
			return
		}
		e = l.table.insert(k)
	}
	e.penalty = min(max(e.penalty, now)+l.conf.adds[i], now+l.conf.max)
}

// penalised is how long src is still shut out, in ns.
func (l *Limiter) penalised(now int64, src Source, e *entry) int64 {
	until := cmp.Or(e, new(entry)).penalty
	for _, f := range l.former {
		if e := l.table.index[src.cut(f.bits, f.bits)]; e != nil && f.family == src.family {
			until = max(until, e.penalty)
		}
	}
	return max(until-now, 0)
}
