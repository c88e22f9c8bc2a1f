package limit

// state is a Limiter in numbers: sessions running, sources remembered, and the
// running sessions that came while the table was full.
type state struct{ active, sources, pooled int }

func (l *Limiter) state() state { return state{l.slots.busy, l.table.len(), l.pool.inflight} }

// sweepAll does at once what Admit, Release and Penalize do in small parts:
// it forgets every source that has nothing outstanding.
func (l *Limiter) sweepAll(now int64) state {
	l.last = max(l.last, now)
	l.table.sweep(now, int(l.table.next))
	return l.state()
}

// penalty is when the penalty of a source ends; 0 is none.
func (l *Limiter) penalty(src Source) int64 {
	if i := l.table.find(src.cut(l.conf.source.bits4, l.conf.source.bits6)); i >= 0 {
		return l.table.at(i).penalty
	}
	return 0
}
