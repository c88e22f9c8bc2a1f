package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"casemate/policy/peers"
	"casemate/sandbox/seccomp"
)

// TestCallsTopic: the page has every group once, in a line whose numbers are those of its calls and of the lists, and each call
// of which it says that others have none is in no list of theirs.
func TestCallsTopic(t *testing.T) {
	page := callsPage()
	lines := map[string][]string{}
	for line := range strings.Lines(page) {
		if f := strings.Fields(line); len(f) > 5 && strings.HasPrefix(f[0], "@") {
			if lines[f[0]] != nil {
				t.Errorf("%s stands there twice", f[0])
			}
			lines[f[0]] = f[1:]
		}
	}
	if len(lines) != len(seccomp.Groups()) || len(lines) < 40 {
		t.Errorf("%d groups on the page, there are %d", len(lines), len(seccomp.Groups()))
	}
	for _, g := range seccomp.Groups() {
		calls := map[string]bool{}
		for _, r := range seccomp.GroupRules(g) {
			calls[r.Name] = true
		}
		want := []int{len(calls)}
		for _, l := range peers.Lists {
			n := 0
			for c := range calls {
				if has, _ := l.Has(c); has {
					n++
				}
			}
			want = append(want, n)
		}
		for i, n := range want {
			if line := lines[g]; len(line) < 5 || line[i] != strconv.Itoa(n) {
				t.Errorf("%s: %q, want the numbers %v", g, line, want)
				break
			}
		}
		if !strings.Contains(page, seccomp.GroupDoc(g)+"\n") {
			t.Errorf("%s: not what it is for", g)
		}
	}
	_, rest, _ := strings.Cut(page, "nor Docker's:")
	alone, others, _ := strings.Cut(rest, "In one of these two")
	_, others, _ = strings.Cut(others, "name alone (clone3 ")
	_, others, _ = strings.Cut(others, "):\n")
	others, _, _ = strings.Cut(others, "casemate profiles")
	for what, words := range map[string][]string{"alone": strings.Fields(alone), "others": strings.Fields(others)} {
		if len(words) < 3 {
			t.Errorf("%s: %q", what, words)
		}
		for _, c := range words {
			inGroup := slices.ContainsFunc(seccomp.Groups(), func(g string) bool { return slices.Contains(callsOf(g), c) })
			if inGroup != (what == "alone") || !slices.Contains(seccomp.Names(), c) {
				t.Errorf("%s: %s", what, c)
			}
		}
	}
}
