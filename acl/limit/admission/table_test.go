package admission

import (
	"testing"
	"time"

	"casemate/acl/limit"
)

// small is a Limiter with room for few sources.
func small(s limit.Spec, capacity int) *Limiter {
	l := New(s)
	l.table.most = capacity
	return l
}

var perMinute = limit.PerSource{Concurrent: 2, Rate: limit.Rate{Events: 1, Per: time.Minute}, Burst: 2, Prefix4: 32}

func TestFullTableKeepsLiveSources(t *testing.T) {
	l := small(limit.Spec{PerSource: perMinute}, 8)
	for n := range 8 {
		l.Release(0, admit(t, l, 0, nth(n)))
		l.Release(0, admit(t, l, 0, nth(n)))
	}
	var pooled []Ticket
	for n := 8; n < 10000; n++ {
		if tk, r := l.Admit(0, nth(n)); !r.Refused() {
			pooled = append(pooled, tk)
		} else if r.Reason != ByTableFull {
			t.Fatal(r)
		}
	}
	if want := poolShare * 2; len(pooled) != want {
		t.Fatalf("newcomers got %d sessions, want %d", len(pooled), want)
	}
	for n := range 8 { // each old source still owes what it owed
		refused(t, l, 0, nth(n), BySourceRate, time.Minute)
	}
	if s := l.state(); s.sources != 8 || s.pooled != len(pooled) {
		t.Fatalf("%+v", s)
	}
	for _, tk := range pooled {
		l.Release(0, &tk)
	}
	refused(t, l, 0, nth(99), ByTableFull, time.Minute/poolShare)
	// When the old ones have nothing outstanding any more, newcomers get entries.
	now := 2 * int64(time.Minute)
	l.Release(now, admit(t, l, now, nth(99)))
	if s := l.state(); s.pooled != 0 || l.table.index[nth(99).cut(32, 0)] == nil {
		t.Fatalf("%+v", s)
	}
}

func TestFullTableNeverForgetsPenaltiesAndSessions(t *testing.T) {
	l := small(limit.Spec{
		PerSource: limit.PerSource{Concurrent: 1, Prefix4: 32},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Hour, Max: time.Hour},
	}, 2)
	running := admit(t, l, 0, nth(1))
	l.Penalize(0, nth(2), limit.Crash)
	l.Penalize(0, nth(3), limit.Crash)
	if l.penalty(nth(2)) == 0 || l.penalty(nth(3)) != 0 {
		t.Fatal("not the last of the penalties is lost")
	}
	for n := 10; n < 1000; n++ {
		l.Admit(0, nth(n))
	}
	refused(t, l, 0, nth(1), BySourceConcurrency, 0)
	refused(t, l, 0, nth(2), ByPenalty, time.Hour)
	l.Penalize(0, nth(1), limit.Crash) // the running session keeps the place for it
	l.Release(0, running)
	refused(t, l, 0, nth(1), ByPenalty, time.Hour)
}

func TestMemoryIsBoundedAndGivenBack(t *testing.T) {
	l := New(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 1, Prefix4: 32}})
	for n := range 3 * MaxSources {
		if tk, r := l.Admit(0, nth(n)); !r.Refused() {
			l.Release(0, &tk)
		}
	}
	if n, m := len(l.table.all), cap(l.table.all); n != MaxSources || m > 2*MaxSources {
		t.Fatalf("%d sources in room for %d", n, m)
	}
	if left := l.sweepAll(sec - 1).sources; left != MaxSources {
		t.Fatalf("a live source was forgotten: %d left", left)
	}
	if left := l.sweepAll(sec).sources; left != 0 || l.table.all != nil || l.table.index != nil || l.busy != 0 {
		t.Fatalf("%d sources, room for %d left", left, cap(l.table.all))
	}
}

// A flood at the service's full rate, each time from a new source, takes no more of the
// table than twice what the service's own limits let be alive: 30 s of penalties at 100 a
// second, the burst and the sessions.
func TestTableFollowsFromLimits(t *testing.T) {
	spec := limit.Spec{
		Concurrent: 50, Rate: limit.Rate{Events: 100, Per: time.Second}, Burst: 100,
		PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 20, Prefix4: 32},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: 10 * time.Second, Max: 30 * time.Second},
	}
	l := New(spec)
	var open []Ticket
	var from []Source
	for n, now := 0, int64(0); now < 300*sec; n, now = n+1, now+5*ms {
		tk, r := l.Admit(now, nth(n))
		if r.Reason == ByTableFull || l.pool.inflight > 0 || len(l.table.all) > 2*(30*100+100+50) {
			t.Fatalf("full at %v: %+v", time.Duration(now), l.state())
		}
		if r.Refused() {
			continue
		}
		open, from = append(open, tk), append(from, nth(n))
		if len(open) == 50 {
			l.Penalize(now, from[0], limit.Crash)
			if l.penalty(from[0]) == 0 {
				t.Fatalf("lost a penalty at %v", time.Duration(now))
			}
			l.Release(now, &open[0])
			open, from = open[1:], from[1:]
		}
	}
}

func TestSweepIsIncremental(t *testing.T) {
	l := New(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 1, Prefix4: 32}})
	for n := range 1000 {
		l.Release(0, admit(t, l, 0, nth(n)))
	}
	before := len(l.table.all)
	l.Admit(sec, nth(0))
	if gone := before - len(l.table.all); gone > sweepStep {
		t.Fatalf("one call forgot %d", gone)
	}
	for range 1000 / sweepStep {
		l.Release(sec, &Ticket{})
	}
	if n := len(l.table.all); n != 1 { // only the one admitted at 1 s is alive
		t.Fatalf("%d left", n)
	}
}
