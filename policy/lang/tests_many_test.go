package lang

import (
	"casemate/policy"
	"casemate/policy/policytest"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCoverage: what no case has reached, and nothing that nobody can reach.
func TestCoverage(t *testing.T) {
	doc := testedDoc(t)
	suite, ds := Tests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: []byte(`
case "a" {
  service = service.finger
  client  = ["192.0.2.7", "192.0.2.66", "198.51.100.1"]
  name    = "unknown"
  profile = profile.strict
}
case "b" {
  service = service.wide
  client  = "192.0.2.7"
  arrive {
    count = 9
    hold  = "1s"
    ends  = "crash"
  }
  arrive { after = "2s" }
  reason = ["source-concurrency", "penalty"]
}
`)}}, nil)
	if suite == nil {
		t.Fatalf("%+v", ds)
	}
	r := policytest.Run(doc, suite, policytest.Options{})
	var reached, left []string
	for _, item := range r.Coverage.Items {
		if item.Origin == "" {
			t.Errorf("%s has no origin", item.Name)
		}
		if item.Reached {
			reached = append(reached, item.Name)
		} else {
			left = append(left, item.Name)
		}
	}
	for _, name := range []string{"acl.office.1", "acl.office.staff", "acl.office.default", "limit.tight.per_source.concurrent", "limit.tight.penalty"} {
		if !slices.Contains(reached, name) {
			t.Errorf("%s is not reached: %v", name, reached)
		}
	}
	for _, name := range []string{"acl.office.hosts", "acl.office.night", "acl.named.1", "acl.named.default", "limit.tight.rate", "limit.tight.max_load", "limit.queued.queue"} {
		if !slices.Contains(left, name) {
			t.Errorf("%s is not among what is left: %v", name, left)
		}
	}
	if all := append(reached, left...); slices.Contains(all, "acl.anyone.1") || slices.Contains(all, "limit.default.rate") || slices.Contains(all, "limit.wait.concurrent") {
		t.Errorf("%v are not the policy's, or nobody can reach them", all)
	}
	if c := r.Coverage; c.Reached != len(reached) || c.Percent != 100*len(reached)/len(c.Items) {
		t.Errorf("%+v", c)
	}
}

// TestManyTests: a thousand cases on a thousand services take no time that anybody waits for. The bound is
// that of a crowded machine.
func TestManyTests(t *testing.T) {
	var p, tests strings.Builder
	p.WriteString(head + "acl \"a\" {\n  allow { from = [\"192.0.2.0/24\"] }\n}\n")
	for i := range 1000 {
		fmt.Fprintf(&p, "service \"s%d\" {\n  listen = [\"tcp://:%d\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  acl = acl.a\n}\n", i, i+1000)
		fmt.Fprintf(&tests, "case \"c%d\" {\n  service = service.s%d\n  client = [\"192.0.2.1\", \"192.0.2.2\"]\n  expect = \"allow\"\n  matched = acl.a.1\n}\n", i, i)
	}
	tests.WriteString("invariant \"i\" { never = reach(service.*, \"198.51.100.0/24\") }\ninvariant \"k\" { condition = alltrue([for s in services : s.user == \"nobody\"]) }\n")
	doc, ds := compileText(p.String())
	if doc == nil {
		t.Fatal(ds)
	}
	begin := time.Now()
	suite, ds := Tests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: []byte(tests.String())}}, nil)
	if suite == nil {
		t.Fatal(ds)
	}
	r := policytest.Run(doc, suite, policytest.Options{})
	if r.Passed != 1002 || r.Failed != 0 {
		t.Errorf("%d passed, %d failed", r.Passed, r.Failed)
	}
	t.Logf("%v", time.Since(begin))
}

// FuzzTests: whatever a file of tests holds, reading it ends with a suite or with errors that have a place, and
// running it ends with as many results as it has tests.
func FuzzTests(f *testing.F) {
	for _, text := range []string{
		"case \"a\" {\n  service = service.finger\n  client = [\"192.0.2.7\", \"uid=0\"]\n  name = \"unknown\"\n  expect = \"deny\"\n  matched = acl.office.default\n  reason = \"acl\"\n}\n",
		"case \"a\" {\n  service = service.*\n  client = \"192.0.2.7\"\n  arrive {\n    count = 9\n    within = \"1s\"\n    hold = \"2s\"\n    ends = \"crash\"\n  }\n  allowed = 3\n  reason = [\"rate\", \"penalty\"]\n}\n",
		"locals { a = [\"192.0.2.0/24\"] }\ninvariant \"a\" { never = reach(service.*, local.a, \"any\") }\ninvariant \"b\" { always = reach([service.wide], local.a) }\n",
		"invariant \"a\" { condition = alltrue([for k, s in services : !s.root && s.limit.concurrent * 2 - 1 > 0 || reach(s, \"::/0\") if s.acl != null ? true : false]) }\n",
		"invariant \"a\" { condition = { for s in services : s.name => s.listen[0] }[\"wide\"] == \"${\"tcp\"}://:80\" }\n",
		"case \"a\" { service = service.", "invariant \"a\" { condition = " + strings.Repeat("(", 70), "invariant \"a\" { condition = a.b.*.c[*].d }", "case \"\x00\" {}", "invariant \"a\" { condition = " + strings.Repeat("-", 250) + "1 == 1 }\n",
	} {
		f.Add(text)
	}
	doc := testedDoc(f)
	f.Fuzz(func(t *testing.T, text string) {
		suite, ds := readTests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: []byte(text)}}, testedSources, 1<<14)
		if suite == nil {
			if len(ds) == 0 || ds[0].File == "" || ds[0].Line == 0 || ds[0].Detail == "" {
				t.Fatalf("no place or no next step: %+v", ds)
			}
			return
		}
		clients := 0
		for i := range suite.Cases {
			for k := range suite.Cases[i].Arrivals {
				clients += suite.Cases[i].Arrivals[k].Count * len(suite.Cases[i].Services)
			}
		}
		if clients > 1000 {
			return // they take their time
		}
		r := policytest.Run(doc, suite, policytest.Options{})
		if len(r.Tests) != len(suite.Cases)+len(suite.Invariants) || r.Passed+r.Failed != len(r.Tests) {
			t.Fatalf("%+v", r)
		}
		if out, ds := Format(policy.SourceFile{Name: "p.cmtest.hcl", Data: []byte(text)}); ds != nil {
			t.Fatalf("it reads, and is not laid out: %+v", ds)
		} else if again, _ := readTests(doc, []policy.SourceFile{{Name: "p.cmtest.hcl", Data: out}}, testedSources, 1<<14); again == nil || len(again.Cases) != len(suite.Cases) || len(again.Invariants) != len(suite.Invariants) {
			t.Fatalf("another suite when it is laid out:\n%s", out)
		}
	})
}
