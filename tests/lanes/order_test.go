package main

import (
	"slices"
	"testing"
)

// TestOrder: the longest begin first, what needs the host is kept for the end, and nothing is left out or done twice.
func TestOrder(t *testing.T) {
	var all []test
	for _, name := range []string{"TestA", "TestTasksAreNamed", "TestSoak", "TestB", "TestSlowClients", "TestChallengeHost"} {
		all = append(all, test{name: name})
	}
	names := func(list []test) (out []string) {
		for _, x := range list {
			out = append(out, x.name)
		}
		return out
	}
	beside, alone := order(all)
	if got, want := names(beside), []string{"TestSlowClients", "TestSoak", "TestA", "TestB"}; !slices.Equal(got, want) {
		t.Errorf("beside others %q, want %q", got, want)
	}
	if got, want := names(alone), []string{"TestTasksAreNamed", "TestChallengeHost"}; !slices.Equal(got, want) {
		t.Errorf("alone %q, want %q", got, want)
	}
}
