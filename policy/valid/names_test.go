package valid

import (
	"strings"
	"testing"

	"casemate/policy/granted"
)

// TestNames: what may be the name of a block, a variable, an account.
func TestNames(t *testing.T) {
	account := func(s string) bool {
		c := &checker{}
		c.account("x", s)
		return len(c.errs) == 0
	}
	for kind, f := range map[string]struct {
		ok        func(string) bool
		good, bad string
	}{
		"block":    {granted.ValidName, "a a1 a-b a_b " + strings.Repeat("z", 63), "A 1a -a _a a.b ä a$ " + strings.Repeat("z", 64)},
		"variable": {envName, "A a _ A1 _1 " + strings.Repeat("Z", 255), "1A A-B A.B A= ä " + strings.Repeat("Z", 256)},
		"account":  {account, "root _apt www-data a.b Host$ 0 1000 a-", "-a .a $ $a a$b a$$ 01 4294967295 ä 1a " + strings.Repeat("z", 33)},
	} {
		for _, s := range strings.Fields(f.good) {
			if !f.ok(s) {
				t.Errorf("%q is no %s", s, kind)
			}
		}
		for _, s := range append(strings.Fields(f.bad), "", "a b") {
			if f.ok(s) {
				t.Errorf("%q is a %s", s, kind)
			}
		}
	}
}
