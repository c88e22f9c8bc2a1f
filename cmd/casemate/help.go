package main

import (
	"fmt"
	"strings"

	"casemate/policy/suggest"

	"github.com/spf13/cobra"
)

// helpCmd is the verb help, which fails for what there is no help about.
func (a *app) helpCmd() *cobra.Command {
	var man string
	cmd := &cobra.Command{
		Use:   "help [VERB]",
		Short: "Help about a verb or a topic",
		Long: `help prints what a verb does, with its flags and examples, or the page of a topic:
policy is the policy language, policy-tests that of its tests, inetd how a policy extends an inetd.conf, log what a record
holds, calls the groups of system calls.

With --man it prints the manual page of that name, made from the same text:
casemate-check.1 of a verb, casemate-policy.5 of a topic; list names them all.
casemated.8, casemate-worker.8 and casemate-filter.8 are made from what these print with --help,
which it then reads from standard input.`,
		Example: "  casemate help check\n  casemate help policy\n  casemate help --man casemate-policy.5 | man -l -",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.helpOrManual(cmd, args, man) },
	}
	cmd.Flags().StringVar(&man, "man", "", "print this manual `page`, or list")
	return cmd
}

// made are the pages of topics that are made of tables. That takes milliseconds, so it is done when one is
// asked for and not at each start.
var made = map[string]func() string{"policy": policyPage, "policy-tests": testsPage, "calls": callsPage}

// long is what a command or topic says of itself at length.
func long(c *cobra.Command) string {
	if page := made[c.Name()]; page != nil {
		return page()
	}
	return c.Long
}

func noTopic(root *cobra.Command, args []string) error {
	var known []string
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != completionVerb {
			known = append(known, c.Name())
		}
	}
	next := "there are: " + strings.Join(known, ", ")
	if w := suggest.Word(args[0], known); w != "" && w != args[0] {
		next = fmt.Sprintf("did you mean %q?", w)
	}
	return fmt.Errorf("there is no help about %q; %s", strings.Join(args, " "), next)
}
