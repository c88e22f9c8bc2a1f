package admission

import (
	"testing"
	"time"

	"casemate/acl/limit"
)

var benchSpec = limit.Spec{
	Concurrent: 64, Rate: limit.Rate{Events: 1_000_000, Per: time.Second}, Burst: 1000,
	PerSource: limit.PerSource{Concurrent: 4, Rate: limit.Rate{Events: 1000, Per: time.Second}, Burst: 10, Prefix4: 32, Prefix6: 64},
	Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Minute, Max: time.Hour},
}

// BenchmarkAdmitRelease is one admitted session of 1000 known sources.
func BenchmarkAdmitRelease(b *testing.B) {
	benchmark(b, 1000)
}

// BenchmarkAdmitReleaseNewSources makes and forgets an entry each time.
func BenchmarkAdmitReleaseNewSources(b *testing.B) {
	benchmark(b, 1<<20)
}

func benchmark(b *testing.B, sources int) {
	l := New(benchSpec)
	src := make([]Source, sources)
	for i := range src {
		src[i] = nth(i)
	}
	b.ReportAllocs()
	now := int64(0)
	for i := 0; b.Loop(); i++ {
		now += 10_000
		tk, r := l.Admit(now, src[i%sources])
		if r.Refused() {
			b.Fatal(r)
		}
		l.Release(now, &tk)
	}
}

// BenchmarkRefuse is a flood from one source above its rate.
func BenchmarkRefuse(b *testing.B) {
	l := New(benchSpec)
	b.ReportAllocs()
	for b.Loop() {
		l.Admit(0, nth(1))
	}
}

func TestNoAllocations(t *testing.T) {
	l := New(benchSpec)
	now := int64(0)
	i := 0
	run := func() {
		now += 10_000
		i++
		tk, _ := l.Admit(now, nth(i%1000))
		l.Release(now, &tk)
	}
	for range 5000 {
		run()
	}
	if n := testing.AllocsPerRun(5000, run); n != 0 {
		t.Fatalf("%v allocations for one session", n)
	}
}
