package score

import (
	"net/netip"
	"testing"

	"casemate/acl/limit"
)

// TestExemptFromAll: what is counted of sources of which most are exempt is none of what holds, a penalty neither.
func TestExemptFromAll(t *testing.T) {
	l := limit.Spec{PerSource: limit.PerSource{Concurrent: 1, Rate: limit.Rate{Events: 1, Per: 1e9}}, Penalty: limit.Penalty{On: limit.Classes}}
	exempt := l
	exempt.Exempt = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1")}
	for _, item := range Items {
		switch item.ID {
		case "source_concurrent", "source_rate", "penalty":
			if held, not := item.measure(&subject{limit: &l}).value, item.measure(&subject{limit: &exempt}).value; held > 0.9 || not != 1 {
				t.Errorf("%s: %v, and %v where most are exempt", item.ID, held, not)
			}
		}
	}
}
