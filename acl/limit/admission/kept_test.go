package admission

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"casemate/acl/limit"
)

func recalled(t *testing.T, now int64, from *Limiter, s limit.Spec) *Limiter {
	t.Helper()
	k, rest, err := DecodeKept(from.Keep(now, 0).Append(nil))
	if err != nil || len(rest) > 0 {
		t.Fatal(err, len(rest))
	}
	l := New(s)
	l.Recall(now, k)
	return l
}

// A Limiter that recalls what another kept answers every source as that one does, at any time after, sessions left aside:
// also after being handed the same thing twice.
func TestRecalledAnswersAlike(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		spec := randomSpec(r)
		spec.Concurrent, spec.EarlyDrop, spec.PerSource.Concurrent = 0, limit.EarlyDrop{}, 0
		l, now := New(spec), int64(0)
		for range 300 {
			now += r.Int64N(sec / 20)
			tk, _ := l.Admit(now, Peer(randomAddr(r), uint64(r.IntN(3))))
			l.Release(now, &tk)
			if r.IntN(5) == 0 {
				l.Penalize(now, Peer(randomAddr(r), 0), limit.Crash)
			}
		}
		next := recalled(t, now, l, spec)
		k := l.Keep(now, 0)
		next.Recall(now, k)
		for range 300 {
			now += r.Int64N(sec / 20)
			src := Peer(randomAddr(r), 0)
			if a, b := l.Peek(now, src), next.Peek(now, src); a != b {
				t.Fatalf("seed %d: %v, and the next %v\n%+v", seed, a, b, spec)
			}
			a, _ := l.Admit(now, src)
			b, _ := next.Admit(now, src)
			l.Release(now, &a)
			next.Release(now, &b)
		}
	}
}

// What is recalled under other limits is no more than they allow, and penalties hold for the whole old prefix.
func TestRecallUnderOtherLimits(t *testing.T) {
	spec := limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 24, Wider: []limit.Wider{{Prefix4: 16, Times: 2}}},
		Penalty: limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Hour, Max: time.Hour}}
	l := New(spec)
	l.Penalize(0, addr("192.0.2.1"), limit.Crash)
	l.Release(0, admit(t, l, 0, addr("198.51.100.1")))
	spec.PerSource.Prefix4, spec.PerSource.Wider, spec.Penalty.Max, spec.Penalty.First = 32, nil, time.Minute, time.Minute
	next := recalled(t, 0, l, spec)
	refused(t, next, 0, addr("192.0.2.99"), ByPenalty, time.Minute)
	admit(t, next, 0, addr("198.51.100.1"))
	spec.PerSource.Prefix4 = 8
	next = recalled(t, 0, l, spec)
	refused(t, next, 0, addr("192.255.0.1"), ByPenalty, time.Minute)
	next = recalled(t, 0, l, limit.Spec{})
	admit(t, next, 0, addr("192.0.2.1"))
	if s := next.sweepAll(sec); s.sources != 0 {
		t.Errorf("%+v", s)
	}
}

// Of too many sources those are kept that are shut out the longest; a text is no longer than it says; a table that has
// no room takes no more.
func TestKeptIsBounded(t *testing.T) {
	l := New(limit.Spec{PerSource: limit.PerSource{Prefix4: 32}, Penalty: limit.Penalty{On: limit.Classes, First: time.Second, Max: time.Hour}})
	for n := range 2 * MaxKept {
		for range 1 + n%2 {
			l.Penalize(0, nth(n), limit.Crash)
		}
	}
	k := l.Keep(0, 0)
	if n := len(k.Append(nil)); len(k.sources) != MaxKept || n != MaxKeptText {
		t.Fatalf("%d sources, %d bytes of %d", len(k.sources), n, MaxKeptText)
	}
	if slices.ContainsFunc(k.sources, func(o owed) bool { return o.penalty != 2*sec }) {
		t.Error("not the longest are kept")
	}
	if k := l.Keep(0, 3*sec); len(k.sources) != 0 {
		t.Errorf("%d last longer than 3 s", len(k.sources))
	}
	next := small(limit.Spec{PerSource: limit.PerSource{Prefix4: 32}, Penalty: limit.Penalty{On: limit.Classes, First: time.Second, Max: time.Hour}}, 5)
	next.Recall(0, k)
	if s := next.state(); s.sources != 5 {
		t.Errorf("%+v", s)
	}
}

// FuzzKept: what decodes encodes to the same bytes, and recalling it breaks nothing and shuts nobody out for longer than the limits say.
func FuzzKept(f *testing.F) {
	l := New(limit.Spec{PerSource: ladder, Penalty: limit.Penalty{On: limit.Classes, First: time.Minute, Max: time.Hour}, Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 9})
	l.Penalize(0, addr("192.0.2.1"), limit.Crash)
	l.Penalize(0, addr("2001:db8::1"), limit.Crash)
	l.Penalize(0, Source{}, limit.Crash)
	l.Admit(0, nth(1))
	f.Add(l.Keep(0, -1).Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		k, rest, err := DecodeKept(text)
		if err != nil {
			return
		}
		if again := k.Append(nil); !bytes.Equal(again, text[:len(text)-len(rest)]) {
			t.Fatalf("%x came back as %x", text, again)
		}
		spec := limit.Spec{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 2, PerSource: ladder, Penalty: limit.Penalty{On: limit.Classes, First: time.Minute, Max: time.Hour}}
		next := small(spec, 16)
		next.Recall(sec, k)
		audit(t, next, nil)
		for _, o := range k.sources {
			if r := next.Peek(sec, o.key.source()); r.RetryAfter < 0 || r.RetryAfter > time.Hour {
				t.Fatalf("%+v", r)
			}
		}
		if left := next.sweepAll(sec + int64(time.Hour)); left != (state{}) {
			t.Fatalf("%+v left", left)
		}
	})
}
