package decide

import (
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
)

// The naive matcher reads patterns as text, one by one, and shares no code with
// the Matcher. It knows only clients whose name has been asked for.

// naiveName is a name in the one spelling that counts.
var naiveName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$`)

// naivePattern is whether p matches, and whether that is known.
func naivePattern(p acl.Pattern, c Client) (match, known bool) {
	if p == "any" {
		return true, true
	}
	if c.Peer != "" {
		return p == c.Peer, true
	}
	if strings.Contains(string(p), "=") {
		return false, true
	}
	a := c.Addr
	if one, err := netip.ParseAddr(string(p)); err == nil {
		return one == a, true
	}
	if pre, err := netip.ParsePrefix(string(p)); err == nil {
		return pre.Contains(a), true
	}
	if c.Name.State == NoAnswer || c.Name.State == Known && !naiveName.MatchString(c.Name.Host) {
		return false, false
	}
	host := c.Name.Host
	switch {
	case p == "known":
		return c.Name.State == Known, true
	case p == "unknown":
		return c.Name.State == Unknown, true
	case p == "paranoid":
		return c.Name.State == Paranoid, true
	case c.Name.State != Known:
		return false, true
	case p[0] == '.':
		return strings.HasSuffix(host, string(p)) && len(host) > len(p), true
	}
	return host == string(p), true
}

// naiveSet places what is not known on the side the caller says.
func naiveSet(patterns []acl.Pattern, c Client, unanswered bool) bool {
	for _, p := range patterns {
		if match, known := naivePattern(p, c); match || !known && unanswered {
			return true
		}
	}
	return false
}

func naiveDecide(l *acl.List, c Client) Decision {
	for i, r := range l.Rules {
		deny := r.Verdict == acl.Deny
		if !naiveSet(r.From, c, deny) || naiveSet(r.Except, c, !deny) {
			continue
		}
		to := len(r.To) == 0
		for _, p := range r.To {
			local := c.Local
			to = to || c.Peer == "" && (p.Contains(local) || !local.IsValid() && deny)
		}
		if to {
			return Decision{Verdict: r.Verdict, Rule: i}
		}
	}
	return Decision{Verdict: l.Default, Rule: RuleDefault}
}

// source is where random lists and clients come from: a generator, or a
// fuzzer's bytes.
type source interface{ IntN(n int) int }

type byteSource []byte

func (b *byteSource) IntN(n int) int {
	if len(*b) == 0 {
		return 0
	}
	v := int((*b)[0]) % n
	*b = (*b)[1:]
	return v
}

var somePatterns = []acl.Pattern{
	"any", "known", "unknown", "paranoid",
	"10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "0.0.0.0/0", "128.0.0.0/1", "10.1.2.2/31",
	"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::1", "::/0", "fe80::/10", "fe80::1",
	"a.example", "b.a.example", "c.b.a.example", ".a.example", ".example", ".b.a.example", "localhost", "uid=0", "uid=7", "cid=7",
}

var someHosts = []string{
	"a.example", "b.a.example", "c.b.a.example", "B.A.Example", "xa.example", "example", "localhost", "a.example.net", ".a.example", "..", "é.example",
}

var someAddrs = []string{
	"10.1.2.3", "10.1.2.4", "10.9.9.9", "192.0.2.1", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1", "2001:db9::1",
	"fe80::1", "fe80::2", "::1",
}

func randomList(r source) *acl.List {
	verdict := func() acl.Verdict { return []acl.Verdict{acl.Allow, acl.Deny}[r.IntN(2)] }
	patterns := func(n int) (out []acl.Pattern) {
		for range n {
			out = append(out, somePatterns[r.IntN(len(somePatterns))])
		}
		return out
	}
	l := &acl.List{Default: verdict()}
	for range r.IntN(6) {
		rule := acl.Rule{Verdict: verdict(), From: patterns(1 + r.IntN(4)), Except: patterns(max(r.IntN(5)-2, 0))}
		if r.IntN(4) == 0 {
			rule.To = []netip.Prefix{netip.MustParsePrefix([]string{"10.1.0.0/16", "2001:db8::/32", "10.1.2.3/32"}[r.IntN(3)])}
		}
		l.Rules = append(l.Rules, rule)
	}
	return l
}

func randomClient(r source) Client {
	c := Client{Addr: netip.MustParseAddr(someAddrs[r.IntN(len(someAddrs))])}
	if n := r.IntN(30); n > 26 {
		c.Peer = []acl.Pattern{"uid=0", "uid=7", "cid=7"}[n-27]
	}
	if r.IntN(8) != 7 {
		c.Local = netip.MustParseAddr(someAddrs[r.IntN(len(someAddrs))])
	}
	c.Name.State = NameState(1 + r.IntN(4))
	if c.Name.State == Known {
		c.Name.Host = someHosts[r.IntN(len(someHosts))]
	}
	return c
}

// names is every way a name can turn out, as far as somePatterns can tell.
func names() []Name {
	out := []Name{{State: Unknown}, {State: Paranoid}, {State: NoAnswer}}
	for _, h := range someHosts {
		out = append(out, Name{State: Known, Host: h})
	}
	return out
}

func compare(t *testing.T, l *acl.List, c Client) {
	t.Helper()
	m, err := Compile(l)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Decide(c), naiveDecide(l, c); got != want {
		t.Fatalf("%+v, naive %+v\nlist %+v\nclient %+v", got, want, l, c)
	}
	CheckTrace(t, l, c)

	// Not asked: either the question is asked, or no answer changes the verdict.
	ask := c
	ask.Name = Name{}
	d := m.Decide(ask)
	CheckTrace(t, l, ask)
	if d.NeedName {
		if d.Verdict != acl.Deny || !slices.ContainsFunc(m.rules, func(r rule) bool { return r.from.needsName || r.except.needsName }) || c.Peer != "" {
			t.Fatalf("%+v for %+v", d, ask)
		}
		return
	}
	for _, n := range names() {
		ask.Name = n
		if got := naiveDecide(l, ask); got.Verdict != d.Verdict {
			t.Fatalf("%+v without a question, but with %+v: %+v\nlist %+v\nclient %+v", d, n, got, l, c)
		}
	}
}

func TestAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		l := randomList(r)
		for range 4 {
			compare(t, l, randomClient(r))
		}
	}
}

func FuzzAgainstNaive(f *testing.F) {
	f.Add([]byte("\x01\x03\x00\x02\x10\x15\x04\x04\x01\x01\x01\x11\x00\x00\x03\x00\x00\x00\x01"))
	f.Add([]byte("a longer seed, whose bytes choose rules and clients"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := byteSource(data)
		l := randomList(&r)
		compare(t, l, randomClient(&r))
	})
}
