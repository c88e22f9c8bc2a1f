package main

import (
	"errors"
	"fmt"

	"casemate/policy/control"
	"casemate/policy/granted"

	"github.com/spf13/cobra"
)

func (a *app) reloadCmd() *cobra.Command {
	var req control.Request
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make casemated load its policy again",
		Long: `reload asks the running casemated to compile its policy files and to switch to the
result. It returns when that is done. When the policy is not valid, or a listener
or a sandbox cannot be made, the old policy keeps running and reload prints why.
A service that could not be prepared before either, and whose block and profile are
the same, refuses nothing: it is named in a warning, and tried again.

With --if-digest nothing but the policy of that digest comes into force: the one that
somebody has reviewed, which casemate check and casemate plan print. With --if-running
nothing changes unless the policy that runs is that one, against which the review was
made. casemated compares both itself, where it has the document that it is about to
run, and again as it switches to it, so that no edit of a file and no other reload gets
in between. Where one does not hold, the old policy stays, and the log has a record.

After casemate rollback, reload loads the files again, whatever they say, and says so.

Sessions go on, whatever the new policy says of their clients. With --end-disallowed, or where the
policy says on_narrow = "end", those end whose client it does not admit now: by its address, the
address that it came to, the name that was asked of it, and the time; who would have to be asked
for a name is let be. They end as by casemate kill, each with a record that says why, and reload
returns when they have. The clients of a built-in end likewise, and are not counted. Those of a
program with wait = true are its own affair. One that runs since before the service had
refuse = "silent" is warned of (CM605): casemate kill has the next one held to its acl.

A package update needs no reload: a service whose program, files or user are others
than they were is prepared anew within seconds, under the policy that it has.

Exit status: 0 the new policy runs, 1 the old policy stays, 3 it stays since --if-digest
or --if-running does not hold.`,
		Example: `  casemate check && casemate reload
  casemate reload --if-digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, f := range []string{"if-digest", "if-running"} {
				if err := digestFlag(cmd, f); err != nil {
					return err
				}
			}
			req.Verb = control.VerbReload
			resp, err := a.loads(req)
			if resp == nil || a.json() {
				return err
			}
			a.printf("reloaded, digest %s\n", resp.Digest)
			if resp.EndedRollback && resp.Replaced != resp.Digest {
				a.printf("this ends the rollback to %s\n", resp.Replaced)
			}
			return errors.Join(err, a.tellNarrowed(resp.Sessions))
		},
	}
	cmd.Flags().BoolVar(&req.Ends, "end-disallowed", false, "end sessions whose client the new policy does not admit")
	cmd.Flags().StringVar(&req.IfDigest, "if-digest", "", "put no other policy into force than that of this digest")
	cmd.Flags().StringVar(&req.IfRunning, "if-running", "", "change nothing unless the policy of this digest runs")
	return cmd
}

// tellNarrowed waits for the end of the sessions that a load ends, and names them.
func (a *app) tellNarrowed(hit []control.SessionStatus) error {
	ended, left, err := a.await(hit, false)
	if err != nil {
		return err
	}
	for _, s := range ended {
		a.linef("ended %d %s %s\n", s.ID, s.Service, dash(s.Client))
	}
	if len(ended) > 0 {
		a.printf("%s, whose client the policy does not admit\n", several(len(ended), "session has ended", "sessions have ended"))
	}
	if len(left) > 0 {
		return fmt.Errorf("the policy runs, and %d of %d sessions that it does not admit have not ended", len(left), len(hit))
	}
	return nil
}

// digestFlag refuses a digest that is none: of a variable that is not set, too, which would be no condition.
func digestFlag(cmd *cobra.Command, name string) error {
	f := cmd.Flags().Lookup(name)
	if f.Changed && !granted.ValidDigest(f.Value.String()) {
		return fmt.Errorf("--%s %q is no digest: write sha256: and 64 hexadecimal digits, as casemate check prints it", name, f.Value.String())
	}
	return nil
}

// loads sends a request that loads a policy. A condition that does not hold is a no.
func (a *app) loads(req control.Request) (*control.Response, error) {
	resp, err := a.ask(req)
	if err != nil {
		return nil, err
	}
	if a.json() {
		return resp, a.printJSON(resp)
	}
	a.diagnose(resp.Diagnostics)
	if resp.Unkept != "" {
		fmt.Fprintf(a.err, "casemate: the policy runs, but casemate history does not have it: %s\n", resp.Unkept)
	}
	return resp, nil
}
