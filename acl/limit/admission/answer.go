package admission

import (
	"net/netip"
	"time"
)

// Reason says which limit refused; "" is none of them.
type Reason string

// The reasons, in the order the limits are asked.
const (
	ByPenalty           Reason = "penalty"            // the source is shut out for what its sessions did
	ByRate              Reason = "rate"               // the service as a whole starts too many
	ByConcurrency       Reason = "concurrency"        // the service as a whole runs too many
	BySourceConcurrency Reason = "source-concurrency" // this source runs too many
	BySourceRate        Reason = "source-rate"        // this source starts too many
	ByWiderConcurrency  Reason = "wider-concurrency"  // a network around this source runs too many
	ByWiderRate         Reason = "wider-rate"         // a network around this source starts too many
	ByTableFull         Reason = "table-full"         // too many live sources; what newcomers share is used up
	ByEarlyDrop         Reason = "early-drop"         // the draw, as the service as a whole nearly runs too many
)

// Refusal is a limit's answer. The zero Refusal admits.
type Refusal struct {
	Reason Reason
	// RetryAfter is when this limit alone would admit the source again if
	// nobody else came; 0 where that waits for a session to end.
	RetryAfter time.Duration
	// Rung is which network around the source refused, from 1 for the nearest; 0 for every other Reason.
	Rung int
}

// Refused reports whether the limit refuses.
func (r Refusal) Refused() bool { return r.Reason != "" }

func refuse(r Reason, wait int64) Refusal { return Refusal{Reason: r, RetryAfter: time.Duration(wait)} }

// Counted is the prefix that src was refused by: its own where a penalty or what it has itself refused, or that of the
// Rung. It is the zero Prefix for every other Reason, and for a src without an address.
func (l *Limiter) Counted(src Source, r Refusal) netip.Prefix {
	c := &l.conf.source
	k := src.cut(c.bits4, c.bits6)
	switch r.Reason {
	case ByPenalty, BySourceConcurrency, BySourceRate:
		return k.prefix()
	case ByWiderConcurrency, ByWiderRate:
		if r.Rung > 0 && r.Rung <= len(c.wider) {
			k, _ = c.wider[r.Rung-1].around(k)
			return k.prefix()
		}
	}
	return netip.Prefix{}
}

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
			l.around(e, -1)
		}
		*t = Ticket{}
		l.busy--
	}
	l.tick(now)
}
