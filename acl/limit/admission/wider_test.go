package admission

import (
	"fmt"
	"testing"
	"time"

	"casemate/acl/limit"
)

// ladder gives a source two sessions, its /24 or /56 three times as many, and its /16 or /48 four times.
var ladder = limit.PerSource{Concurrent: 2, Prefix4: 32, Prefix6: 64, Wider: []limit.Wider{{Prefix4: 24, Prefix6: 56, Times: 3}, {Prefix4: 16, Prefix6: 48, Times: 4}}}

// Of each rung: it refuses on its own, names its prefix, and lets everybody outside in.
func TestEachRungRefuses(t *testing.T) {
	at := func(format string, n int) Source { return addr(fmt.Sprintf(format, n)) }
	for _, tc := range []struct {
		name, near, far, outside string // where n is a source of its own
		want                     [3]string
	}{
		{"IPv4", "192.0.2.%d", "192.0.%d.9", "192.1.0.1", [3]string{"192.0.2.0/32", "192.0.2.0/24", "192.0.0.0/16"}},
		{"IPv6", "2001:db8:7:%x::1", "2001:db8:7:%x00::1", "2001:db8:8::1", [3]string{"2001:db8:7::/64", "2001:db8:7::/56", "2001:db8:7::/48"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := New(limit.Spec{PerSource: ladder})
			no := func(src Source, want Refusal, prefix string) {
				t.Helper()
				_, got := l.Admit(0, src)
				if p := l.Counted(src, got); got != want || p.String() != prefix {
					t.Fatalf("refused by %+v of %s, want %+v of %s", got, p, want, prefix)
				}
			}
			var tickets []*Ticket
			for n := range 3 {
				tickets = append(tickets, admit(t, l, 0, at(tc.near, n)), admit(t, l, 0, at(tc.near, n)))
			}
			no(at(tc.near, 0), Refusal{Reason: BySourceConcurrency}, tc.want[0])
			no(at(tc.near, 9), Refusal{Reason: ByWiderConcurrency, Rung: 1}, tc.want[1])
			for n := range 2 { // two more in other /24 of the /16: 8 in all
				tickets = append(tickets, admit(t, l, 0, at(tc.far, 40+n)))
			}
			no(at(tc.far, 50), Refusal{Reason: ByWiderConcurrency, Rung: 2}, tc.want[2])
			admit(t, l, 0, addr(tc.outside))
			admit(t, l, 0, Source{})
			l.Release(0, tickets[0])
			no(at(tc.near, 9), Refusal{}, "invalid Prefix") // room on all rungs again
			no(at(tc.near, 8), Refusal{Reason: ByWiderConcurrency, Rung: 1}, tc.want[1])
		})
	}
}

// A rung has times as many starts, at once and in a time, and says how long to wait.
func TestWiderRate(t *testing.T) {
	l := New(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Minute}, Burst: 2, Prefix4: 32, Wider: []limit.Wider{{Prefix4: 24, Times: 4}}}})
	n := 0
	for ; n < 8; n++ {
		l.Release(0, admit(t, l, 0, nth(n)))
	}
	if _, got := l.Admit(0, nth(n)); got != (Refusal{ByWiderRate, 15 * time.Second, 1}) {
		t.Fatal(got)
	}
	l.Release(0, admit(t, l, 15*sec, nth(n)))
	if _, got := l.Admit(15*sec, nth(0)); got.Reason != ByWiderRate {
		t.Fatal(got)
	}
	admit(t, l, 15*sec, nth(999))
}

// What one rung refuses costs the source and the other rungs nothing.
func TestAllRungsOrNone(t *testing.T) {
	l := New(limit.Spec{PerSource: ladder})
	for n := range 6 {
		admit(t, l, 0, nth(n))
	}
	before := l.state()
	for n := 6; n < 200; n++ {
		if _, r := l.Admit(0, nth(n)); r.Rung != 1 {
			t.Fatal(r)
		}
	}
	if after := l.state(); after != before {
		t.Fatalf("%+v, and before the refusals %+v", after, before)
	}
	for n := range 2 {
		admit(t, l, 0, nth(1000+n))
	}
}

