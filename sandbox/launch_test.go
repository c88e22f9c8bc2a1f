package sandbox

import (
	"slices"
	"testing"

	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/filter"
)

// TestListenerRules: what comes with a listening socket beside the profile's own
// calls: no send to an address without a network that grants it, and nothing
// that the profile denies.
func TestListenerRules(t *testing.T) {
	for _, c := range []struct {
		network NetworkMode
		deny    []string
		want    bool // a send to any address
	}{
		{"none", nil, false}, {"listener", nil, true}, {"host", nil, true}, {"listener", []string{"sendto", "sendmsg"}, false},
	} {
		p := Profile{Network: Network{Mode: c.network}, Syscalls: Syscalls{Allow: []string{"@strict"}, Deny: c.deny, OnViolation: "kill"}}
		for _, listens := range []bool{false, true} {
			p.Syscalls.Rules = worded(t, p.Syscalls)
			rules, err := filter.Normalize(profileRules(p, Command{Listens: listens}))
			if err != nil {
				t.Fatal(err)
			}
			reach := advise.Reach(seccomp.Named(rules))
			sends := slices.ContainsFunc(reach, func(r string) bool { return r != "accept" && r != "accept4" })
			if accepts := slices.Contains(reach, "accept"); accepts != listens || sends != (c.want && listens) {
				t.Errorf("network %s deny %v, listening %v: reaches %v", c.network, c.deny, listens, reach)
			}
		}
	}
}
