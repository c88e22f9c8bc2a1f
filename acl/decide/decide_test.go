package decide

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"casemate/acl"
)

func compile(t testing.TB, l *acl.List) *Matcher {
	t.Helper()
	m, err := Compile(l)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// drafted is a rule that a test goes on with.
type drafted acl.Rule

func from(v acl.Verdict, patterns ...acl.Pattern) drafted {
	return drafted{Verdict: v, From: patterns}
}

func (r drafted) but(patterns ...acl.Pattern) drafted { r.Except = patterns; return r }

func (r drafted) at(prefixes ...string) drafted {
	for _, p := range prefixes {
		r.To = append(r.To, netip.MustParsePrefix(p))
	}
	return r
}

func list(def acl.Verdict, rules ...drafted) *acl.List {
	l := &acl.List{Name: "t", Default: def}
	for _, r := range rules {
		l.Rules = append(l.Rules, acl.Rule(r))
	}
	return l
}

// client reads "192.0.2.1", "192.0.2.1 host.example", "192.0.2.1 unknown",
// "uid=1000", each with an optional last "to:192.0.2.9".
func client(t testing.TB, s string) Client {
	t.Helper()
	var c Client
	for i, f := range strings.Fields(s) {
		local, isLocal := strings.CutPrefix(f, "to:")
		switch {
		case isLocal:
			c.Local = netip.MustParseAddr(local)
		case strings.Contains(f, "="):
			c.Peer = acl.Pattern(f)
		case i == 0:
			c.Addr = netip.MustParseAddr(f)
		default:
			c.Name = Name{State: Known, Host: f}
			if state, ok := map[string]NameState{"unknown": Unknown, "paranoid": Paranoid, "no-answer": NoAnswer}[f]; ok {
				c.Name = Name{State: state}
			}
		}
	}
	return c
}

var (
	byAllow = Decision{Verdict: acl.Allow, Rule: RuleDefault}
	byDeny  = Decision{Verdict: acl.Deny, Rule: RuleDefault}
)

func denyBy(rule int) Decision   { return Decision{Verdict: acl.Deny, Rule: rule} }
func allowBy(rule int) Decision  { return Decision{Verdict: acl.Allow, Rule: rule} }
func needName(rule int) Decision { return Decision{Verdict: acl.Deny, Rule: rule, NeedName: true} }

func TestDecide(t *testing.T) {
	office := list(acl.Deny,
		from(acl.Deny, "192.0.2.66"),
		from(acl.Allow, "192.0.2.0/24", "2001:db8:10::/48", ".example.org").but("cgi.example.org"),
	)
	for _, tc := range []struct {
		name   string
		list   *acl.List
		client string
		want   Decision
	}{
		{"first match wins", office, "192.0.2.66", denyBy(0)},
		{"an address is enough but the exception needs a name", office, "192.0.2.1", needName(1)},
		{"not excepted", office, "192.0.2.1 pc.example.org", allowBy(1)},
		{"excepted", office, "192.0.2.1 cgi.example.org", byDeny},
		{"excepted in other letters", office, "192.0.2.1 CGI.Example.ORG.", byDeny},
		{"by domain", office, "198.51.100.1 a.b.example.org", allowBy(1)},
		{"the domain itself is not in it", office, "198.51.100.1 example.org", byDeny},
		{"nor is a longer word", office, "198.51.100.1 badexample.org", byDeny},
		{"nor a name that only begins so", office, "198.51.100.1 a.example.org.evil.net", byDeny},
		{"no name", office, "198.51.100.1 unknown", byDeny},
		{"no name, by address", office, "192.0.2.1 unknown", allowBy(1)},
		{"no answer, by address, name exception", office, "192.0.2.1 no-answer", byDeny},
		{"v6", office, "2001:db8:10::5 paranoid", allowBy(1)},

		{"default", list(acl.Allow), "192.0.2.1", byAllow},
		{"any", list(acl.Deny, from(acl.Allow, "any")), "2001:db8::1", allowBy(0)},
		{"v4 zero prefix is v4 alone", list(acl.Deny, from(acl.Allow, "0.0.0.0/0")), "2001:db8::1", byDeny},
		{"v6 zero prefix is v6 alone", list(acl.Deny, from(acl.Allow, "::/0")), "192.0.2.1", byDeny},
		{"mapped, which passes a deny rule by", list(acl.Allow, from(acl.Deny, "10.0.0.0/8")), "::ffff:10.1.2.3", denyBy(RuleNoAddress)},
		{"mapped, into an allow rule", list(acl.Deny, from(acl.Allow, "::/0")), "::ffff:192.0.2.1", denyBy(RuleNoAddress)},
		{"with a zone, which passes a deny rule by", list(acl.Allow, from(acl.Deny, "fe80::1")), "fe80::1%eth0", denyBy(RuleNoAddress)},

		{"except binds to its rule", list(acl.Deny, from(acl.Deny, "10.0.0.0/8").but("10.1.0.0/16"), from(acl.Allow, "10.0.0.0/8")), "10.1.2.3", allowBy(1)},
		{"and to no other", list(acl.Deny, from(acl.Allow, "any").but("10.1.0.0/16"), from(acl.Allow, "10.0.0.0/8")), "10.1.2.3", allowBy(1)},

		{"to", list(acl.Deny, from(acl.Allow, "any").at("192.0.2.9/32")), "198.51.100.1 to:192.0.2.9", allowBy(0)},
		{"to, mapped local", list(acl.Deny, from(acl.Allow, "any").at("192.0.2.9/32")), "198.51.100.1 to:::ffff:192.0.2.9", byDeny},
		{"to, mapped local, deny", list(acl.Allow, from(acl.Deny, "any").at("192.0.2.8/32")), "198.51.100.1 to:::ffff:192.0.2.9", denyBy(0)},
		{"to other", list(acl.Deny, from(acl.Allow, "any").at("192.0.2.9/32")), "198.51.100.1 to:192.0.2.8", byDeny},
		{"to, local not known, allow", list(acl.Deny, from(acl.Allow, "any").at("0.0.0.0/0")), "198.51.100.1", byDeny},
		{"to, local not known, deny", list(acl.Allow, from(acl.Deny, "any").at("192.0.2.9/32")), "198.51.100.1", denyBy(0)},
		{"to saves the question", list(acl.Deny, from(acl.Allow, ".example.org").at("192.0.2.9/32")), "198.51.100.1 to:192.0.2.8", byDeny},

		{"known", list(acl.Deny, from(acl.Allow, "known")), "192.0.2.1 a.example", allowBy(0)},
		{"known is not unknown", list(acl.Deny, from(acl.Allow, "known")), "192.0.2.1 unknown", byDeny},
		{"known is not paranoid", list(acl.Deny, from(acl.Allow, "known")), "192.0.2.1 paranoid", byDeny},
		{"unknown", list(acl.Allow, from(acl.Deny, "unknown")), "192.0.2.1 unknown", denyBy(0)},
		{"unknown is not paranoid", list(acl.Allow, from(acl.Deny, "unknown")), "192.0.2.1 paranoid", byAllow},
		{"paranoid", list(acl.Allow, from(acl.Deny, "paranoid")), "192.0.2.1 paranoid", denyBy(0)},

		{"no answer, allow", list(acl.Deny, from(acl.Allow, "known", "unknown", "paranoid")), "192.0.2.1 no-answer", byDeny},
		{"no answer, deny", list(acl.Allow, from(acl.Deny, ".evil.example")), "192.0.2.1 no-answer", denyBy(0)},
		{"no answer, deny by address", list(acl.Deny, from(acl.Deny, "10.0.0.0/8"), from(acl.Allow, "any")), "192.0.2.1 no-answer", allowBy(1)},
		{"no answer, exception of a deny", list(acl.Allow, from(acl.Deny, "any").but("good.example.org")), "192.0.2.1 no-answer", denyBy(0)},
		{"no answer, exception by address", list(acl.Allow, from(acl.Deny, "any").but("192.0.2.1", ".example.org")), "192.0.2.1 no-answer", byAllow},

		{"no question: earlier rule", list(acl.Deny, from(acl.Allow, "192.0.2.0/24"), from(acl.Allow, ".example.org")), "192.0.2.1", allowBy(0)},
		{"no question: address in the same rule", list(acl.Deny, from(acl.Allow, ".example.org", "192.0.2.0/24")), "192.0.2.1", allowBy(0)},
		{"question", list(acl.Deny, from(acl.Allow, ".example.org")), "192.0.2.1", needName(0)},
		{"question, second rule", list(acl.Deny, from(acl.Allow, "10.0.0.0/8"), from(acl.Allow, ".example.org")), "192.0.2.1", needName(1)},
		{"no question: the same verdict either way", list(acl.Deny, from(acl.Deny, ".evil.example")), "192.0.2.1", byDeny},
		{"no question: same verdict by a later rule", list(acl.Deny, from(acl.Allow, ".a.example"), from(acl.Allow, "192.0.2.0/24")), "192.0.2.1", allowBy(1)},
		{"question: verdicts differ in between", list(acl.Deny, from(acl.Deny, ".a.example"), from(acl.Allow, "192.0.2.0/24")), "192.0.2.1", needName(0)},
		{"no question: excepted by address", list(acl.Deny, from(acl.Allow, ".a.example").but("192.0.2.1")), "192.0.2.1", byDeny},

		{"unix, any", list(acl.Deny, from(acl.Allow, "any")), "uid=1000", allowBy(0)},
		{"unix has no name", list(acl.Deny, from(acl.Allow, "known", "unknown", "paranoid", "0.0.0.0/0", "::/0", "localhost")), "uid=1000", byDeny},
		{"unix, excepted", list(acl.Deny, from(acl.Allow, "any").but("any")), "uid=1000", byDeny},
		{"unix, other exceptions", list(acl.Deny, from(acl.Allow, "any").but("unknown", "::/0")), "uid=1000", allowBy(0)},
		{"unix has no local address", list(acl.Deny, from(acl.Allow, "any").at("0.0.0.0/0", "::/0")), "uid=1000", byDeny},

		{"a uid", list(acl.Deny, from(acl.Allow, "uid=1000")), "uid=1000", allowBy(0)},
		{"another uid", list(acl.Deny, from(acl.Allow, "uid=1000", "uid=100", "uid=10001")), "uid=10", byDeny},
		{"a uid is no machine", list(acl.Deny, from(acl.Allow, "cid=1000")), "uid=1000", byDeny},
		{"a uid, excepted", list(acl.Deny, from(acl.Allow, "any").but("uid=1000")), "uid=1000", byDeny},
		{"a uid, denied", list(acl.Allow, from(acl.Deny, "uid=1000")), "uid=1000", denyBy(0)},
		{"an address has no uid", list(acl.Deny, from(acl.Allow, "uid=0", "cid=0")), "192.0.2.1 known.example", byDeny},
		{"nor is it asked for a name", list(acl.Deny, from(acl.Deny, "uid=0"), from(acl.Allow, "192.0.2.0/24")), "192.0.2.1", allowBy(1)},

		{"no acl", nil, "192.0.2.1", denyBy(RuleNoACL)},
		{"no acl, unix", nil, "uid=1000", denyBy(RuleNoACL)},
		{"no address", list(acl.Allow, from(acl.Allow, "any")), "", denyBy(RuleNoAddress)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := compile(t, tc.list)
			c := client(t, tc.client)
			if got := m.Decide(c); got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
			CheckTrace(t, tc.list, c)
		})
	}
}

