package pattern

import (
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
)

func compile(p acl.Pattern) (*decide.Matcher, error) {
	return decide.Compile(&acl.List{Default: acl.Deny, Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{p}}}})
}

func TestParse(t *testing.T) {
	for in, want := range map[string]acl.Pattern{
		"any": "any", "Known": "known", "UNKNOWN": "unknown", "paranoid": "paranoid",
		"192.0.2.1": "192.0.2.1", "192.0.2.1/32": "192.0.2.1", "192.0.2.0/24": "192.0.2.0/24",
		"0.0.0.0/0": "0.0.0.0/0", "::/0": "::/0", "::1": "::1",
		"2001:DB8:0:0::1": "2001:db8::1", "2001:db8::1/128": "2001:db8::1", "2001:db8::/32": "2001:db8::/32",
		"Host.Example.ORG": "host.example.org", "localhost": "localhost",
		".example.org": ".example.org", ".internal": ".internal", "_x.a-b.example": "_x.a-b.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "10.example": "10.example",
		"uid=0": "uid=0", "UID=1000": "uid=1000", "cid=2": "cid=2", "uid=4294967294": "uid=4294967294",
		strings.Repeat("a", 63) + ".b": acl.Pattern(strings.Repeat("a", 63) + ".b"),
	} {
		got, err := Parse(in)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

// unlikely are names that Compile takes, though no host can have them: its rule reads
// them as everybody does, and matches nobody.
var unlikely = map[string]bool{"a..b": true, "a-.example": true, strings.Repeat("a", 64) + ".b": true}

// Every refusal says what to write instead, where there is such a thing.
func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "write any",
		"ALL":                          "write any",
		"uid=root":                     "id -u NAME",
		"uid=":                         "id -u NAME",
		"uid=-1":                       "id -u NAME",
		"uid=4294967295":               "write any for all",
		"cid=007":                      "write cid=7",
		"cid=host":                     "write cid= and a number",
		"gid=5":                        "write uid=NUMBER",
		"*":                            "write any",
		"*.example.org":                "write .example.org",
		"10.1.*":                       "wildcards are not supported",
		"h?st.example":                 "wildcards are not supported",
		"@admins":                      "netgroups are not supported",
		"root@host.example":            "write the host part only",
		"fe80::1%eth0":                 "without %zone",
		"[2001:db8::1]":                "without brackets",
		"[2001:db8::]/32":              "without brackets",
		"10.1.2.3/8":                   "write 10.0.0.0/8 for the network or 10.1.2.3 for the one address",
		"2001:db8::1/32":               "write 2001:db8::/32",
		"::ffff:192.0.2.1":             "write 192.0.2.1",
		"::ffff:10.0.0.0/104":          "write 10.0.0.0/8",
		"::ffff:10.1.2.3/104":          "write 10.0.0.0/8",
		"::ffff:0:0/96":                "write 0.0.0.0/0",
		"192.0.2.0/255.255.255.0":      "write the mask as a length: 192.0.2.0/24",
		"192.0.2.0/255.0.255.0":        "the mask has holes",
		"192.0.2.0/24x":                "number from 0 to 32",
		"192.0.2.0/":                   "number from 0 to 32",
		"192.0.2.0/33":                 "number from 0 to 32",
		"192.0.2.0/08":                 "number from 0 to 32",
		"2001:db8::/129":               "write address/length",
		"/etc/hosts.evil":              "write address/length",
		"example.org/24":               "write address/length",
		"0.0.0.0":                      "write any, or 0.0.0.0/0",
		"::":                           "write any, or ::/0",
		"::/128":                       "write any, or ::/0",
		"010.0.0.1":                    "without leading zeros",
		"10.1":                         "neither an address nor a name",
		"10.1.":                        "write an address prefix",
		".72.7":                        "neither an address nor a name",
		"256.1.1.1":                    "neither an address nor a name",
		"2001:db8:":                    "not an IPv6 address",
		"daemon: host":                 "not an IPv6 address",
		"knwon":                        "write any, known, unknown, paranoid",
		"host.example.org.":            "without the final dot",
		".":                            "a label is empty",
		"a..b":                         "a label is empty",
		"..a":                          "a label is empty",
		"bücher.example":               "write the xn-- form",
		"a b.example":                  "' ' cannot be part",
		"a\x00b.example":               "cannot be part",
		"a\nb.example":                 "cannot be part",
		"-a.example":                   "hyphen",
		"a-.example":                   "hyphen",
		"\u212a.example":               "write the xn-- form", // the Kelvin sign folds to k in Unicode
		strings.Repeat("a", 64) + ".b": "63 bytes",
		strings.Repeat("a.", 127):      "final dot",
		strings.Repeat("a.", 500):      "at most 253",
	} {
		got, err := Parse(in)
		if err == nil || got != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want an error with %q", in, got, err, want)
		}
		if _, err := compile(acl.Pattern(in)); err == nil && !unlikely[in] {
			t.Errorf("%q: Compile takes it", in)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x00\n\x1b") {
			t.Errorf("%q: the error carries control characters", in)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"any", "known", "192.0.2.0/24", "192.0.2.1", "2001:DB8::/32", "::ffff:1.2.3.4/128", "host.example.org",
		".Example.org", "fe80::1%eth0", "10.1.2.3/8", "1.2.3.4/255.255.255.0", "0x7f.1", "*.a", "a..b", "[::1]", "é.x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			if p != "" {
				t.Fatalf("%q: %q beside %v", s, p, err)
			}
			return
		}
		again, err := Parse(string(p))
		if err != nil || again != p {
			t.Fatalf("%q is accepted as %q, which reads as %q, %v", s, p, again, err)
		}
		if _, err := compile(p); err != nil {
			t.Fatalf("Compile refuses the accepted %q: %v", p, err)
		}
		if _, err := compile(acl.Pattern(s)); err == nil && s != string(p) {
			t.Fatalf("Compile takes %q, which is spelled %q", s, p)
		}
	})
}
