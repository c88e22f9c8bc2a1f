package reach

import (
	"fmt"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
)

// large is a list of 50,000 prefixes: in one rule, or each in its own.
func large(apart bool) *acl.List {
	l := &acl.List{Default: acl.Deny}
	var from []acl.Pattern
	for i := range 40000 {
		from = append(from, acl.Pattern(fmt.Sprintf("10.%d.%d.%d", i>>12, i>>4&0xff, i<<4&0xff)))
	}
	for i := range 10000 {
		from = append(from, acl.Pattern(fmt.Sprintf("2001:db8:%x::/48", i+1)))
	}
	if !apart {
		l.Rules = []acl.Rule{{Verdict: acl.Allow, From: from}}
		return l
	}
	for i := range from {
		l.Rules = append(l.Rules, acl.Rule{Verdict: acl.Allow, From: from[i : i+1]})
	}
	return l
}

// TestLarge: lists as large as a policy may have are worked out, whichever way they are written.
func TestLarge(t *testing.T) {
	for _, apart := range []bool{false, true} {
		l := large(apart)
		l.Rules = append(l.Rules, acl.Rule{Verdict: acl.Deny, From: []acl.Pattern{"10.0.0.16"}})
		table, err := New(l)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := table.Parts(Everybody())
		if err != nil || len(parts) != len(l.Rules) || parts[len(parts)-1].Rule != decide.RuleDefault {
			t.Fatalf("%d parts of %d rules (%v)", len(parts), len(l.Rules), err)
		}
		if s, err := table.Shadow(len(l.Rules) - 1); err != nil || s == nil || len(s.By) != 1 || s.By[0] != bit(apart) {
			t.Errorf("shadow %+v (%v)", s, err)
		}
	}
}

func BenchmarkParts(b *testing.B) {
	for _, apart := range []bool{false, true} {
		l := large(apart)
		b.Run(fmt.Sprintf("apart=%v", apart), func(b *testing.B) {
			for b.Loop() {
				table, err := New(l)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := table.Parts(Everybody()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
