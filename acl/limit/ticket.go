package limit

// Ticket is an admitted session's claim on its place. It is released once;
// the zero Ticket, a released one and one of another Limiter's making count
// for nothing.
type Ticket struct {
	place *place
	turn  uint64
}

// place is that of one running session. Places are used again: turn changes when one is
// given back, so that an old Ticket cannot free a new session's.
type place struct {
	of     *Limiter
	turn   uint64
	source *entry // nil: no per-source limit when it was admitted
}

// take gives a session of source a place. There are as many as sessions ever ran at once.
func (l *Limiter) take(source *entry) Ticket {
	var p *place
	if n := len(l.free); n > 0 {
		p, l.free = l.free[n-1], l.free[:n-1]
	} else {
		p = &place{of: l}
	}
	p.source = source
	l.busy++
	return Ticket{p, p.turn}
}

// Release ends an admitted session. Releasing a Ticket again does nothing.
func (l *Limiter) Release(now int64, t Ticket) {
	if p := t.place; p != nil && p.of == l && p.turn == t.turn {
		e := p.source
		for e != nil && e.moved != nil {
			e = e.moved
		}
		if e != nil {
			e.inflight--
		}
		p.turn++
		p.source = nil
		l.free = append(l.free, p)
		l.busy--
	}
	l.tick(now)
}
