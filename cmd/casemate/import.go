package main

import (
	"errors"
	"fmt"

	"casemate/cmd/confine"
	"casemate/policy/importer"

	"github.com/spf13/cobra"
)

// importReport is the JSON of import.
type importReport struct {
	FormatVersion int             `json:"format_version"`
	Policy        string          `json:"policy"`
	Lost          int             `json:"lost"`
	Losses        []importer.Loss `json:"losses"`
}

func (a *app) importCmd() *cobra.Command {
	var strict bool
	cmd := &cobra.Command{
		Use:   "import KIND FILE...",
		Short: "Write a policy from what another super-server is told",
		Long: `import reads the tables of another super-server and writes a policy to standard
output, each block with the lines that it comes from. Every line of the input is in the
policy, in a comment of it, or in the report on standard error, with its place, what is
lost and what to write instead. What is lost never opens a service wider than it was:
where a rule or a bound has no counterpart, the service admits nobody, or stands in a
comment, until you decide.

Then: casemate check what came out, read its warnings, narrow the profiles.

With -o json the policy and the report are one object: "policy", "losses" (file, line,
kind lost or note, text, reason, instead) and "lost", how many are no mere notes.

Exit status: 0 written, 1 could not, 3 written, and something is lost (--strict).`,
		Example: `  casemate import inetd /etc/inetd.conf >site.cm.hcl
  casemate import xinetd /etc/xinetd.conf >site.cm.hcl
  casemate import hosts-access /etc/hosts.allow /etc/hosts.deny >hosts.cm.hcl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.json() {
				if err := cmd.Help(); err != nil {
					return err
				}
			}
			return errors.New("import what? name one of its kinds")
		},
	}
	cmd.PersistentFlags().BoolVar(&strict, "strict", false, "exit with 3 if anything is lost")
	cmd.AddCommand(a.importInetd(&strict), a.importXinetd(&strict), a.importHosts(&strict), a.importSystemd(&strict), a.importHost(&strict))
	return cmd
}

// imported prints what an import came to.
func (a *app) imported(r *importer.Result, err error, strict bool) error {
	if err != nil {
		return err
	}
	if a.json() {
		err = a.printJSON(importReport{1, string(r.HCL), r.Lost, append([]importer.Loss{}, r.Losses...)})
	} else {
		a.printf("%s", r.HCL)
	}
	for _, l := range r.Losses {
		paint := a.paintErr("2")
		if l.Kind == importer.Lost {
			paint = a.paintErr("33")
		}
		fmt.Fprintf(a.err, "%s %v\n", paint(string(l.Kind)), l)
	}
	switch {
	case r.Lost == 1:
		fmt.Fprintln(a.err, "casemate: one thing is lost; it is listed above")
	case r.Lost > 1:
		fmt.Fprintf(a.err, "casemate: %d things are lost; they are listed above\n", r.Lost)
	}
	if err == nil && strict && r.Lost > 0 {
		return errNo
	}
	return err
}

func (a *app) importHosts(strict *bool) *cobra.Command {
	var tables *hostTables
	cmd := &cobra.Command{
		Use:   "hosts-access ALLOW DENY",
		Short: "hosts.allow and hosts.deny of tcp wrappers",
		Long: `hosts-access writes an acl for each daemon that the tables name, and one for all others.
They decide as Debian's libwrap does, or less openly where a rule has no counterpart: a
rule that would admit is left out then, and one that would deny denies everybody. A file
that is not there is an empty one, as for tcp wrappers; without both, everybody is
admitted.

Give a service the acl of its daemon: acl = acl.in-telnetd.`,
		Example: `  casemate import hosts-access /etc/hosts.allow /etc/hosts.deny`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if tables.err != nil {
				return tables.err
			}
			a.absent(tables)
			r, err := importer.HostsAccess(tables.allow, tables.deny)
			return a.imported(r, err, *strict)
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant { return tablesGrant(args, false, &tables) }
	return cmd
}
