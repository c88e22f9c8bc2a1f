package seccomp

import (
	"slices"
	"strings"
	"testing"
)

// TestElsewhere: a call that another architecture has is known, and comes to nothing, in lists and in
// rules of their own; what none has stays an error.
func TestElsewhere(t *testing.T) {
	had := elsewhere
	t.Cleanup(func() { elsewhere = had })
	elsewhere = slices.Sorted(slices.Values(append(slices.Clone(had), "syscall_of_sparc")))
	for _, name := range elsewhere {
		if _, ok := Number(name); ok || !Elsewhere(name) {
			t.Errorf("%s is here", name)
		}
		rules, err := Resolve([]string{name, "read", "@line"}, []string{name, "@watch"})
		if want, _ := Resolve([]string{"read", "@line"}, []string{"@watch"}); err != nil || show(rules) != show(want) {
			t.Errorf("%s: %v %v", name, show(rules), err)
		}
	}
	numbered, err := Numbered([]Rule{{Name: "syscall_of_sparc", Args: []Arg{{Index: 1, Value: 2}}}, {Name: "read"}})
	if err != nil || len(numbered) != 1 || Name(numbered[0].Call) != "read" {
		t.Errorf("%v %v", numbered, err)
	}
	// An error names its own rule, whatever was left out before it.
	if _, err := Numbered([]Rule{{Name: "syscall_of_sparc"}, {Name: "read"}, {Name: "write", Args: []Arg{{Index: 9}}}}); err == nil || !strings.Contains(err.Error(), "write") {
		t.Errorf("a rule that cannot be: %v", err)
	}
	if _, err := Resolve([]string{"syscall_of_vax"}, nil); err == nil {
		t.Error("a call of no architecture is known")
	}
}
