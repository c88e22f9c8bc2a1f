package reach

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/decide"
	"casemate/tests/need"
)

var (
	addresses = []acl.Pattern{"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "0.0.0.0/0", "128.0.0.0/1", "10.1.2.2/31", "255.255.255.255", "255.0.0.0/8", "0.0.0.0/8",
		"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::1", "::/0", "fe80::/10", "8000::/1", "::1", "ffff:ffff:ffff:ffff::/64"}
	words = []acl.Pattern{"known", "unknown", "paranoid", "a.example", "b.a.example", "c.b.a.example", ".a.example", ".example", ".b.a.example", "localhost", "host.example", ".invalid", "host0.invalid"}
	peers = []acl.Pattern{"uid=0", "uid=7", "uid=1000", "uid=4294967294", "cid=0", "cid=7", "cid=4294967294"}
	hosts = []string{"a.example", "b.a.example", "c.b.a.example", "xa.example", "x.example", "y.b.a.example", "localhost", "a.example.net", "host0.invalid", "q.invalid", "other.test"}
	addrs = []string{"10.1.2.3", "10.1.2.4", "10.1.2.2", "10.9.9.9", "192.0.2.1", "255.255.255.255", "255.0.0.1", "0.0.0.1", "11.0.0.0", "9.255.255.255",
		"2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1", "2001:db9::1", "fe80::1", "::1", "::2", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"}
	windows = []string{"mon", "mon-fri 08:00-18:00", "sat,sun", "22:00-06:00", "sun 23:00-01:00", "tue 02:30-02:31"}
	zones   = []*acl.Zone{nil, {Name: "Half/Hour", Offset: 1800}, {Name: "Turn/Twice", Offset: 3600, Changes: []acl.Change{{1774746000, 7200}, {1792890000, 3600}}}}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// randomList is a list of all that rules can ask; names and times are rare enough that addresses decide as well.
func randomList(r *rand.Rand, zone *acl.Zone) *acl.List {
	verdict := func() acl.Verdict { return pick(r, []acl.Verdict{acl.Allow, acl.Deny}) }
	patterns := func(n int) (out []acl.Pattern) {
		for range n {
			switch r.IntN(8) {
			case 0:
				out = append(out, acl.Any)
			case 1, 2:
				out = append(out, pick(r, words))
			case 3:
				out = append(out, pick(r, peers))
			default:
				out = append(out, pick(r, addresses))
			}
		}
		return out
	}
	l := &acl.List{Name: "t", Default: verdict(), Zone: zone}
	for range r.IntN(7) {
		rule := acl.Rule{Verdict: verdict(), From: patterns(1 + r.IntN(4)), Except: patterns(max(r.IntN(5)-2, 0))}
		if r.IntN(4) == 0 {
			for range 1 + r.IntN(2) {
				rule.To = append(rule.To, netip.MustParsePrefix(pick(r, []string{"10.1.0.0/16", "2001:db8::/32", "10.1.2.3/32", "0.0.0.0/0", "::/1"})))
			}
		}
		if r.IntN(4) == 0 {
			rule.During, _ = civil.Parse(pick(r, windows))
		}
		if r.IntN(6) == 0 {
			rule.Command = []string{"/bin/" + pick(r, []string{"a", "b"})}
		}
		l.Rules = append(l.Rules, rule)
	}
	return l
}

// randomClient is one of those who come: what address a client comes to is of its own kind.
func randomClient(r *rand.Rand) decide.Client {
	c := decide.Client{At: begin.Add(time.Duration(r.IntN(2*365*24*60)) * time.Minute), Name: decide.Name{State: decide.NameState(1 + r.IntN(4))}}
	if c.Name.State == decide.Known {
		c.Name.Host = pick(r, hosts)
	}
	if r.IntN(10) == 0 {
		c.Peer, c.Name = pick(r, append(slices.Clone(peers), "uid=8", "cid=8")), decide.Name{}
		return c
	}
	c.Addr = netip.MustParseAddr(pick(r, addrs))
	if r.IntN(8) > 0 {
		for c.Local = netip.MustParseAddr(pick(r, addrs)); c.Local.Is4() != c.Addr.Is4(); {
			c.Local = netip.MustParseAddr(pick(r, addrs))
		}
	}
	return c
}

func point(c decide.Client) Point {
	if c.Peer != "" {
		s, _ := Of(c.Peer)
		return s.First
	}
	return AtAddr(c.Addr)
}

func matcher(t testing.TB, l *acl.List) *decide.Matcher {
	t.Helper()
	m, err := decide.Compile(l)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAgainstDecide: the rule that decides about a client is the one that package decide finds, its Part holds the client, and
// no other part of those about whom it always decides does.
func TestAgainstDecide(t *testing.T) {
	r := need.Random(9)
	tried := map[acl.Verdict]int{}
	for range need.Rounds(1500) {
		l := randomList(r, pick(r, zones))
		m := matcher(t, l)
		table, err := New(l)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := table.Parts(Everybody())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			c := randomClient(r)
			d := m.Decide(c)
			tried[d.Verdict]++
			if got := table.Rule(c); got != d.Rule {
				t.Fatalf("rule %d, decide says %d\nlist %+v\nclient %+v", got, d.Rule, l, c)
			}
			for _, p := range parts {
				if in := p.Clients.Contains(point(c)); p.Rule == d.Rule && !in || p.Rule != d.Rule && p.Always.Contains(point(c)) {
					t.Fatalf("rule %d decides, and the part of rule %d: %v, always %v\nlist %+v\nclient %+v", d.Rule, p.Rule, p.Clients, p.Always, l, c)
				}
			}
			if !slices.ContainsFunc(parts, func(p Part) bool { return p.Rule == d.Rule && p.Verdict == d.Verdict }) {
				t.Fatalf("rule %d decides and is no part\nlist %+v\nclient %+v", d.Rule, l, c)
			}
		}
		for _, p := range parts {
			if d := m.Decide(p.Example); d.NeedName || d.Rule != p.Rule && p.Example.Name.State != decide.NotAsked {
				t.Fatalf("the example of rule %d is decided by %+v\nlist %+v\nclient %+v", p.Rule, d, l, p.Example)
			}
		}
	}
	if tried[acl.Allow] < 100 || tried[acl.Deny] < 100 {
		t.Errorf("%v: one verdict is hardly tried", tried)
	}
}

// TestShadow: who shadows a rule leaves nobody to it, and no fewer of them do; of a rule that somebody reaches there is no shadow.
func TestShadow(t *testing.T) {
	r := need.Random(1)
	dead, several := 0, 0
	for range need.Rounds(1000) {
		l := randomList(r, pick(r, zones))
		table, err := New(l)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := table.Parts(Everybody())
		if err != nil {
			t.Fatal(err)
		}
		for i := range l.Rules {
			s, err := table.Shadow(i)
			if err != nil {
				t.Fatal(err)
			}
			if reached := slices.ContainsFunc(parts, func(p Part) bool { return p.Rule == i }); reached != (s == nil) {
				t.Fatalf("rule %d: reached %v, shadow %+v\nlist %+v", i, reached, s, l)
			}
			if s == nil {
				continue
			}
			dead++
			if len(s.By) > 1 {
				several++
			}
			for n := range 20 {
				// In the list of the shadowing rules and this one, this one decides about nobody.
				sub := &acl.List{Default: acl.Deny, Zone: l.Zone}
				for _, k := range append(slices.Clone(s.By), i) {
					sub.Rules = append(sub.Rules, l.Rules[k])
				}
				if c := randomClient(r); matcher(t, sub).Decide(c).Rule == len(s.By) {
					t.Fatalf("rule %d, try %d: %+v leaves it %+v\nlist %+v", i, n, s, c, l)
				}
			}
		}
	}
	if dead < 50 || several < 5 {
		t.Errorf("%d rules without clients, %d of them by several: hardly tried", dead, several)
	}
}

func parse(list ...string) (s Set) {
	for _, p := range list {
		span, ok := Of(acl.Pattern(p))
		if !ok {
			panic(p)
		}
		s = append(s, span)
	}
	return normal(s)
}

// TestShadowsByHand are shadows as a person finds them.
func TestShadowsByHand(t *testing.T) {
	allow := func(p ...acl.Pattern) acl.Rule { return acl.Rule{Verdict: acl.Allow, From: p} }
	but := func(r acl.Rule, p ...acl.Pattern) acl.Rule { r.Except = p; return r }
	during := func(r acl.Rule, w string) acl.Rule { r.During, _ = civil.Parse(w); return r }
	to := func(r acl.Rule, p string) acl.Rule { r.To = []netip.Prefix{netip.MustParsePrefix(p)}; return r }
	deny := func(r acl.Rule) acl.Rule { r.Verdict = acl.Deny; return r }
	for name, c := range map[string]struct {
		rules []acl.Rule
		want  []int // of the last one; nil is reached
	}{
		"halves":                 {[]acl.Rule{allow("10.0.0.0/9"), allow("192.0.2.1"), allow("10.128.0.0/9"), allow("10.0.0.0/8")}, []int{0, 2}},
		"a hole":                 {[]acl.Rule{but(allow("10.0.0.0/8"), "10.1.2.3"), allow("10.0.0.0/8")}, nil},
		"any":                    {[]acl.Rule{allow("any"), allow(".example.org", "uid=7")}, []int{0}},
		"every address, not all": {[]acl.Rule{allow("0.0.0.0/0", "::/0"), allow("any")}, nil},
		"domain":                 {[]acl.Rule{allow(".example.org"), allow("www.example.org")}, []int{0}},
		"host in a domain":       {[]acl.Rule{allow("www.example.org"), allow(".example.org")}, nil},
		"known":                  {[]acl.Rule{allow("known"), allow(".example.org")}, []int{0}},
		"the states of a name":   {[]acl.Rule{allow("known", "unknown", "paranoid"), allow("10.0.0.0/8")}, nil}, // who has no answer
		"denied by any state":    {[]acl.Rule{deny(allow("known")), deny(allow("unknown")), deny(allow("paranoid")), allow("10.0.0.0/8")}, []int{0, 1, 2}},
		"the week":               {[]acl.Rule{during(allow("any"), "mon-fri"), during(allow("any"), "sat,sun"), allow("10.0.0.0/8")}, []int{0, 1}},
		"most of the week":       {[]acl.Rule{during(allow("any"), "mon-fri"), during(allow("any"), "sat"), allow("10.0.0.0/8")}, nil},
		"local":                  {[]acl.Rule{to(allow("any"), "192.0.2.0/24"), to(allow("10.0.0.0/8"), "192.0.2.1/32")}, []int{0}},
		"not every local":        {[]acl.Rule{to(allow("any"), "0.0.0.0/0"), allow("10.0.0.0/8")}, nil}, // one that is not known
		"itself":                 {[]acl.Rule{but(allow("10.1.2.0/24", ".example.org"), "10.0.0.0/8", ".org")}, []int{}},
	} {
		l := &acl.List{Default: acl.Deny, Rules: c.rules}
		table, err := New(l)
		if err != nil {
			t.Fatal(err)
		}
		s, err := table.Shadow(len(c.rules) - 1)
		if err != nil || (s == nil) != (c.want == nil) || s != nil && !slices.Equal(s.By, c.want) {
			t.Errorf("%s: %+v, want %v (%v)", name, s, c.want, err)
		}
	}
}

// TestSets holds the algebra to its points, at all edges of what it is made of.
func TestSets(t *testing.T) {
	r := need.Random(8)
	random := func() Set {
		var list []string
		for range r.IntN(6) {
			list = append(list, string(pick(r, append(slices.Clone(addresses), peers...))))
		}
		return parse(list...)
	}
	for range need.Rounds(3000) {
		a, b := random(), random()
		var edges []Point
		for _, s := range append(slices.Clone(a), b...) {
			edges = append(edges, s.First, s.Last)
			if s.First != first(s.First.Kind) {
				edges = append(edges, s.First.prev())
			}
			if s.Last != last(s.Last.Kind) {
				edges = append(edges, s.Last.next())
			}
		}
		u, x, m := Union(a, b), a.Intersect(b), a.Minus(b)
		for _, p := range edges {
			inA, inB := a.Contains(p), b.Contains(p)
			if u.Contains(p) != (inA || inB) || x.Contains(p) != (inA && inB) || m.Contains(p) != (inA && !inB) {
				t.Fatalf("%v: %v and %v: union %v, both %v, minus %v", p, a, b, u, x, m)
			}
		}
		for _, s := range []Set{u, x, m} {
			if !slices.Equal(s, normal(slices.Clone(s))) {
				t.Fatalf("%v is not in order", s)
			}
		}
		for k := range kinds {
			if got, want := u.Count(k), x.Count(k); got.Add(got, want).Cmp(want.Add(a.Count(k), b.Count(k))) != 0 {
				t.Fatalf("%v and %v: union %v, both %v: counts", a, b, u, x)
			}
		}
		if back := parse(u.Only(IPv4).Patterns()...); !slices.Equal(back, u.Only(IPv4)) {
			t.Fatalf("%v comes back as %v", u.Only(IPv4), back)
		}
		if back := parse(u.Only(IPv6).Patterns()...); !slices.Equal(back, u.Only(IPv6)) {
			t.Fatalf("%v comes back as %v", u.Only(IPv6), back)
		}
	}
	if got := parse("10.0.0.0/8").Minus(parse("10.0.0.1")).Patterns(); len(got) != 24 || got[0] != "10.0.0.0" || got[1] != "10.0.0.2/31" {
		t.Errorf("%q", got)
	}
	if n := Whole(IPv6).Count(IPv6).String(); n != "340282366920938463463374607431768211456" {
		t.Error(n)
	}
}
