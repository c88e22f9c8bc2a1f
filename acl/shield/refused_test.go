package shield

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/reach"
	"casemate/tests/need"
)

// randomList has rules about prefixes that overlap, end side by side and hold each other, and some about names and local addresses.
func randomList(r *rand.Rand) *acl.List {
	pattern := func() acl.Pattern {
		switch r.IntN(10) {
		case 0:
			return []acl.Pattern{acl.Any, "known", ".example", "uid=7"}[r.IntN(4)]
		case 1, 2, 3:
			b := [16]byte{0x20, 1, 0xd, 0xb8, byte(r.IntN(3)), 0, 0, 0, byte(r.IntN(2)) << 7, 0, 0, 0, 0, 0, 0, byte(r.IntN(4))}
			return acl.Pattern(netip.PrefixFrom(netip.AddrFrom16(b), []int{0, 1, 32, 33, 40, 64, 65, 127, 128}[r.IntN(9)]).Masked().String())
		default:
			b := [4]byte{byte(10 + r.IntN(2)), byte(r.IntN(2)) * 255, byte(r.IntN(2)) << 7, byte(r.IntN(4))}
			return acl.Pattern(netip.PrefixFrom(netip.AddrFrom4(b), []int{0, 1, 8, 9, 16, 24, 25, 31, 32}[r.IntN(9)]).Masked().String())
		}
	}
	patterns := func(n int) (out []acl.Pattern) {
		for range n {
			p := pattern()
			if q, err := netip.ParsePrefix(string(p)); err == nil && q.IsSingleIP() {
				p = acl.Pattern(q.Addr().String())
			}
			out = append(out, p)
		}
		return out
	}
	l := &acl.List{Name: "t", Default: []acl.Verdict{acl.Allow, acl.Deny}[r.IntN(2)]}
	for range r.IntN(6) {
		rule := acl.Rule{Verdict: []acl.Verdict{acl.Allow, acl.Deny}[r.IntN(2)], From: patterns(1 + r.IntN(4)), Except: patterns(max(r.IntN(4)-2, 0))}
		if r.IntN(6) == 0 {
			rule.To = []netip.Prefix{netip.MustParsePrefix([]string{"192.0.2.0/24", "2001:db8:ff::/48"}[r.IntN(2)])}
		}
		if r.IntN(6) == 0 {
			rule.During = []acl.Span{{0, 24 * 60}} // Mondays
		}
		l.Rules = append(l.Rules, rule)
	}
	return l
}

// edges are the first and last addresses of all prefixes of a list, those right outside, and some others.
func edges(r *rand.Rand, l *acl.List) []netip.Addr {
	out := []netip.Addr{netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
		netip.AddrFrom4([4]byte{byte(r.Int()), byte(r.Int()), byte(r.Int()), byte(r.Int())})}
	for _, rule := range l.Rules {
		for _, p := range slices.Concat(rule.From, rule.Except) {
			s, ok := reach.Of(p)
			if !ok || s.First.Peer() != "" {
				continue
			}
			for _, a := range []netip.Addr{s.First.Addr(), s.Last.Addr()} {
				for _, b := range []netip.Addr{a, a.Prev(), a.Next()} {
					if b.IsValid() && !b.Is4In6() {
						out = append(out, b)
					}
				}
			}
		}
	}
	return out
}

var monday = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

// circumstances are all in which one address can come to the lists of randomList.
func circumstances(a netip.Addr) (out []decide.Client) {
	locals := []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")}
	if a.Is6() {
		locals = []netip.Addr{{}, netip.MustParseAddr("2001:db8:ff::1"), netip.MustParseAddr("2001:db8::1")}
	}
	for _, local := range locals {
		for _, name := range []decide.Name{{State: decide.Known, Host: "a.example"}, {State: decide.Known, Host: "a.test"}, {State: decide.Unknown}, {State: decide.Paranoid}, {State: decide.NoAnswer}} {
			for _, at := range []time.Time{{}, monday, monday.AddDate(0, 0, 1)} {
				out = append(out, decide.Client{Addr: a, Local: local, Name: name, At: at})
			}
		}
	}
	return out
}

// TestRefusedIsDecided: whom a Table refuses no circumstances admit, and whom it lets pass some do.
func TestRefusedIsDecided(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	tried := map[bool]int{}
	for range need.Rounds(400) {
		l := randomList(r)
		m, err := decide.Compile(l)
		if err != nil {
			t.Fatal(err)
		}
		refused, _, err := Refused(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range edges(r, l) {
			admitted := slices.ContainsFunc(circumstances(a), func(c decide.Client) bool { return m.Decide(c).Verdict == acl.Allow })
			if refused.Refuses(a) == admitted {
				t.Fatalf("%s: the shield refuses %v, some circumstances admit it: %v\nlist %+v\nrefused %v", a, !admitted, admitted, l, refused)
			}
			tried[admitted]++
		}
	}
	if tried[true] < 100 || tried[false] < 100 {
		t.Errorf("%v: one answer is hardly tried", tried)
	}
	if r, _, err := Refused(nil); err != nil || !r.Refuses(netip.MustParseAddr("192.0.2.1")) || !r.Refuses(netip.MustParseAddr("::1")) {
		t.Errorf("no list at all: %v, %v", r, err)
	}
	if r, _, err := Refused(&acl.List{Default: acl.Allow}); err != nil || len(r.IPv4)+len(r.IPv6) > 0 {
		t.Errorf("everybody is admitted: %v, %v", r, err)
	}
}

// listOf is an acl of n prefixes of both families whom it refuses, each by a rule of its own or all by one.
func listOf(n int, one bool) *acl.List {
	l := &acl.List{Name: "many", Default: acl.Allow}
	var all []acl.Pattern
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + i>>15), byte(i >> 7), byte(i << 1), 0}), 24)
		if i%4 == 3 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i >> 16), byte(i >> 8), byte(i), 0, byte(i * 7), 0}), 56)
		}
		all = append(all, acl.Pattern(p.Masked().String()))
	}
	if one {
		l.Rules = []acl.Rule{{Verdict: acl.Deny, From: all}}
		return l
	}
	for i := range all {
		l.Rules = append(l.Rules, acl.Rule{Verdict: acl.Deny, From: all[i : i+1]})
	}
	return l
}

// BenchmarkList is all that a reload works out of an acl for its filter, of n prefixes in one rule, or in as many.
func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		for _, one := range []bool{true, false} {
			l := listOf(n, one)
			b.Run(fmt.Sprintf("%d/%s", n, map[bool]string{true: "rule", false: "rules"}[one]), func(b *testing.B) {
				for b.Loop() {
					r, _, err := Refused(l)
					if err != nil {
						b.Fatal(err)
					}
					Filter(false, Ranges{}, r)
				}
			})
		}
	}
}
