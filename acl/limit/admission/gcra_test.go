package admission

import (
	"math/rand/v2"
	"testing"
	"time"

	"casemate/acl/limit"
)

const (
	ms  = int64(time.Millisecond)
	sec = int64(time.Second)
)

func TestGCRABurstThenSpaced(t *testing.T) {
	for _, tc := range []struct {
		name     string
		rate     limit.Rate
		burst    int
		want     int   // events that pass at once
		interval int64 // then one each
	}{
		{"burst 5", limit.Rate{Events: 10, Per: time.Minute}, 5, 5, 6 * sec},
		{"burst 1", limit.Rate{Events: 1, Per: time.Second}, 1, 1, sec},
		{"no burst is one", limit.Rate{Events: 50, Per: time.Second}, 0, 1, 20 * ms},
		{"rounded up", limit.Rate{Events: 3, Per: time.Second}, 2, 2, 333333334},
		{"slow", limit.Rate{Events: 1, Per: MaxPer}, 3, 3, int64(MaxPer)},
		{"fast", limit.Rate{Events: 1_000_000, Per: time.Second}, 1000, 1000, 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGCRA(tc.rate, tc.burst)
			now, tat := int64(12345), int64(0)
			for range tc.want {
				after, wait := g.next(tat, now)
				if wait != 0 {
					t.Fatalf("event of the burst has to wait %d", wait)
				}
				tat = after
			}
			for range 10 {
				if _, wait := g.next(tat, now); wait != tc.interval {
					t.Fatalf("wait %d, want %d", wait, tc.interval)
				}
				if _, wait := g.next(tat, now+tc.interval-1); wait != 1 {
					t.Fatalf("one ns early: wait %d, want 1", wait)
				}
				now += tc.interval
				after, wait := g.next(tat, now)
				if wait != 0 {
					t.Fatalf("on time: wait %d", wait)
				}
				tat = after
			}
		})
	}
}

func TestGCRANoLimit(t *testing.T) {
	g := newGCRA(limit.Rate{}, 0)
	for now := range int64(1000) {
		if after, wait := g.next(0, now); after != 0 || wait != 0 {
			t.Fatalf("next = %d, %d", after, wait)
		}
	}
}

func TestGCRAExtremesDoNotOverflow(t *testing.T) {
	g := newGCRA(limit.Rate{Events: 1, Per: MaxPer}, MaxBurst) // the burst is cut to 73 years of debt
	now, tat := int64(1)<<61, int64(0)
	for range 200 {
		after, wait := g.next(tat, now)
		if wait < 0 || after <= now {
			t.Fatalf("next(%d) = %d, %d", tat, after, wait)
		}
		tat = after
	}
	if _, wait := g.next(tat, now); wait == 0 {
		t.Fatal("no end of the burst")
	}
}

func TestGCRAClockGoesBack(t *testing.T) {
	g := newGCRA(limit.Rate{Events: 1, Per: time.Second}, 3)
	if _, wait := g.next(1000*sec, sec); wait != sec {
		t.Fatalf("wait %v", time.Duration(wait))
	}
}

// A gcra is a token bucket: the same decisions as one that is filled by hand.
func TestGCRAAgainstTokenBucket(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rate := limit.Rate{Events: 1 + r.IntN(100), Per: time.Duration(1 + r.IntN(1_000_000))}
		burst := 1 + r.IntN(20)
		g := newGCRA(rate, burst)
		credit := g.interval * int64(burst)
		var now, tat int64
		var passed []int64
		for range 500 {
			d := r.Int64N(2 * g.interval)
			if r.IntN(3) == 0 {
				d = 0
			}
			now += d
			credit = min(credit+d, g.interval*int64(burst))
			after, wait := g.next(tat, now)
			if want := max(g.interval-credit, 0); wait != want {
				t.Fatalf("%+v burst %d at %d: wait %d, bucket says %d", rate, burst, now, wait, want)
			}
			if wait == 0 {
				credit -= g.interval
				tat = after
				passed = append(passed, now)
			}
		}
		// And the bound it promises: in any window at most burst and what the rate adds.
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if n, most := int64(j-i+1), int64(burst)+(passed[j]-passed[i])/g.interval; n > most {
					t.Fatalf("%d events in %d ns, at most %d", n, passed[j]-passed[i], most)
				}
			}
		}
	}
}