// CheckTrace holds acl/trace to Decide. It is set by the external half of these
// tests, since acl/trace imports this package.
var CheckTrace func(t testing.TB, l *acl.List, c Client)

// CVE-2000-0536: a host without reverse DNS passed a list of host names.
func TestCVE2000_0536(t *testing.T) {
	for _, l := range []*acl.List{
		list(acl.Deny, from(acl.Allow, ".example.org", "host.example.net")),
		list(acl.Allow, from(acl.Deny, "any").but(".example.org", "host.example.net")),
		list(acl.Allow, from(acl.Deny, ".evil.example", "unknown", "paranoid")),
		list(acl.Deny, from(acl.Allow, "any").but(".evil.example", "unknown", "paranoid")),
	} {
		m := compile(t, l)
		for _, name := range []Name{
			{State: Unknown}, {State: Paranoid}, {State: NoAnswer}, {State: NameState(99)}, {State: Known, Host: ""}, {State: Known, Host: "."}, {State: Known, Host: "A.Example.Org"}, {State: Known, Host: "a.example.org."},
			{State: Unknown, Host: "a.example.org"}, {State: Paranoid, Host: "a.example.org"}, {State: NoAnswer, Host: "a.example.org"}, {State: NotAsked, Host: "a.example.org"},
		} {
			c := Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: name}
			if d := m.Decide(c); d.Verdict != acl.Deny {
				t.Errorf("%+v admits %+v: %+v", l.Rules, name, d)
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for _, tc := range []struct {
		list *acl.List
		want string
	}{
		{list(""), "default: \"\": write allow or deny"},
		{list("Allow"), "default: "},
		{list(acl.Deny, from("permit", "any")), "rules[0].verdict: \"permit\""},
		{list(acl.Deny, from(acl.Allow, "any"), from(acl.Allow)), "rules[1].from: empty"},
		{list(acl.Deny, from(acl.Allow, "any", "10.1.2.3/8")), "rules[0].from[1]: pattern \"10.1.2.3/8\" is not canonical"},
		{list(acl.Deny, from(acl.Allow, "uid=01")), "rules[0].from[0]: pattern \"uid=01\" is not canonical"},
		{list(acl.Deny, from(acl.Allow, "cid=4294967295")), "rules[0].from[0]: pattern \"cid=4294967295\" is not canonical"},
		{list(acl.Deny, from(acl.Allow, "gid=1")), "rules[0].from[0]: pattern \"gid=1\" is not canonical"},
		{list(acl.Deny, from(acl.Allow, "Host.example")), "rules[0].from[0]: pattern \"Host.example\" is not canonical"},
		{list(acl.Deny, from(acl.Allow, "192.0.2.1/32")), "not canonical"},
		{list(acl.Deny, from(acl.Allow, "any").but("ALL")), "rules[0].except[0]: "},
		{list(acl.Deny, from(acl.Allow, "any").at("10.1.2.3/8")), "rules[0].to[0]: 10.1.2.3/8 is not canonical"},
		{list(acl.Deny, from(acl.Allow, "any").at("::ffff:10.0.0.0/104")), "rules[0].to[0]: ::ffff:10.0.0.0/104 is not canonical"},
		{&acl.List{Default: acl.Deny, Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"any"}, To: make([]netip.Prefix, 1)}}}, "rules[0].to[0]: invalid Prefix is not canonical"},
	} {
		m, err := Compile(tc.list)
		if m != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.list, err, tc.want)
		}
	}
}

