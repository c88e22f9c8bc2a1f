package limit

// former is a pair of prefix lengths a Limiter used before a reload narrowed
// them, and the time its last penalty runs out.
type former struct {
	bits4, bits6 uint8
	until        int64
}

func (f former) cut(src Source) key { return src.cut(f.bits4, f.bits6) }

// Reconfigure replaces the Spec and keeps the state: sessions stay counted
// under lower limits (nothing is ended; new ones wait until there is room),
// debts and penalties stay outstanding but never beyond the new maximum.
//
// Sources whose prefix gets wider are merged: their sessions add up, and the
// largest debt and penalty hold for all. Of a source whose prefix gets
// narrower, sessions and debts stay with the old prefix until they end, and do
// not count against the new ones; a penalty shuts all of the old prefix out.
func (l *Limiter) Reconfigure(s Spec) {
	old := l.conf.source
	l.conf = newConfig(s)
	l.tat = l.conf.rate.capped(l.tat, l.last)
	_, rate := l.conf.source.pool()
	l.pool.tat = rate.capped(l.pool.tat, l.last)
	if next := l.conf.source; next.bits4 != old.bits4 || next.bits6 != old.bits6 {
		l.rekey(old)
	}
	for _, e := range l.table.all {
		e.tat = l.conf.source.rate.capped(e.tat, l.last)
		e.penalty = min(e.penalty, l.last+l.conf.max)
	}
}

// capped is tat after a change of limits: no debt is larger than a full one.
func (g gcra) capped(tat, now int64) int64 { return min(tat, now+g.tolerance) }

// rekey moves every entry to its key under the new lengths, in a new table.
func (l *Limiter) rekey(old sourceConfig) {
	was := l.table.all
	l.table = table{most: l.table.most}
	f := former{bits4: old.bits4, bits6: old.bits6}
	for _, e := range was {
		if e.dead(l.last) {
			continue
		}
		k := l.conf.source.widen(e.key)
		if k == e.key {
			f.until = max(f.until, e.penalty)
		}
		e.moved = l.merge(k, e)
	}
	l.remember(f)
}

// widen is k cut to the new length, or k itself where the new length is
// longer: the bits it would need are gone.
func (c *sourceConfig) widen(k key) key {
	if w := k.source().cut(c.bits4, c.bits6); w.bits < k.bits {
		return w
	}
	return k
}

func (l *Limiter) merge(k key, e *entry) *entry {
	n := l.table.index[k]
	if n == nil {
		n = l.table.insert(k)
	}
	n.tat, n.penalty = max(n.tat, e.tat), max(n.penalty, e.penalty)
	n.inflight += e.inflight
	return n
}

// remember keeps f while a penalty needs it, once for each pair of lengths.
func (l *Limiter) remember(f former) {
	kept := l.former[:0]
	for _, g := range l.former {
		if g.bits4 == f.bits4 && g.bits6 == f.bits6 {
			f.until = max(f.until, g.until)
		} else if g.until > l.last {
			kept = append(kept, g)
		}
	}
	if f.until > l.last {
		kept = append(kept, f)
	}
	l.former = kept
}
