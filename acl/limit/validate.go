package limit

import (
	"fmt"
	"slices"
	"time"
)

// Bounds of a Spec. They keep every product of the arithmetic within 63 bits
// and every table within memory that one can name.
const (
	MaxConcurrent = 1 << 20              // sessions
	MaxEvents     = 1_000_000_000        // per Rate.Per: one each nanosecond of a second
	MaxBurst      = 1 << 20              // events
	MaxPer        = 366 * 24 * time.Hour // Rate.Per and Session
	MaxPenalty    = 30 * 24 * time.Hour  // Penalty.First and Penalty.Max
)

// Validate checks every number against its range and says which field is
// wrong ("per_source.rate.per_ns: ...").
func (s *Spec) Validate() error {
	if err := inRange("concurrent", s.Concurrent, MaxConcurrent); err != nil {
		return err
	}
	if err := checkRate("", s.Rate, s.Burst); err != nil {
		return err
	}
	if s.Session < 0 || s.Session > MaxPer {
		return fmt.Errorf("session_ns: %v is not between 0 and %v", s.Session, MaxPer)
	}
	if err := inRange("per_source.concurrent", s.PerSource.Concurrent, MaxConcurrent); err != nil {
		return err
	}
	if err := checkRate("per_source.", s.PerSource.Rate, s.PerSource.Burst); err != nil {
		return err
	}
	if err := inRange("per_source.prefix4", s.PerSource.Prefix4, 32); err != nil {
		return err
	}
	if err := inRange("per_source.prefix6", s.PerSource.Prefix6, 128); err != nil {
		return err
	}
	return checkPenalty(s.Penalty)
}

func checkRate(at string, r Rate, burst int) error {
	if err := inRange(at+"rate.events", r.Events, MaxEvents); err != nil {
		return err
	}
	if r.Per < 0 || r.Per > MaxPer {
		return fmt.Errorf("%srate.per_ns: %v is not between 0 and %v", at, r.Per, MaxPer)
	}
	if (r.Events == 0) != (r.Per == 0) {
		return fmt.Errorf("%srate: events %d per %v: give both or neither", at, r.Events, r.Per)
	}
	if r.Events > 0 && int64(r.Events) > int64(r.Per) {
		return fmt.Errorf("%srate: %d events per %v are more than one each nanosecond", at, r.Events, r.Per)
	}
	if err := inRange(at+"burst", burst, MaxBurst); err != nil {
		return err
	}
	if burst > 0 && r.Events == 0 {
		return fmt.Errorf("%sburst: %d without a rate", at, burst)
	}
	return nil
}

func checkPenalty(p Penalty) error {
	for i, c := range p.On {
		if !slices.Contains(Classes, c) {
			return fmt.Errorf("penalty.on[%d]: %q: write crash, violation or timeout", i, string(c))
		}
		if slices.Contains(p.On[:i], c) {
			return fmt.Errorf("penalty.on[%d]: %s is there twice", i, c)
		}
	}
	if p.First < 0 || p.First > MaxPenalty {
		return fmt.Errorf("penalty.first_ns: %v is not between 0 and %v", p.First, MaxPenalty)
	}
	if p.Max < p.First || p.Max > MaxPenalty {
		return fmt.Errorf("penalty.max_ns: %v is not between first (%v) and %v", p.Max, p.First, MaxPenalty)
	}
	if (len(p.On) > 0) != (p.First > 0) {
		return fmt.Errorf("penalty: on and first_ns: give both or neither")
	}
	return nil
}

func inRange(field string, n, limit int) error {
	if n < 0 || n > limit {
		return fmt.Errorf("%s: %d is not between 0 and %d", field, n, limit)
	}
	return nil
}
