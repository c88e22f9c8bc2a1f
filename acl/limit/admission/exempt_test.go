package admission

import (
	"net/netip"
	"testing"
	"time"

	"casemate/acl/limit"
)

func prefixes(text ...string) (out []netip.Prefix) {
	for _, t := range text {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// Nothing is counted of who is exempt, and all that is counted of everybody is.
func TestExempt(t *testing.T) {
	per := limit.PerSource{Concurrent: 1, Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 24, Prefix6: 64, Wider: []limit.Wider{{Prefix4: 16, Prefix6: 48, Times: 2}}}
	spec := limit.Spec{Concurrent: 8, PerSource: per, Penalty: limit.Penalty{On: limit.Classes, First: time.Hour, Max: time.Hour},
		Exempt: prefixes("192.0.2.7/32", "2001:db8::/32")}
	for _, tc := range []struct{ exempt, neighbour, outside string }{
		{"192.0.2.7", "192.0.2.8", "192.0.3.1"}, {"2001:db8:1::1", "2001:db9::1", "2001:db9:0:1::1"},
	} {
		l := New(spec)
		a, b, c := addr(tc.exempt), addr(tc.neighbour), addr(tc.outside)
		var live []*Ticket
		for range 5 {
			live = append(live, admit(t, l, 0, a))
		}
		l.Penalize(0, a, limit.Crash)
		l.Shut(0, a, func(p netip.Prefix, wait int64) { t.Errorf("%s is shut out by %s", tc.exempt, p) })
		if s := l.state(); s.sources != 0 || s.active != 5 {
			t.Fatalf("%s: %+v", tc.exempt, s)
		}
		live = append(live, admit(t, l, 0, b), admit(t, l, 0, c)) // its network has lost nothing by it
		refused(t, l, 0, c, BySourceConcurrency, 0)
		l.Penalize(0, b, limit.Crash)
		refused(t, l, 0, b, ByPenalty, time.Hour)
		live = append(live, admit(t, l, 0, a)) // and what its neighbours do is theirs, also where they are one source
		refused(t, l, 0, a, ByConcurrency, 0)  // the service's own is for all
		if l.Alike(a, a) || l.Alike(a, b) || l.Alike(b, a) || !l.Alike(b, b) {
			t.Error("of a queue its source has a part")
		}
		for _, tk := range live {
			l.Release(0, tk)
		}
		resumed := l.Resume(0, a)
		if resumed.source != nil || l.state().active != 1 {
			t.Error("a session that runs already is counted of who is exempt")
		}
		audit(t, l, []Ticket{resumed})
	}
	l := New(limit.Spec{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Exempt: spec.Exempt})
	admit(t, l, 0, addr("192.0.2.7"))
	refused(t, l, 0, addr("192.0.2.7"), ByRate, time.Hour)
	l = New(limit.Spec{Concurrent: 2, EarlyDrop: limit.EarlyDrop{Start: 1, Percent: 100}, Exempt: spec.Exempt})
	admit(t, l, 0, addr("192.0.2.7"))
	refused(t, l, 0, addr("192.0.2.7"), ByEarlyDrop, 0)
}

// What nobody checked exempts nobody, and who has no address is exempt by none.
func TestExemptIsCanonical(t *testing.T) {
	one := limit.PerSource{Concurrent: 1, Prefix4: 32, Prefix6: 128}
	for p, a := range map[netip.Prefix]netip.Addr{
		netip.PrefixFrom(netip.MustParseAddr("192.0.2.7"), 24): netip.MustParseAddr("192.0.2.7"),
		netip.PrefixFrom(netip.MustParseAddr("192.0.2.7"), 33): netip.MustParseAddr("192.0.2.7"),
		netip.MustParsePrefix("::ffff:192.0.2.0/120"):          netip.MustParseAddr("192.0.2.7"),
		{}:                                 {},
		netip.MustParsePrefix("::/0"):      netip.MustParseAddr("192.0.2.7"), // of the other family
		netip.MustParsePrefix("0.0.0.0/0"): {},
	} {
		l := New(limit.Spec{PerSource: one, Exempt: []netip.Prefix{p}})
		admit(t, l, 0, Peer(a, 7))
		refused(t, l, 0, Peer(a, 7), BySourceConcurrency, 0)
	}
	many := make([]netip.Prefix, limit.MaxExempt+1)
	for i := range many {
		many[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	l := New(limit.Spec{Exempt: many})
	if !l.Exempt(nth(limit.MaxExempt-1)) || l.Exempt(nth(limit.MaxExempt)) {
		t.Error("not the first so many are exempt")
	}
}

// A reload exempts and counts again from its moment on; sessions stay where they were counted.
func TestExemptAndReload(t *testing.T) {
	spec := limit.Spec{PerSource: limit.PerSource{Concurrent: 1, Prefix4: 32, Wider: []limit.Wider{{Prefix4: 24, Times: 2}}}, Penalty: limit.Penalty{On: limit.Classes, First: time.Hour, Max: time.Hour}}
	l, a := New(spec), addr("192.0.2.7")
	first := admit(t, l, 0, a)
	l.Penalize(0, a, limit.Crash)
	refused(t, l, 0, a, ByPenalty, time.Hour)
	spec.Exempt = prefixes("192.0.2.0/24")
	l.Reconfigure(spec)
	second := admit(t, l, 0, a)
	audit(t, l, []Ticket{*first, *second})
	l.Release(0, first)
	spec.Exempt = nil
	l.Reconfigure(spec)
	refused(t, l, 0, a, ByPenalty, time.Hour) // it was earned before, and is not over
	admit(t, l, int64(time.Hour), a)          // what began while it was exempt stays uncounted
	audit(t, l, []Ticket{*second, {l, l.table.index[a.cut(32, 0)]}})
}

// A network around sources whose rate is used up has no newcomer in by the pool either.
func TestFullTableAsksWider(t *testing.T) {
	l := small(limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32, Wider: []limit.Wider{{Prefix4: 24, Times: 2}}}}, 4)
	for _, a := range []string{"192.0.2.1", "192.0.2.2"} {
		l.Release(0, admit(t, l, 0, addr(a)))
	}
	if _, got := l.Admit(0, addr("192.0.2.3")); got != (Refusal{ByWiderRate, 30 * time.Minute, 1}) {
		t.Fatal(got)
	}
	before := l.state().sources
	l.Release(0, admit(t, l, 0, addr("198.51.100.1"))) // another network's gets in by it, and is counted nowhere
	if l.state().sources != before {
		t.Fatal("the pool's are counted in networks")
	}
}
