package admission

import (
	"math"

	"casemate/acl/limit"
)

// gcra is the generic cell rate algorithm (ITU-T I.371, virtual scheduling):
// a token bucket whose state is one number, the theoretical arrival time (tat)
// of the next event. A tat that has passed carries no information, so a key
// without debt needs no entry. A refusal changes nothing.
type gcra struct {
	interval  int64 // ns between events at the sustained rate; 0 is no limit
	tolerance int64 // interval times burst: how far tat may run ahead
}

// newGCRA rounds the interval up to a nanosecond, so the sustained rate is
// never above r (and below it by 0.1 % at a million events a second). A burst below 1 with a rate is 1: no event could ever pass otherwise.
func newGCRA(r limit.Rate, burst int) gcra {
	if r.Events == 0 && r.Per == 0 {
		return gcra{}
	}
	events := int64(min(max(r.Events, 1), MaxEvents))
	per := int64(min(max(r.Per, 1), MaxPer))
	interval := (per + events - 1) / events
	n := int64(min(max(burst, 1), MaxBurst))
	// A quarter of the range is 73 years; it leaves room for now + tolerance + interval.
	return gcra{interval: interval, tolerance: min(interval, math.MaxInt64/4/n) * n}
}

// times is g for n of those that g is for one of: n times the rate and the burst, so the tolerance
// stays as it is.
func (g gcra) times(n int64) gcra {
	if g.interval == 0 {
		return g
	}
	interval := (g.interval + n - 1) / n
	return gcra{interval: interval, tolerance: max(g.tolerance, interval)}
}

// next is the tat after one more event at now, and how long that event would
// have to wait; it may pass when wait is 0.
func (g gcra) next(tat, now int64) (after, wait int64) {
	if g.interval == 0 {
		return tat, 0
	}
	// tat is never further ahead than tolerance, unless the caller's clock went
	// back: then the key owes a full debt, not the length of the jump.
	tat = min(max(tat, now), now+g.tolerance)
	after = tat + g.interval
	return after, max(after-now-g.tolerance, 0)
}
