package main

import (
	"fmt"
	"strings"

	"casemate/policy/suggest"

	"github.com/spf13/cobra"
)

// helpCmd is the verb help, which fails for what there is no help about.
func (a *app) helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Help about a verb or a topic",
		Long: `help prints what a verb does, with its flags and examples, or the page of a topic:
policy is the policy language, inetd how a policy extends an inetd.conf, log what a record
holds.`,
		Example: "  casemate help check\n  casemate help policy",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noTopic(cmd.Root(), args)
			}
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		},
	}
}

func noTopic(root *cobra.Command, args []string) error {
	var known []string
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != "completion" {
			known = append(known, c.Name())
		}
	}
	next := "there are: " + strings.Join(known, ", ")
	if w := suggest.Word(args[0], known); w != "" && w != args[0] {
		next = fmt.Sprintf("did you mean %q?", w)
	}
	return fmt.Errorf("there is no help about %q; %s", strings.Join(args, " "), next)
}
