package admission

import (
	"testing"
	"time"

	"casemate/acl/limit"
)

func TestReconfigureKeepsState(t *testing.T) {
	spec := limit.Spec{
		Concurrent: 4, Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 4,
		PerSource: limit.PerSource{Concurrent: 2, Rate: limit.Rate{Events: 1, Per: time.Minute}, Burst: 2, Prefix4: 32, Prefix6: 64},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Minute, Max: time.Hour},
	}
	l := New(spec)
	a, b, bad := addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3")
	tickets := []*Ticket{admit(t, l, 0, a), admit(t, l, 0, a), admit(t, l, 0, b)}
	l.Penalize(0, bad, limit.Crash)
	for range 100 { // a hundred reloads give nobody anything
		l.Reconfigure(spec)
	}
	refused(t, l, 0, a, BySourceConcurrency, 0)
	refused(t, l, 0, bad, ByPenalty, time.Minute)
	l.Release(0, tickets[0])
	refused(t, l, 0, a, BySourceRate, time.Minute)
	tickets = append(tickets, admit(t, l, 0, b))
	refused(t, l, 0, addr("192.0.2.4"), ByRate, time.Second)

	spec.Concurrent = 1 // three are running
	l.Reconfigure(spec)
	refused(t, l, 10*sec, addr("192.0.2.4"), ByConcurrency, 0)
	for _, tk := range tickets {
		l.Release(10*sec, tk)
	}
	admit(t, l, 10*sec, addr("192.0.2.4"))
}

func TestReconfigureCapsDebts(t *testing.T) {
	l := New(limit.Spec{
		Rate:      limit.Rate{Events: 1, Per: time.Hour},
		PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Hour, Max: time.Hour},
	})
	a, bad := addr("192.0.2.1"), addr("192.0.2.2")
	admit(t, l, 0, a)
	l.Penalize(0, bad, limit.Crash)
	l.Reconfigure(limit.Spec{
		Rate:      limit.Rate{Events: 10, Per: time.Second},
		PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 1, Prefix4: 32},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Minute, Max: time.Minute},
	})
	refused(t, l, 0, a, ByRate, 100*time.Millisecond)
	refused(t, l, 100*ms, a, BySourceRate, 900*time.Millisecond)
	refused(t, l, 0, bad, ByPenalty, time.Minute)
	admit(t, l, sec, a)
	l.Reconfigure(limit.Spec{})
	admit(t, l, sec, a)
	admit(t, l, sec, bad)
}

func TestReconfigureWidens(t *testing.T) {
	spec := limit.Spec{
		PerSource: limit.PerSource{Concurrent: 3, Prefix4: 32, Prefix6: 64},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Minute, Max: time.Hour},
	}
	l := New(spec)
	x := admit(t, l, 0, addr("192.0.2.1"))
	y := admit(t, l, 0, addr("192.0.2.2"))
	z := admit(t, l, 0, addr("192.0.2.2"))
	l.Penalize(0, addr("2001:db8:0:1::1"), limit.Crash)
	spec.PerSource.Prefix4, spec.PerSource.Prefix6 = 24, 48
	l.Reconfigure(spec)
	refused(t, l, 0, addr("192.0.2.77"), BySourceConcurrency, 0)
	refused(t, l, 0, addr("2001:db8:0:2::1"), ByPenalty, time.Minute)
	for _, tk := range []*Ticket{x, y, z, x, y} {
		l.Release(0, tk)
	}
	for range 3 {
		admit(t, l, 0, addr("192.0.2.77"))
	}
}

func TestReconfigureNarrows(t *testing.T) {
	spec := limit.Spec{
		PerSource: limit.PerSource{Concurrent: 1, Prefix4: 16, Prefix6: 48},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Minute, Max: time.Hour},
	}
	l := New(spec)
	old := admit(t, l, 0, addr("192.0.2.1"))
	l.Penalize(0, addr("198.51.100.1"), limit.Crash)
	l.Penalize(0, addr("2001:db8::1"), limit.Crash)
	for _, bits := range []int{24, 28, 32, 24, 32} {
		spec.PerSource.Prefix4, spec.PerSource.Prefix6 = bits, 64
		l.Reconfigure(spec)
		refused(t, l, 0, addr("198.51.100.99"), ByPenalty, time.Minute)
		refused(t, l, 0, addr("2001:db8:0:1::1"), ByPenalty, time.Minute)
	}
	if len(l.former) > 4 {
		t.Fatalf("%d former lengths", len(l.former))
	}
	one := admit(t, l, 0, addr("192.0.2.1"))
	refused(t, l, 0, addr("192.0.2.1"), BySourceConcurrency, 0)
	admit(t, l, 0, addr("192.0.2.2"))
	l.Release(0, old)
	l.Release(0, one)
	now := int64(time.Minute)
	admit(t, l, now, addr("198.51.100.99"))
	l.Reconfigure(spec)
	spec.PerSource.Prefix4 = 31
	l.Reconfigure(spec)
	if len(l.former) != 0 {
		t.Fatalf("former lengths stay: %+v", l.former)
	}
}
