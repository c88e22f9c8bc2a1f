package main

import (
	"slices"

	"casemate/policy/calls"
	"casemate/policy/lang"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
)

// callUse is one system call, as profiles --groups shows it: who has it, and what it
// takes to allow it.
type callUse struct {
	Name string `json:"name"`
	// Groups allow it with any arguments, ByArgument with some of them.
	Groups     []string `json:"groups"`
	ByArgument []string `json:"by_argument"`
	// Profiles are the shipped ones that have it with any arguments.
	Profiles []string `json:"profiles"`
	// Costs are what a profile that allows it must say, or is warned of.
	Costs []string `json:"costs"`
}

func useOf(name string) (callUse, error) {
	rule := seccomp.Rule{Name: name}
	u := callUse{Name: name, Groups: []string{}, ByArgument: []string{}, Profiles: []string{}, Costs: []string{}}
	for _, g := range seccomp.Groups() {
		rules := seccomp.GroupRules(g)
		if seccomp.Cover(rules, rule) {
			u.Groups = append(u.Groups, g)
		} else if slices.ContainsFunc(rules, func(r seccomp.Rule) bool { return r.Name == name }) {
			u.ByArgument = append(u.ByArgument, g)
		}
	}
	for _, p := range lang.ShippedProfiles() {
		has, err := calls.Resolve(&p.Syscalls)
		if err != nil {
			return u, err
		}
		if seccomp.Cover(has, rule) {
			u.Profiles = append(u.Profiles, p.Name)
		}
	}
	if _, err := seccomp.Resolve([]string{name}, nil); err != nil {
		u.Costs = append(u.Costs, "not to be had: "+err.Error())
		return u, nil
	}
	u.Costs = append(u.Costs, `widens = ["syscalls"], unless the base has it`)
	if len(advise.Reach([]seccomp.Rule{rule})) > 0 {
		if len(advise.Reach([]seccomp.Rule{rule}, "@socket-accept")) == 0 {
			u.Costs = append(u.Costs, `it reaches the network: network { mode = "listener" } (or "host") and widens = ["network"]`)
		} else {
			u.Costs = append(u.Costs, `it reaches the network: because = "...", widens = ["network"] and network { mode = "host" }, whose sockets, connect and bind bring the calls that they need: allow none by itself`)
		}
	}
	if why := advise.Perilous(rule); why != "" {
		u.Costs = append(u.Costs, `because = "...": it `+why)
	}
	return u, nil
}

// use prints one call for people.
func (a *app) use(u *callUse) {
	a.printf("%s  a system call", a.paint("1")(u.Name))
	if len(u.Groups)+len(u.ByArgument) == 0 {
		a.printf(" that is in no group: a profile allows it by its name")
	}
	a.printf("\n")
	a.list("groups", u.Groups)
	a.list("groups that have it by its arguments", u.ByArgument)
	a.list("profiles", u.Profiles)
	for _, c := range u.Costs {
		a.printf("  costs: %s\n", c)
	}
}
