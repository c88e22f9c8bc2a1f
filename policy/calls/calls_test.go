package calls_test

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/canon"
	"casemate/policy/lang"
	"casemate/policy/valid"
	"casemate/sandbox"
)

const text = `
policy { edition = 1 }
service "a" {
  listen  = ["tcp://127.0.0.1:7001"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.anyone
  profile = profile.line
}
service "b" {
  listen  = ["tcp://127.0.0.1:7002"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.anyone
  profile = profile.own
}
profile "own" {
  base = profile.line
  syscalls {
    deny = ["flock"]
    rule "fcntl" {
      arg    = 1
      values = [1024]
    }
  }
  widens = ["syscalls"]
}
`

func document(t *testing.T) *policy.Document {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text)}})
	if doc == nil {
		t.Fatal(ds)
	}
	return doc
}

// TestVerify: a document whose filter is not what its words say is shown to nobody
// as what it says, though it is valid.
func TestVerify(t *testing.T) {
	doc := document(t)
	if err := calls.Verify(doc.Policy); err != nil {
		t.Fatal(err)
	}
	if n := len(doc.Policy.Filters); n != 2 {
		t.Errorf("%d filters for two profiles with calls of their own", n)
	}
	own, line := doc.Policy.Profile("own"), doc.Policy.Profile("line")
	own.Syscalls.Filter, line.Syscalls.Filter = line.Syscalls.Filter, own.Syscalls.Filter
	if err := valid.Check(doc.Policy); err != nil {
		t.Fatalf("the forged policy is not valid, so nothing is proven: %v", err)
	}
	if err := calls.Verify(doc.Policy); err == nil || !strings.Contains(err.Error(), "its filter is not") {
		t.Errorf("filters in each other's place: %v", err)
	}
}

// TestDocumentBringsItsRules: what a document was read from gives the same rules as
// compiling it, by name and by argument.
func TestDocumentBringsItsRules(t *testing.T) {
	doc := document(t)
	b, err := canon.EncodeDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := canon.DecodeDocument(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range doc.Policy.Profiles {
		want, have := &doc.Policy.Profiles[i].Syscalls, &got.Policy.Profiles[i].Syscalls
		if len(want.Rules) < 50 || len(have.Rules) != len(want.Rules) || have.Filter != want.Filter {
			t.Errorf("%s: %d rules, want %d", doc.Policy.Profiles[i].Name, len(have.Rules), len(want.Rules))
		}
	}
}

// TestExecsOnceOfShipped: what is told of a shipped profile, which has words alone, is what is
// told of it in a policy, which has its filter.
func TestExecsOnceOfShipped(t *testing.T) {
	once := 0
	for _, p := range lang.ShippedProfiles() {
		q := policy.Policy{Profiles: []sandbox.Profile{p}}
		if err := calls.Fill(&q, calls.Resolve); err != nil {
			t.Fatal(err)
		}
		got, want := calls.ExecsOnce(&p), calls.ExecsOnce(&q.Profiles[0])
		if got != want {
			t.Errorf("profile.%s: executes once: %v by its words, %v by its filter", p.Name, got, want)
		}
		if want {
			once++
		}
		if executes := slices.Contains(p.Syscalls.Allow, "@process"); executes && got {
			t.Errorf("profile.%s has @process, and is told to execute once", p.Name)
		}
	}
	if once == 0 {
		t.Error("no shipped profile executes once")
	}
}
