package limit

// Stats is a Limiter's state in numbers, for status and metrics.
type Stats struct {
	Active   int `json:"active"`   // sessions running
	Sources  int `json:"sources"`  // source prefixes remembered
	Capacity int `json:"capacity"` // source prefixes that can be
	// Pooled is how many of the running sessions came while the table was full.
	Pooled int `json:"pooled"`

	// The rest only grow.

	Admitted       uint64            `json:"admitted"`
	AdmittedPooled uint64            `json:"admitted_pooled"`
	Refused        map[Reason]uint64 `json:"refused"` // every reason is there
	Penalties      uint64            `json:"penalties"`
	// PenaltiesLost counts offences of sources the full table had no room for.
	PenaltiesLost uint64 `json:"penalties_lost"`
}

type counters struct {
	admitted, pooled         uint64
	penalties, penaltiesLost uint64
	refused                  [len(reasons)]uint64
}

func (c *counters) refuse(r Reason) {
	for i := range reasons {
		if reasons[i] == r {
			c.refused[i]++
		}
	}
}

// Stats is a snapshot; the caller may keep it.
func (l *Limiter) Stats() Stats {
	s := Stats{
		Active: l.slots.busy, Sources: l.table.len(), Capacity: l.conf.capacity, Pooled: l.pool.inflight,
		Admitted: l.count.admitted, AdmittedPooled: l.count.pooled,
		Refused:   make(map[Reason]uint64, len(reasons)),
		Penalties: l.count.penalties, PenaltiesLost: l.count.penaltiesLost,
	}
	for i, r := range reasons {
		s.Refused[r] = l.count.refused[i]
	}
	return s
}
