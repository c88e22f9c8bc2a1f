package admission

import (
	"time"

	"casemate/acl/limit"

	"github.com/gaissmai/bart"
)

// config is a Spec made ready for the arithmetic.
type config struct {
	concurrent int
	early      earlyDrop
	rate       gcra
	source     sourceConfig
	adds       [4]int64   // what an offence of each of limit.Classes adds to a penalty, ns; 0 is none
	max        int64      // and how much is outstanding at the most
	exempt     *bart.Lite // nil is nobody
}

type sourceConfig struct {
	concurrent   int
	rate         gcra
	bits4, bits6 uint8
	wider        []rung
}

// counts reports whether admission keeps state for each source.
func (c *sourceConfig) counts() bool { return c.concurrent > 0 || c.rate.interval > 0 }

// Bounds of a Spec. They keep every product of the arithmetic within 63 bits
// and every table within memory that one can name.
const (
	MaxConcurrent = 1 << 20              // sessions
	MaxEvents     = 1_000_000_000        // per Rate.Per: one each nanosecond of a second
	MaxBurst      = 1 << 20              // events
	MaxPer        = 366 * 24 * time.Hour // Rate.Per and Session
	MaxPenalty    = 30 * 24 * time.Hour  // Penalty.First and Penalty.Max
)

// newConfig takes a Spec that package policy found valid. Out of range numbers are
// cut to the nearest bound, a negative one to the tightest limit: what nobody
// checked is a limit that is too strict, never none.
func newConfig(s limit.Spec) config {
	c := config{
		concurrent: clamp(s.Concurrent, MaxConcurrent),
		rate:       newGCRA(s.Rate, s.Burst),
		source: sourceConfig{
			concurrent: clamp(s.PerSource.Concurrent, MaxConcurrent),
			rate:       newGCRA(s.PerSource.Rate, s.PerSource.Burst),
			bits4:      uint8(min(max(s.PerSource.Prefix4, 0), 32)),
			bits6:      uint8(min(max(s.PerSource.Prefix6, 0), 128)),
		},
	}
	if c.source.counts() {
		c.source.wider = newRungs(&c.source, s.PerSource.Wider)
	}
	for _, p := range s.Exempt[:min(len(s.Exempt), limit.MaxExempt)] {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			continue
		}
		if c.exempt == nil {
			c.exempt = new(bart.Lite)
		}
		c.exempt.Insert(p)
	}
	c.early = newEarlyDrop(s.EarlyDrop, c.concurrent)
	if len(s.Penalty.On) > 0 {
		for i, class := range limit.Classes {
			c.adds[i] = int64(min(max(s.Penalty.Adds(class), 0), MaxPenalty))
		}
		c.max = int64(min(max(s.Penalty.Max, s.Penalty.First, 0), MaxPenalty))
	}
	return c
}

// clamp leaves 0 alone: it means no limit.
func clamp(n, limit int) int {
	if n < 0 {
		return 1
	}
	return min(n, limit)
}

// MaxSources bounds the sources one Limiter remembers: about 10 MB when full, 153 bytes each, and 157 MB for a million if
// it were that many (BenchmarkMemory). While it is full of live ones newcomers share what poolShare sources may have. The networks around
// sources (limit.Wider) are among them; only for sources that are there already the table goes beyond, to at most 1 + limit.MaxWider times
// as many. Where the
// limits of the whole service bound the sources that can be alive at once (those of the
// running sessions, and those whose last admission or penalty has not run out), its table
// stays at less than twice as many: the sweep keeps the dead to less than the living.
const MaxSources = 1 << 16
