package admission

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"casemate/acl/limit"
)

// BenchmarkMemory prints what sources that owe something take: a full table of them, and a million, each alone or with a /30 that four
// share and a /16.
func BenchmarkMemory(b *testing.B) {
	ladder := []limit.Wider{{Prefix4: 30, Times: 8}, {Prefix4: 16, Times: 1 << 17}}
	for _, tc := range []struct {
		name    string
		sources int
		wider   []limit.Wider
	}{{"full", MaxSources, nil}, {"million", 1_000_000, nil}, {"million-wider", 1_000_000, ladder}} {
		b.Run(tc.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				l := small(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32, Wider: tc.wider}}, 2*tc.sources)
				for n := range tc.sources {
					tk, r := l.Admit(0, nth(n))
					if r.Refused() {
						b.Fatal(r)
					}
					l.Release(0, &tk)
				}
				b.ReportMetric(float64(heap()-before)/float64(tc.sources), "B/source")
				b.ReportMetric(float64(heap()-before)/float64(len(l.table.all)), "B/entry")
				runtime.KeepAlive(l)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkOverflow is a flood of new sources at a table that is full of live ones.
func BenchmarkOverflow(b *testing.B) {
	l := New(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32}})
	for n := range MaxSources + poolShare {
		l.Admit(0, nth(n))
	}
	b.ReportAllocs()
	n := MaxSources + poolShare
	for b.Loop() {
		n++
		if _, r := l.Admit(0, Peer(netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), 0)); r.Reason != ByTableFull {
			b.Fatal(r)
		}
	}
}
