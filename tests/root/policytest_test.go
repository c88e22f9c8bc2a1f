package root

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/control"
	"casemate/policy/lang"
	"casemate/policy/policytest"
	"casemate/tests/root/rig"
)

// TestPolicyTestsSayWhatHappens: clients of several sources come to a service in a random order and stay. What became
// of each is written down as the steps of a test of its policy, which passes: casemate test admits, has wait and refuses whom
// the broker does, for the same reasons. With one of them written down wrongly it fails.
func TestPolicyTestsSayWhatHappens(t *testing.T) {
	b, port := obedient(t, `limit "it" {
  concurrent   = 6
  rate         = "20/h"
  burst        = 9
  queue        = "5m"
  queue_length = 4
  per_source {
    concurrent = 2
    rate       = "3/h"
    burst      = 3
  }
}
`)
	random := rand.New(rand.NewPCG(9, 7))
	var steps []string
	seen := map[string]int{}
	before := state(t, b, 0)
	for i := range 26 {
		few := 3 // first, so that they have all that a source may have before the places are taken
		if i >= 10 {
			few = 9
		}
		source := fmt.Sprintf("127.0.0.%d", 1+random.IntN(few))
		if c, err := dialFrom(source, port); err == nil { // who is refused may see that at once
			t.Cleanup(func() { c.Close() })
		}
		now := state(t, b, i+1)
		want := became(before, now)
		seen[want]++
		steps = append(steps, fmt.Sprintf("  arrive {\n    client = %q\n    hold = \"7d\"\n    %s\n  }\n", source, want))
		before = now
	}
	if len(seen) < 4 {
		t.Errorf("there are not enough outcomes to compare: %v", seen)
	}
	sources := []policy.SourceFile{{Name: "test.cm.hcl", Data: []byte(readPolicy(t, b))}}
	doc, ds := lang.Compile(sources)
	if doc == nil {
		t.Fatal(ds)
	}
	run := func(steps []string) *policytest.Report {
		text := "case \"as it was\" {\n  service = service.it\n" + strings.Join(steps, "") + "}\n"
		suite, ds := lang.Tests(doc, []policy.SourceFile{{Name: "test.cmtest.hcl", Data: []byte(text)}}, sources)
		if suite == nil {
			t.Fatalf("%+v\n%s", ds, text)
		}
		return policytest.Run(doc, suite, policytest.Options{})
	}
	if r := run(steps); r.Failed > 0 {
		t.Errorf("the test says otherwise: %+v\n%s", r.Tests, strings.Join(steps, ""))
	}
	for i := range steps {
		if wrong := strings.Replace(steps[i], "allowed = 1", "allowed = 0", 1); wrong != steps[i] {
			steps[i] = wrong
			break
		}
	}
	if r := run(steps); r.Failed != 1 {
		t.Errorf("what did not happen passes: %+v", r.Tests)
	}
}

// state waits until the service has decided about so many clients, or has them wait.
func state(t *testing.T, b *rig.Broker, clients int) (s *control.ServiceStatus) {
	t.Helper()
	if err := rig.Until(60*time.Second, func() (err error) {
		if s, err = b.Service("it"); err == nil && (int(s.Admitted)+s.Queued+int(s.Refused) != clients || int(s.Admitted) != s.Live) {
			err = fmt.Errorf("%d admitted (%d live), %d queued and %d refused of %d", s.Admitted, s.Live, s.Queued, s.Refused, clients)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// became is what a step of a test asserts of the client who came between two states.
func became(before, now *control.ServiceStatus) string {
	switch {
	case now.Admitted > before.Admitted:
		return "allowed = 1"
	case now.Queued > before.Queued:
		return "waited = 1\n    reason = \"queue\"" // nobody leaves
	}
	for reason, n := range now.RefusedBy {
		if n > before.RefusedBy[reason] {
			return fmt.Sprintf("reason = %q", reason)
		}
	}
	return "nothing"
}
