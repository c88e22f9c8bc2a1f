package admission

import (
	"slices"

	"casemate/acl/limit"
)

// Reconfigure replaces the Spec and keeps the state: sessions stay counted
// under lower limits (nothing is ended; new ones wait until there is room),
// debts and penalties stay outstanding but never beyond the new maximum.
//
// Sources whose prefix gets wider are merged: their sessions add up, and the
// largest debt and penalty hold for all. Of a source whose prefix gets
// narrower, sessions and debts stay with the old prefix until they end, and do
// not count against the new ones; a penalty shuts all of the old prefix out.
// Networks around sources count all sessions of theirs that run, also where they were not counted before; what
// one owes its rate stays where networks of that length are still counted.
func (l *Limiter) Reconfigure(s limit.Spec) {
	old := l.conf.source
	l.conf = newConfig(s)
	l.tat = l.conf.rate.capped(l.tat, l.last)
	_, rate := l.conf.source.pool()
	l.pool.tat = rate.capped(l.pool.tat, l.last)
	if next := l.conf.source; next.bits4 != old.bits4 || next.bits6 != old.bits6 || !slices.EqualFunc(next.wider, old.wider, sameBits) {
		l.rekey()
	}
	for _, e := range l.table.all {
		e.tat = l.conf.source.rate.capped(e.tat, l.last)
		e.penalty = min(e.penalty, l.last+l.conf.max)
	}
}

// capped is tat after a change of limits: no debt is larger than a full one.
func (g gcra) capped(tat, now int64) int64 { return min(tat, now+g.tolerance) }

func sameBits(a, b rung) bool { return a.bits4 == b.bits4 && a.bits6 == b.bits6 }

// rekey moves every entry to its key under the new lengths, in a new table. Penalties
// that stay at a former length are found by it.
func (l *Limiter) rekey() {
	was := l.table.all
	l.table, l.former = table{most: l.table.most}, nil
	for _, e := range was {
		if e.dead(l.last) {
			continue
		}
		if e.key.wide {
			if l.conf.source.has(e.key) {
				l.table.insert(e.key).tat = e.tat
			}
			continue
		}
		k := l.conf.source.widen(e.key)
		if f := (key{family: k.family, bits: k.bits}); k == e.key && e.penalty > l.last && !slices.Contains(l.former, f) {
			l.former = append(l.former, f)
		}
		n := l.table.index[k]
		if n == nil {
			n = l.table.insert(k)
		}
		n.tat, n.penalty, n.inflight = max(n.tat, e.tat), max(n.penalty, e.penalty), n.inflight+e.inflight
		e.moved = n
	}
	for _, e := range slices.Clone(l.table.all) {
		if !e.key.wide && e.inflight > 0 {
			l.around(e, e.inflight)
		}
	}
}

// widen is k cut to the new length, or k itself where the new length is
// longer: the bits it would need are gone.
func (c *sourceConfig) widen(k key) key {
	if w := k.source().cut(c.bits4, c.bits6); w.bits < k.bits {
		return w
	}
	return k
}
