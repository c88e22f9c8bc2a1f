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

// TestSameFilterCompiledOnce: equal rules come to the same program, not only to an equal
// one, also where they are asked for at once; others do not wait for it.
func TestSameFilterCompiledOnce(t *testing.T) {
	program := func(p Profile, c Command) []byte {
		pl, err := planOf(t, p, c)
		if err != nil {
			t.Error(err)
			return []byte{0}
		}
		prog, _, err := pl.filter(true, true)
		if err != nil {
			t.Error(err)
			return []byte{0}
		}
		return prog
	}
	listens := shell("")
	listens.Listens = true
	other := realistic()
	other.Syscalls.Deny = []string{"flock"}
	want, different := program(realistic(), listens), program(other, listens)
	if &want[0] == &different[0] {
		t.Error("different filters are one program")
	}
	same := make(chan *byte)
	for range 16 {
		go func() { same <- &program(realistic(), listens)[0] }()
	}
	for range 16 {
		if got := <-same; got != &want[0] {
			t.Fatal("a filter was compiled again")
		}
	}
}
