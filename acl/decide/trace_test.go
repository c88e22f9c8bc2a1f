package decide_test

import (
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/trace"
)

// Every decision that the tests of this package make is traced as well.
func init() {
	decide.CheckTrace = func(t testing.TB, l *acl.List, c decide.Client) {
		t.Helper()
		m, err := decide.Compile(l)
		if err != nil {
			t.Fatal(err)
		}
		steps, d := trace.Steps(l, c), m.Decide(c)
		last := steps[len(steps)-1]
		asks := false
		for _, s := range steps {
			asks = asks || s.Outcome == trace.NeedsName
			if s.Why == "" || s.Outcome == "" || (s.Outcome == trace.Matched || s.Outcome == trace.Excepted) && s.Pattern == "" {
				t.Fatalf("step without a reason: %+v", s)
			}
		}
		switch {
		case d.NeedName && (!asks || steps[d.Rule].Outcome != trace.NeedsName):
			t.Fatalf("%+v, trace %+v", d, steps)
		case !d.NeedName && (last.Rule != d.Rule || last.Verdict != d.Verdict):
			t.Fatalf("%+v, trace ends with %+v\nlist %+v, client %+v, steps %+v", d, last, l, c, steps)
		}
	}
}
