package main

import (
	"casemate/policy/control"

	"github.com/spf13/cobra"
)

func (a *app) reloadCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make casemated load its policy again",
		Long: `reload asks the running casemated to compile its policy files and to switch to the
result. It returns when that is done. When the policy is not valid, or a listener
or a sandbox cannot be made, the old policy keeps running and reload prints why.
A service that could not be prepared before either, and whose block and profile are
the same, refuses nothing: it is named in a warning, and tried again.

A package update needs no reload: a service whose program, files or user are others
than they were is prepared anew within seconds, under the policy that it has.

Exit status: 0 the new policy runs, 1 the old policy stays.`,
		Example: "  casemate check && casemate reload",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			resp, err := a.ask(control.Request{Verb: control.VerbReload})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(resp)
			}
			a.diagnose(resp.Diagnostics)
			a.printf("reloaded, digest %s\n", resp.Digest)
			return nil
		},
	}
}
