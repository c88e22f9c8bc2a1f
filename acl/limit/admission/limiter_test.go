package admission

import (
	"net/netip"
	"testing"
	"time"

	"casemate/acl/limit"
)

func addr(s string) Source { return Peer(netip.MustParseAddr(s), 0) }

// nth is the n-th of many sources, each in a /32 of its own.
func nth(n int) Source {
	return Peer(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 0)
}

func admit(t *testing.T, l *Limiter, now int64, src Source) *Ticket {
	t.Helper()
	tk, r := l.Admit(now, src)
	if r.Refused() {
		t.Fatalf("at %v: %v", time.Duration(now), r)
	}
	return &tk
}

func refused(t *testing.T, l *Limiter, now int64, src Source, want Reason, wait time.Duration) {
	t.Helper()
	if p := l.Peek(now, src); p != refuse(want, int64(wait)) {
		t.Fatalf("at %v: Peek = %v, want %v after %v", time.Duration(now), p, want, wait)
	}
	tk, r := l.Admit(now, src)
	if r != refuse(want, int64(wait)) || tk != (Ticket{}) {
		t.Fatalf("at %v: Admit = %v, %v, want %v after %v", time.Duration(now), tk, r, want, wait)
	}
}

func TestEachReason(t *testing.T) {
	a, b := addr("192.0.2.1"), addr("192.0.2.2")
	source := func(p limit.PerSource) limit.Spec { p.Prefix4, p.Prefix6 = 32, 64; return limit.Spec{PerSource: p} }
	for _, tc := range []struct {
		name  string
		spec  limit.Spec
		want  Reason
		wait  time.Duration
		other bool // another source is still admitted
	}{
		{"rate", limit.Spec{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 2}, ByRate, time.Second, false},
		{"concurrency", limit.Spec{Concurrent: 2}, ByConcurrency, 0, false},
		{"source concurrency", source(limit.PerSource{Concurrent: 2}), BySourceConcurrency, 0, true},
		{"source rate", source(limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Minute}, Burst: 2}), BySourceRate, time.Minute, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := New(tc.spec)
			admit(t, l, 0, a)
			last := admit(t, l, 0, a)
			refused(t, l, 0, a, tc.want, tc.wait)
			if _, r := l.Admit(0, b); r.Refused() == tc.other {
				t.Fatalf("another source: %v", r)
			}
			if tc.wait == 0 {
				l.Release(0, last)
			}
			if got := l.Peek(int64(tc.wait), a); tc.other && got.Refused() {
				t.Fatalf("after %v: %v", tc.wait, got)
			}
		})
	}
}

func TestZeroSpecAdmits(t *testing.T) {
	l := New(limit.Spec{})
	for n := range 10000 {
		admit(t, l, 0, nth(n))
	}
	if s := l.state(); s.active != 10000 || s.sources != 0 {
		t.Fatalf("%+v", s)
	}
}

func TestOrderOfReasons(t *testing.T) {
	spec := limit.Spec{
		Concurrent: 1, Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 1,
		PerSource: limit.PerSource{Concurrent: 1, Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash}, First: 10 * time.Second, Max: time.Minute},
	}
	a := addr("192.0.2.1")
	l := New(spec)
	admit(t, l, 0, a)
	l.Penalize(0, a, limit.Crash)
	refused(t, l, 0, a, ByPenalty, 10*time.Second)

	spec.Penalty = limit.Penalty{}
	l = New(spec)
	tk := admit(t, l, 0, a)
	refused(t, l, 0, a, ByRate, time.Second)
	refused(t, l, sec, a, ByConcurrency, 0)
	spec.Concurrent = 0
	l.Reconfigure(spec)
	refused(t, l, sec, a, BySourceConcurrency, 0)
	l.Release(sec, tk)
	refused(t, l, sec, a, BySourceRate, time.Hour-time.Second)
	admit(t, l, int64(time.Hour), a)
}

// What one source is refused costs the others nothing, whatever the reason.
func TestSourceRefusalsLeaveSharedBudget(t *testing.T) {
	for _, tc := range []struct {
		name string
		per  limit.PerSource
		want Reason
		prep func(l *Limiter, src Source)
	}{
		{"rate", limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32}, BySourceRate, nil},
		{"concurrency", limit.PerSource{Concurrent: 1, Prefix4: 32}, BySourceConcurrency, nil},
		{"penalty", limit.PerSource{Prefix4: 32}, ByPenalty, func(l *Limiter, src Source) { l.Penalize(0, src, limit.Violation) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := New(limit.Spec{
				Concurrent: 3, Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 3, PerSource: tc.per,
				Penalty: limit.Penalty{On: []limit.Class{limit.Violation}, First: time.Minute, Max: time.Minute},
			})
			bad := addr("192.0.2.66")
			admit(t, l, 0, bad)
			if tc.prep != nil {
				tc.prep(l, bad)
			}
			for range 1000 {
				if r := l.Peek(0, bad); r.Reason != tc.want {
					t.Fatalf("%v, want %v", r, tc.want)
				}
				l.Admit(0, bad)
			}
			admit(t, l, 0, addr("192.0.2.1"))
			admit(t, l, 0, addr("192.0.2.2"))
			refused(t, l, 0, addr("192.0.2.3"), ByRate, time.Hour)
		})
	}
}