// A Matcher holds nothing that its List's owner can still change, and may be
// used by many at once.
func TestMatcherStandsAlone(t *testing.T) {
	l := list(acl.Deny, from(acl.Allow, "192.0.2.0/24", ".example.org").but("192.0.2.66").at("203.0.113.0/24"))
	m := compile(t, l)
	l.Default, l.Rules[0].Verdict, l.Rules[0].From[0], l.Rules[0].Except[0] = acl.Allow, acl.Deny, "any", "any"
	l.Rules[0].To[0] = netip.MustParsePrefix("::/0")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				c := client(t, "192.0.2.1 unknown to:203.0.113.1")
				if d := m.Decide(c); d != allowBy(0) {
					t.Errorf("%+v", d)
				}
			}
		})
	}
	wg.Wait()
}

func TestDecideDoesNotAllocate(t *testing.T) {
	m := compile(t, list(acl.Deny, from(acl.Deny, "10.0.0.0/8"), from(acl.Allow, "192.0.2.0/24", ".example.org").but("cgi.example.org")))
	c := client(t, "192.0.2.1 a.b.c.example.org")
	if n := testing.AllocsPerRun(1000, func() { m.Decide(c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecideAddress(b *testing.B) {
	m := compile(b, list(acl.Deny, from(acl.Deny, "10.0.0.0/8", "2001:db8:bad::/48"), from(acl.Allow, "192.0.2.0/24", "2001:db8::/32")))
	c := client(b, "2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		m.Decide(c)
	}
}

func BenchmarkDecideName(b *testing.B) {
	m := compile(b, list(acl.Deny, from(acl.Deny, ".evil.example"), from(acl.Allow, ".example.org").but("cgi.example.org")))
	c := client(b, "192.0.2.1 a.b.c.example.org")
	b.ReportAllocs()
	for b.Loop() {
		m.Decide(c)
	}
}
