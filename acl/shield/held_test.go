package shield

import (
	"net/netip"
	"strings"
	"testing"

	"casemate/acl"
)

// TestHeld: what a filter holds of lists of each kind, and the words for it.
func TestHeld(t *testing.T) {
	rule := func(v acl.Verdict, from ...acl.Pattern) acl.Rule { return acl.Rule{Verdict: v, From: from} }
	local := rule(acl.Allow, "10.0.0.0/8")
	local.To, local.During = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []acl.Span{{0, 60}}
	many := listOf(4000, true)
	for _, tt := range []struct {
		name  string
		list  *acl.List
		whole bool
		says  []string
		not   string
	}{
		{"addresses", &acl.List{Default: acl.Deny, Rules: []acl.Rule{rule(acl.Allow, "10.0.0.0/8")}}, true, []string{"all whom the acl refuses by address alone (ranges of addresses: 4)"}, "knows no"},
		{"names alone", &acl.List{Default: acl.Deny, Rules: []acl.Rule{rule(acl.Allow, ".example.org")}}, false, []string{"refuses nobody by the acl", "knows no names:"}, "times"},
		{"a place and a time", &acl.List{Default: acl.Deny, Rules: []acl.Rule{local}}, false, []string{"all whom", "knows no server addresses, no times:"}, "names"},
		{"names that decide nothing", &acl.List{Default: acl.Deny, Rules: []acl.Rule{rule(acl.Deny, ".example.org"), rule(acl.Allow, "uid=7")}}, true, []string{"all whom"}, "knows no"},
		{"too many", many, false, []string{"the largest", "of 4000 ranges"}, "knows no"},
		{"nobody", nil, true, []string{"all whom"}, "knows no"},
		{"everybody", &acl.List{Default: acl.Allow}, true, []string{"refuses nobody by the acl"}, "knows no"},
	} {
		r, held, err := Refused(tt.list)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(held.Words(), "\n")
		for _, want := range tt.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", tt.name, want, text)
			}
		}
		whole := held.Fit == held.Ranges && len(held.Asks) == 0
		if whole != tt.whole || strings.Contains(text, tt.not) || held.Fit > held.Ranges || whole && r.len() != held.Ranges {
			t.Errorf("%s: %+v, whole %v\n%s", tt.name, held, whole, text)
		}
	}
}