func TestRefusalWritesNothing(t *testing.T) {
	l := New(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Second}, Burst: 3, Prefix4: 32}})
	a := addr("192.0.2.1")
	for range 3 {
		l.Release(0, admit(t, l, 0, a))
	}
	for range 1000 {
		refused(t, l, 0, a, BySourceRate, time.Second)
	}
	admit(t, l, sec, a) // the refused attempts did not push it back
	refused(t, l, sec, a, BySourceRate, time.Second)
}

func TestSourceKeys(t *testing.T) {
	for _, tc := range []struct {
		name   string
		a, b   Source
		shared bool
	}{
		{"same /32", addr("192.0.2.1"), addr("192.0.2.1"), true},
		{"an address, whatever the uid", Peer(netip.MustParseAddr("192.0.2.1"), 7), addr("192.0.2.1"), true},
		{"other v4", addr("192.0.2.1"), addr("192.0.2.2"), false},
		{"same /64", addr("2001:db8::1"), addr("2001:db8::ffff:1"), true},
		{"zone", addr("fe80::1%eth0"), addr("fe80::1%eth1"), true},
		{"other /64", addr("2001:db8::1"), addr("2001:db8:0:1::1"), false},
		{"uid", Peer(netip.Addr{}, 1000), Peer(netip.Addr{}, 1000), true},
		{"other uid", Peer(netip.Addr{}, 1000), Peer(netip.Addr{}, 1001), false},
		{"uid 0 and no address", Peer(netip.Addr{}, 0), Source{}, false},
		{"v4 and v6 of the same bits", addr("1.2.3.4"), addr("102:304::"), false},
		{"no address", Source{}, Source{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := New(limit.Spec{PerSource: limit.PerSource{Concurrent: 1, Prefix4: 32, Prefix6: 64}})
			admit(t, l, 0, tc.a)
			if r := l.Peek(0, tc.b); r.Refused() != tc.shared {
				t.Fatalf("%v", r)
			}
		})
	}
}

func TestPrefixLengths(t *testing.T) {
	base := netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	for bits := range 129 {
		p, err := base.Prefix(bits)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Peer(base, 0).cut(0, uint8(bits)), Peer(p.Addr(), 0).cut(0, uint8(bits)); got != want {
			t.Fatalf("/%d: %v, want %v", bits, got, want)
		}
		if a := Peer(p.Addr(), 0); a.hi != Peer(base, 0).cut(0, uint8(bits)).hi || a.lo != Peer(base, 0).cut(0, uint8(bits)).lo {
			t.Fatalf("/%d is not the masked address", bits)
		}
	}
	base = netip.MustParseAddr("255.255.255.255")
	for bits := range 33 {
		p, _ := base.Prefix(bits)
		if Peer(p.Addr(), 0).hi != Peer(base, 0).cut(uint8(bits), 0).hi {
			t.Fatalf("/%d is not the masked address", bits)
		}
	}
}

func TestTickets(t *testing.T) {
	l := New(limit.Spec{Concurrent: 2})
	a := addr("192.0.2.1")
	first := admit(t, l, 0, a)
	l.Release(0, &Ticket{})
	l.Release(0, admit(t, New(limit.Spec{Concurrent: 2}), 0, a)) // another's
	if l.state().active != 1 {
		t.Fatal("a ticket nobody gave out freed a session")
	}
	l.Release(0, first)
	l.Release(0, first)
	if n := l.state().active; n != 0 {
		t.Fatalf("active %d", n)
	}
	second := admit(t, l, 0, a) // the same slot
	l.Release(0, first)
	if n := l.state().active; n != 1 {
		t.Fatalf("an old ticket freed a new session: active %d", n)
	}
	l.Release(0, second)
}

func TestPenalties(t *testing.T) {
	spec := limit.Spec{
		PerSource: limit.PerSource{Prefix4: 24, Prefix6: 64},
		Penalty:   limit.Penalty{On: []limit.Class{limit.Crash, limit.Violation}, First: 90 * time.Second, Max: 200 * time.Second},
	}
	l := New(spec)
	a, neighbour, other := addr("192.0.2.1"), addr("192.0.2.200"), addr("198.51.100.1")
	l.Penalize(0, a, limit.Timeout)
	if l.Peek(0, a).Refused() {
		t.Fatal("a class the spec does not name earned a penalty")
	}
	l.Penalize(0, a, limit.Crash)
	refused(t, l, 0, a, ByPenalty, 90*time.Second)
	refused(t, l, 0, neighbour, ByPenalty, 90*time.Second)
	if l.Peek(0, other).Refused() {
		t.Fatal("the penalty left its prefix")
	}
	l.Penalize(10*sec, a, limit.Violation)
	refused(t, l, 10*sec, a, ByPenalty, 170*time.Second) // 80 left and 90 more
	l.Penalize(20*sec, a, limit.Crash)
	refused(t, l, 20*sec, a, ByPenalty, 200*time.Second) // capped
	refused(t, l, 220*sec-1, a, ByPenalty, 1)
	admit(t, l, 220*sec, a)
	l.Penalize(1000*sec, a, limit.Crash) // an expired one does not count again
	refused(t, l, 1000*sec, a, ByPenalty, 90*time.Second)
}

func TestPenaltyOfUnixPeer(t *testing.T) {
	l := New(limit.Spec{Penalty: limit.Penalty{On: []limit.Class{limit.Crash}, First: time.Second, Max: time.Second}})
	l.Penalize(0, Peer(netip.Addr{}, 1000), limit.Crash)
	refused(t, l, 0, Peer(netip.Addr{}, 1000), ByPenalty, time.Second)
	admit(t, l, 0, Peer(netip.Addr{}, 1001))
}
