package limit

// Ticket is an admitted session's claim on its place. It is released once, so it lies in one
// place; the zero Ticket, which a released one is, and one of another Limiter's making count for nothing.
type Ticket struct {
	of     *Limiter
	source *entry // nil: no per-source limit when it was admitted
}

// Release ends an admitted session. Releasing a Ticket again does nothing.
func (l *Limiter) Release(now int64, t *Ticket) {
	if t.of == l {
		e := t.source
		for e != nil && e.moved != nil {
			e = e.moved
		}
		if e != nil {
			e.inflight--
		}
		*t = Ticket{}
		l.busy--
	}
	l.tick(now)
}
