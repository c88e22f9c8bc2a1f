package main

import (
	"fmt"
	"slices"
	"strings"

	"casemate/policy/peers"
	"casemate/sandbox/seccomp"

	"github.com/spf13/cobra"
)

// callsTopic is `casemate help calls`: the groups of system calls beside what others allow.
func (a *app) callsTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "calls",
		Short: "The groups of system calls, beside the lists of others",
	}
}

const callsIntro = `A profile allows system calls by groups: syscalls { allow = ["@file-read"] }. This is what
each is for, how many calls it has, with any arguments or with some alone, and how many of
these stand in the lists of others that the shipped profiles were reviewed against:

`

const callsOutro = `
casemate profiles --groups @GROUP names the calls of a group with what it asks of their arguments,
casemate profiles --matrix says of every call which shipped profile and which of these lists has it.
`

// callsPage is the page, out of the tables that filters are made of.
func callsPage() string {
	var b strings.Builder
	b.WriteString(callsIntro)
	for _, l := range peers.Lists {
		fmt.Fprintf(&b, "  %-9s %s\n", l.Name, l.Source)
	}
	fmt.Fprintf(&b, "\n%-16s %5s  %7s %7s %7s  %s\n", "GROUP", "CALLS", "OPENSSH", "SYSTEMD", "DOCKER", "FOR")
	own := map[string]bool{}
	for _, g := range seccomp.Groups() {
		names := callsOf(g)
		fmt.Fprintf(&b, "%-16s %5d ", g, len(names))
		for _, l := range peers.Lists {
			fmt.Fprintf(&b, " %7d", len(slices.DeleteFunc(slices.Clone(names), func(c string) bool { has, _ := l.Has(c); return !has })))
		}
		fmt.Fprintf(&b, "  %s\n", seccomp.GroupDoc(g))
		for _, c := range names {
			own[c] = true
		}
	}
	alone, others := []string{}, []string{}
	for _, c := range seccomp.Names() {
		theirs := slices.ContainsFunc(peers.Lists[1:], func(l *peers.List) bool { has, _ := l.Has(c); return has })
		switch {
		case own[c] && !theirs:
			alone = append(alone, c)
		case theirs && !own[c]:
			others = append(others, c)
		}
	}
	fmt.Fprintf(&b, "\nIn a group, and in neither systemd's list nor Docker's:\n\n%s", columns(alone))
	fmt.Fprintf(&b, "\nIn one of these two, and in no group, so that a profile has them by name alone (clone3 answers ENOSYS all the same, for no filter sees its flags):\n\n%s", columns(others))
	b.WriteString(callsOutro)
	return b.String()
}

// callsOf are the calls of a group, each once.
func callsOf(group string) (names []string) {
	for _, r := range seccomp.GroupRules(group) {
		if !slices.Contains(names, r.Name) {
			names = append(names, r.Name)
		}
	}
	return names
}

// columns fills lines with words.
func columns(words []string) string {
	out, width := "", 0
	for _, w := range words {
		if width += len(w) + 1; width > 92 || out == "" {
			out, width = strings.TrimPrefix(out+"\n", "\n")+" ", len(w)+1
		}
		out += " " + w
	}
	return out + "\n"
}
