package main

import (
	"slices"
	"strings"

	"casemate/cmd/confine"
	"casemate/policy/diff"

	"github.com/spf13/cobra"
)

func (a *app) profilesDiffCmd() *cobra.Command {
	var policies, after []string
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Tell what one profile grants more and less than another",
		Long: `diff compares what two profiles come to, not how they are written: what profile B
grants more (+) and less (-) than A in each layer, and what is only different, or could not
be decided (~). Of the system calls it compares what their rules let through, arguments and
all: openat(2&0x40=0x0) is the call with a third argument that has no bit of 0x40. A group
stands there when one of the two alone has all of it. Paths are compared as they are
written; where a link leads it does not look.

A and B are shipped profiles, or of the policy of --policy. With --new B is of another
policy, as a review has it: casemate profiles diff finger finger --policy OLD --new NEW;
either may be git:REV:PATH.

Exit status: 0 told, 1 could not, 3 with --fail-on widened: B grants more, or may.`,
		Example: `  casemate profiles diff line files
  casemate profiles diff server finger --policy /etc/casemate
  casemate profiles diff finger finger --policy /etc/casemate --new ./casemate --fail-on widened`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(after) == 0 {
				after = policies
			}
			var pair [2]profile
			for i, paths := range [][]string{policies, after} {
				known, err := a.known(paths)
				if err != nil {
					return err
				}
				one, err := known.choose(args[i : i+1])
				if err != nil {
					return err
				}
				pair[i] = one[0]
			}
			r, err := diff.Profiles(&pair[0].Profile, &pair[1].Profile)
			if err != nil {
				return err
			}
			if err := a.profileDifference(r); err != nil {
				return err
			}
			return a.pass(a.gates[cmd], shutByProfile(r))
		},
	}
	a.grants[cmd] = func([]string) confine.Grant { return confine.Grant{Read: onDisk(slices.Concat(policies, after))} }
	a.revisions(cmd, "")
	f := cmd.Flags()
	f.StringArrayVar(&policies, "policy", nil, "the policy that A and B are of (more than one path are one policy)")
	f.StringArrayVar(&after, "new", nil, "the policy that B is of, where it is another")
	a.gated(cmd, onWidened)
	return cmd
}

// profileDifference prints a report.
func (a *app) profileDifference(r *diff.Report) error {
	if a.json() {
		return a.printJSON(struct {
			FormatVersion int  `json:"format_version"`
			Same          bool `json:"same"`
			*diff.Report
		}{1, r.Same(), r})
	}
	if r.Same() {
		a.printf("%s and %s grant the same\n", r.A, r.B)
	}
	for i, l := range r.Layers {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s\n", a.paint("1")(l.Name))
		for _, part := range []struct {
			sign, color string
			lines       []string
		}{{"+", "31", l.More}, {"-", "32", l.Less}, {"~", "33", l.Differs}} {
			a.signed(a.paint(part.color)(part.sign), part.lines)
		}
	}
	return nil
}

// signed prints what is more or less: single words in lines that a terminal holds, and each
// sentence on its own.
func (a *app) signed(sign string, lines []string) {
	const width = 96
	row := ""
	end := func() {
		if row != "" {
			a.printf("  %s%s\n", sign, row)
		}
		row = ""
	}
	for _, line := range lines {
		if sentence := strings.Contains(line, " "); sentence || len(row)+len(line) >= width {
			end()
		}
		if row += " " + line; strings.Contains(line, " ") {
			end()
		}
	}
	end()
}
