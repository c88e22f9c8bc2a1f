package admission

// state is a Limiter in numbers: sessions running, sources remembered, and the
// running sessions that came while the table was full.
type state struct{ active, sources, pooled int }

func (l *Limiter) state() state { return state{l.busy, len(l.table.all), int(l.pool.inflight)} }

// sweepAll does at once what Admit, Release and Penalize do in small parts:
// it forgets every source that has nothing outstanding.
func (l *Limiter) sweepAll(now int64) state {
	l.last = max(l.last, now)
	l.table.sweep(now, len(l.table.all))
	return l.state()
}

// penalty is when the penalty of a source ends; 0 is none.
func (l *Limiter) penalty(src Source) int64 {
	if e := l.table.index[src.cut(l.conf.source.bits4, l.conf.source.bits6)]; e != nil {
		return e.penalty
	}
	return 0
}
