package admission

import (
	"math"
	"math/rand/v2"
	"testing"

	"casemate/acl/limit"
)

// sshd's own example, 10:30:60: nobody below 10, 30 % at 10, 65 % half-way, everybody at 60.
func TestEarlyDropGrowsInALine(t *testing.T) {
	d := newEarlyDrop(limit.EarlyDrop{Start: 10, Percent: 30}, 60)
	for busy, want := range map[int]float64{0: 0, 9: 0, 10: 30, 35: 65, 59: 98.6, 60: 100, 61: 100} {
		if got := 100 * float64(d.odds(busy)) / (1 << 32); math.Abs(got-want) > 1e-6 {
			t.Errorf("at %d sessions %.4f %% are dropped, want %g", busy, got, want)
		}
	}
	last := uint64(0)
	for d, busy := newEarlyDrop(limit.EarlyDrop{Start: 1, Percent: 1}, MaxConcurrent), 0; busy <= MaxConcurrent; busy += 997 {
		if now := d.odds(busy); now < last || now > 1<<32 {
			t.Fatalf("%d of 2^32 at %d sessions, after %d", now, busy, last)
		} else {
			last = now
		}
	}
}

// The share that is really dropped is that of the line, within five standard deviations of fair draws.
func TestEarlyDropOften(t *testing.T) {
	const tries = 20_000
	for _, busy := range []int{9, 10, 20, 35, 50, 59} {
		l := New(limit.Spec{Concurrent: 60, EarlyDrop: limit.EarlyDrop{Start: 10, Percent: 30}})
		l.Draw = rand.New(rand.NewPCG(3, uint64(busy))).Uint64
		for l.busy < busy { // a dropped one comes again
			l.Admit(0, nth(1))
		}
		dropped := 0
		for range tries {
			peek := l.Peek(0, nth(1))
			tk, r := l.Admit(0, nth(1))
			if r != peek {
				t.Fatalf("Peek %v, Admit %v", peek, r)
			}
			if r.Refused() {
				if r != refuse(ByEarlyDrop, 0) {
					t.Fatal(r)
				}
				dropped++
			}
			l.Release(0, &tk)
		}
		p := float64(l.conf.early.odds(busy)) / (1 << 32)
		if off := math.Abs(float64(dropped)/tries - p); off > 5*math.Sqrt(p*(1-p)/tries) {
			t.Errorf("at %d sessions %d of %d are dropped, want %.1f %%", busy, dropped, tries, 100*p)
		}
	}
}

// Who has no draws refuses from the start on, and what nobody checked is tight.
func TestEarlyDropFailsClosed(t *testing.T) {
	for _, e := range []limit.EarlyDrop{{Start: 2, Percent: 1}, {Start: 2, Percent: -5}, {Start: 2, Percent: 101}, {Start: -1, Percent: 50}, {Percent: 1}} {
		l := New(limit.Spec{Concurrent: 10, EarlyDrop: e})
		for n := range max(e.Start, 1) {
			admit(t, l, 0, nth(n))
		}
		refused(t, l, 0, nth(9), ByEarlyDrop, 0)
	}
	l := New(limit.Spec{Concurrent: 3, EarlyDrop: limit.EarlyDrop{Start: 9, Percent: 1}})
	for n := range 3 {
		admit(t, l, 0, nth(n))
	}
	refused(t, l, 0, nth(9), ByConcurrency, 0)
	l = New(limit.Spec{EarlyDrop: limit.EarlyDrop{Start: 1, Percent: 100}})
	for n := range 9 {
		admit(t, l, 0, nth(n))
	}
}

// A draw decides about one newcomer: one that another limit refuses uses none up, and costs none.
func TestOneDrawForOneNewcomer(t *testing.T) {
	draws := 0
	l := New(limit.Spec{Concurrent: 10, EarlyDrop: limit.EarlyDrop{Start: 1, Percent: 50}, PerSource: limit.PerSource{Concurrent: 2, Prefix4: 32}})
	l.Draw = func() uint64 { draws++; return math.MaxUint64 }
	admit(t, l, 0, nth(1)) // below start
	admit(t, l, 0, nth(1))
	for range 100 {
		refused(t, l, 0, nth(1), BySourceConcurrency, 0)
	}
	if draws != 1 {
		t.Fatalf("%d draws", draws)
	}
	for range 100 {
		l.Peek(0, nth(2))
	}
	admit(t, l, 0, nth(2))
	l.Draw = func() uint64 { draws++; return 0 }
	refused(t, l, 0, nth(3), ByEarlyDrop, 0)
	refused(t, l, 0, nth(3), ByEarlyDrop, 0)
	if draws != 4 {
		t.Fatalf("%d draws", draws)
	}
}
