package trace

import (
	"encoding/json"
	"net/netip"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
)

func from(v acl.Verdict, patterns ...acl.Pattern) acl.Rule {
	return acl.Rule{Verdict: v, From: patterns}
}

func but(r acl.Rule, patterns ...acl.Pattern) acl.Rule { r.Except = patterns; return r }

// That the steps lead where Decide does, acl's own tests hold (CheckTrace).
func TestTraceSaysWhy(t *testing.T) {
	elsewhere := from(acl.Allow, "any")
	elsewhere.To = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	l := &acl.List{Default: acl.Deny, Rules: []acl.Rule{
		from(acl.Deny, "192.0.2.66"),
		elsewhere,
		but(from(acl.Allow, "192.0.2.0/24"), ".guest.example.org"),
		from(acl.Allow, ".example.org"),
	}}
	name, err := ParseName("X.guest.example.org.")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(Steps(l, decide.Client{Addr: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("203.0.113.1"), Name: name}))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"rule":0,"verdict":"deny","outcome":"not-from","why":"no from pattern matches 192.0.2.1 (x.guest.example.org)"},` +
		`{"rule":1,"verdict":"allow","outcome":"not-to","why":"the local address 203.0.113.1 is not in to"},` +
		`{"rule":2,"verdict":"allow","outcome":"excepted","pattern":".guest.example.org","why":"excepted: .guest.example.org matches 192.0.2.1 (x.guest.example.org)"},` +
		`{"rule":3,"verdict":"allow","outcome":"matched","pattern":".example.org","why":".example.org matches 192.0.2.1 (x.guest.example.org)"}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEvadable(t *testing.T) {
	for _, tc := range []struct {
		rule acl.Rule
		want bool
	}{
		{from(acl.Deny, "10.0.0.0/8"), false},
		{from(acl.Deny, ".evil.example"), true},
		{from(acl.Deny, ".evil.example", "unknown"), true},
		{from(acl.Deny, ".evil.example", "unknown", "paranoid"), false},
		{from(acl.Deny, ".evil.example", "any"), false},
		{from(acl.Deny, "unknown"), false},
		{but(from(acl.Deny, "any"), ".example.org"), false},
		{from(acl.Allow, ".example.org"), false},
		{but(from(acl.Allow, "any"), ".evil.example"), true},
		{but(from(acl.Allow, "any"), ".evil.example", "unknown", "paranoid"), false},
		{but(from(acl.Allow, "any"), "10.0.0.0/8"), false},
		{but(from(acl.Allow, ".example.org"), "cgi.example.org"), false},
		{but(from(acl.Allow, "known"), ".evil.example"), false},
		{but(from(acl.Allow, "10.0.0.0/8", ".example.org"), "cgi.example.org"), true},
		{but(from(acl.Allow, "unknown"), ".evil.example"), true},
	} {
		if got := Evadable(&tc.rule); got != tc.want {
			t.Errorf("%+v: %v", tc.rule, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "unknown", "Host.Example.", "no-answer", ".", "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if (n.State == decide.Known) != (n.Host != "") {
			t.Fatalf("%q: %+v", s, n)
		}
		if c := (decide.Client{Name: n}).Normal(); c.Name != n {
			t.Fatalf("%q: %+v is %+v to the matcher", s, n, c.Name)
		}
	})
}

func TestNeedsNames(t *testing.T) {
	list := func(rules ...acl.Rule) *acl.List { return &acl.List{Default: acl.Deny, Rules: rules} }
	if NeedsNames(nil) || NeedsNames(list()) || NeedsNames(list(from(acl.Allow, "any", "10.0.0.0/8", "2001:db8::1"))) {
		t.Error("a list of addresses needs names")
	}
	for _, p := range []acl.Pattern{"known", "unknown", "paranoid", "a.example", ".example"} {
		if !NeedsNames(list(from(acl.Allow, "any"), from(acl.Allow, p))) || !NeedsNames(list(but(from(acl.Allow, "any"), p))) {
			t.Errorf("%s needs no names", p)
		}
	}
}
