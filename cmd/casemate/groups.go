package main

import (
	"fmt"
	"slices"
	"strings"

	"casemate/policy/calls"
	"casemate/policy/lang"
	"casemate/policy/suggest"
	"casemate/sandbox/seccomp"
)

// callGroup is one group of system calls, as profiles --groups shows it.
type callGroup struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
	// Calls are allowed with any arguments, Rules by some of them.
	Calls []string `json:"calls"`
	Rules []string `json:"rules"`
	// Profiles are the shipped ones that have all of it.
	Profiles []string `json:"profiles"`
}

// groups prints the groups named, or all.
func (a *app) groups(names []string) error {
	known := seccomp.Groups()
	if len(names) == 0 {
		names = known
	}
	out, single := []callGroup{}, []callUse{}
	for _, name := range names {
		if _, call := seccomp.Number(name); call {
			u, err := useOf(name)
			if err != nil {
				return err
			}
			single = append(single, u)
			continue
		}
		if !slices.Contains(known, name) {
			next := "there are: " + strings.Join(known, ", ")
			if w := suggest.Word(name, slices.Concat(known, seccomp.Names())); w != "" {
				next = fmt.Sprintf("did you mean %q?", w)
			}
			return fmt.Errorf("there is no group or system call %q; %s", name, next)
		}
		g, err := describeGroup(name)
		if err != nil {
			return err
		}
		out = append(out, g)
	}
	if a.json() {
		return a.printJSON(struct {
			FormatVersion int         `json:"format_version"`
			Groups        []callGroup `json:"groups"`
			Calls         []callUse   `json:"calls"`
		}{1, out, single})
	}
	for i := range single {
		if i > 0 {
			a.printf("\n")
		}
		a.use(&single[i])
	}
	for i, g := range out {
		if i+len(single) > 0 {
			a.printf("\n")
		}
		a.printf("%s  %s\n", a.paint("1")(g.Name), g.Doc)
		a.list("calls", g.Calls)
		a.list("by argument", g.Rules)
		a.list("profiles", g.Profiles)
	}
	return nil
}

// list prints words below a title, in lines that a terminal holds.
func (a *app) list(title string, words []string) {
	const width = 96
	line := "  " + title + ":"
	for _, w := range words {
		if len(line)+len(w) >= width {
			a.printf("%s\n", line)
			line = "   "
		}
		line += " " + w
	}
	if len(words) == 0 {
		line += " none"
	}
	a.printf("%s\n", line)
}

func describeGroup(name string) (callGroup, error) {
	g := callGroup{Name: name, Doc: seccomp.GroupDoc(name), Calls: []string{}, Rules: []string{}, Profiles: []string{}}
	rules := seccomp.GroupRules(name)
	for _, r := range rules {
		if len(r.Args) > 0 {
			g.Rules = append(g.Rules, r.String())
		} else {
			g.Calls = append(g.Calls, r.Name)
		}
	}
	slices.Sort(g.Calls)
	for _, p := range lang.ShippedProfiles() {
		has, err := calls.Resolve(&p.Syscalls)
		if err != nil {
			return g, err
		}
		if !slices.ContainsFunc(rules, func(r seccomp.Rule) bool { return !seccomp.Cover(has, r) }) {
			g.Profiles = append(g.Profiles, p.Name)
		}
	}
	return g, nil
}