// A penalty is the source's own: nobody else in its networks pays.
func TestPenaltyStaysAtTheSource(t *testing.T) {
	l := New(limit.Spec{PerSource: ladder, Penalty: limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Minute, Max: time.Hour}})
	l.Penalize(0, nth(1), limit.Crash)
	refused(t, l, 0, nth(1), ByPenalty, time.Minute)
	admit(t, l, 0, nth(2))
}

// A ladder that a reload brings counts who is there, and one that it takes away counts nobody.
func TestLadderComesAndGoes(t *testing.T) {
	plain := ladder
	plain.Wider = nil
	l := New(limit.Spec{PerSource: plain})
	var tickets []*Ticket
	for n := range 6 {
		tickets = append(tickets, admit(t, l, 0, nth(n)))
	}
	l.Reconfigure(limit.Spec{PerSource: ladder})
	if r := l.Peek(0, nth(9)); r.Rung != 1 {
		t.Fatal(r)
	}
	l.Release(0, tickets[0])
	l.Reconfigure(limit.Spec{PerSource: plain})
	l.Release(0, tickets[1])
	tickets = append(tickets[2:], admit(t, l, 0, nth(9)))
	l.Reconfigure(limit.Spec{PerSource: ladder})
	tickets = append(tickets, admit(t, l, 0, nth(9)))
	if r := l.Peek(0, nth(10)); r.Rung != 1 {
		t.Fatal(r)
	}
	for _, tk := range tickets {
		l.Release(0, tk)
	}
	if left := l.sweepAll(0); left != (state{}) {
		t.Fatalf("%+v left", left)
	}
}

// A flood of sources takes no more entries with a ladder than without, but those of the networks around known
// sources.
func TestLadderIsBounded(t *testing.T) {
	const most = 64
	l := small(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 4, Prefix4: 32, Wider: []limit.Wider{{Prefix4: 30, Times: 100}, {Prefix4: 28, Times: 1000}, {Prefix4: 8, Times: 1 << 20}}}}, most)
	for now := range int64(5) {
		for n := range 5000 {
			l.Release(now*sec, func() *Ticket { tk, _ := l.Admit(now*sec, nth(n*16)); return &tk }())
		}
		if n := len(l.table.all); n > (1+limit.MaxWider)*most {
			t.Fatalf("%d entries", n)
		}
	}
}

// Refusals allocate nothing, whichever limit refuses, and however their prefix is asked for.
func TestRefusalsDoNotAllocate(t *testing.T) {
	per := ladder
	per.Rate, per.Burst = limit.Rate{Events: 1, Per: time.Hour}, 3
	l := New(limit.Spec{Concurrent: 9, EarlyDrop: limit.EarlyDrop{Start: 8, Percent: 100}, PerSource: per,
		Penalty: limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Hour, Max: time.Hour}})
	l.Penalize(0, nth(7), limit.Crash)
	for n := range 3 {
		admit(t, l, 0, nth(n))
		admit(t, l, 0, nth(n))
	}
	admit(t, l, 0, addr("2001:db8::1"))
	six := New(limit.Spec{PerSource: ladder})
	for n := range 6 {
		admit(t, six, 0, addr(fmt.Sprintf("2001:db8:0:%x::1", n)))
	}
	seen := map[Reason]bool{}
	for _, tc := range []struct {
		l   *Limiter
		src Source
	}{{l, nth(7)}, {l, nth(1)}, {l, nth(8)}, {six, addr("2001:db8:0:9::1")}} {
		if n := testing.AllocsPerRun(1000, func() {
			_, r := tc.l.Admit(0, tc.src)
			if p := tc.l.Counted(tc.src, r); !p.IsValid() {
				t.Fatal(r, p)
			}
			seen[r.Reason] = true
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
	admit(t, l, 0, addr("198.51.100.1"))
	if n := testing.AllocsPerRun(1000, func() { _, r := l.Admit(0, addr198); seen[r.Reason] = true }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for _, r := range []Reason{ByPenalty, BySourceConcurrency, ByWiderConcurrency, ByEarlyDrop} {
		if !seen[r] {
			t.Errorf("nobody was refused by %s", r)
		}
	}
}

var addr198 = addr("198.51.100.2")
