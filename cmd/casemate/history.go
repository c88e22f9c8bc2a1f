package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"casemate/policy/control"
	"casemate/policy/granted"

	"github.com/spf13/cobra"
)

func (a *app) historyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "history",
		Short: "List the policies that ran",
		Long: `history asks the running casemated which policies it had in force, the newest first: when
each began and ended to run, how it came (start, reload, signal for a HUP, rollback), the
uid of who has asked for it, how many services it has, and its digest. A policy
that is loaded again as it was goes on, also when casemated is started again with
it. After a casemated that was killed, the end is when it was known to run last.

casemated keeps the compiled documents of the last 64, and of no more than 64 MiB, in
files of root's, and they outlive it: see casemated --help for the place. The numbers are
never given twice. casemate rollback loads one again, and casemate explain --decision
asks the one that has decided.`,
		Example: `  casemate history
  casemate history -o json | jq -r '.runs[-2].digest'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			resp, err := a.ask(control.Request{Verb: control.VerbHistory})
			if err != nil {
				return err
			}
			if a.json() {
				if resp.Runs == nil {
					resp.Runs = []control.Run{}
				}
				return a.printJSON(historyReport{1, resp.Runs})
			}
			a.history(resp.Runs)
			return nil
		},
	}
}

// historyReport is the JSON of history.
type historyReport struct {
	FormatVersion int           `json:"format_version"`
	Runs          []control.Run `json:"runs"` // the oldest first
}

func (a *app) history(runs []control.Run) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tBEGAN\tENDED\tHOW\tUID\tSERVICES\tDIGEST")
	for i := len(runs) - 1; i >= 0; i-- {
		r := &runs[i]
		ended := "runs"
		if !r.Ended.IsZero() {
			ended = r.Ended.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", r.Number, r.Began.UTC().Format(time.RFC3339), ended, oneLine(r.How), uidOf(r), r.Services, r.Digest)
	}
	a.flush(w, &b)
}

func uidOf(r *control.Run) string {
	if r.UID == nil {
		return "-"
	}
	return strconv.FormatUint(uint64(*r.UID), 10)
}

func (a *app) rollbackCmd() *cobra.Command {
	var running string
	var ends bool
	cmd := &cobra.Command{
		Use:   "rollback DIGEST|RUN",
		Short: "Put a policy into force that ran before",
		Long: `rollback asks the running casemated to load a policy of casemate history again, by its
digest or the number of its run. It is loaded in the same way as casemated loads a
compiled document (casemated policy.json): checked again, by this version, and refused
where it is not valid or does not hold on this host now, with the same errors as those of
reload. Then what runs stays. Of what is in force already it says so, and does nothing.

It changes no file. Until these say what is to run, casemate status shows that
the policy was rolled back to, and the next reload, HUP or start of casemated loads what
they say. A casemated that was started with --digest rolls back to that one alone, and one
with --trust to what has a signature beside the kept file: put the older document, which
has one, in the place of the newer there, and reload.

Sessions go on. With --end-disallowed, or where the policy says on_narrow = "end", those end whose
client it does not admit, as by casemate reload --end-disallowed.

Exit status: 0 the policy runs, 1 the one before stays, 3 it stays since there is no such
run, or --if-running does not hold.`,
		Example: `  casemate history
  casemate rollback 41
  casemate rollback sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := digestFlag(cmd, "if-running"); err != nil {
				return err
			}
			return a.rollback(args[0], running, ends)
		},
	}
	cmd.Flags().BoolVar(&ends, "end-disallowed", false, "end sessions whose client the policy does not admit")
	cmd.Flags().StringVar(&running, "if-running", "", "change nothing unless the policy of this digest runs")
	return cmd
}

// rollback loads what which names: a digest, or the number of a run.
func (a *app) rollback(which, running string, ends bool) error {
	digest := which
	if !granted.ValidDigest(which) {
		number, err := strconv.ParseUint(which, 10, 31)
		if err != nil {
			return fmt.Errorf("rollback: %q is neither a digest nor the number of a run: write one that casemate history shows", which)
		}
		resp, err := a.ask(control.Request{Verb: control.VerbHistory})
		if err != nil {
			return err
		}
		if digest = digestOf(resp.Runs, int(number)); digest == "" {
			fmt.Fprintf(a.err, "casemate: run %d is not kept: casemate history lists those that are\n", number)
			if a.json() {
				if err := a.printJSON(failed{1, failure{false, fmt.Sprintf("run %d is not kept", number)}, nil}); err != nil {
					return err
				}
			}
			return errNo
		}
	}
	resp, err := a.loads(control.Request{Verb: control.VerbRollback, Digest: digest, IfRunning: running, Ends: ends})
	if resp == nil || a.json() {
		return err
	}
	if resp.Digest == resp.Replaced {
		a.printf("in force already, digest %s: nothing is changed, and the history has no run more\n", resp.Digest)
		return err
	}
	a.printf("rolled back, digest %s\n", resp.Digest)
	a.printf("the files of the policy are as they were: %s, HUP or a start of casemated loads them\n", a.asking("reload"))
	return errors.Join(err, a.tellNarrowed(resp.Sessions))
}

func digestOf(runs []control.Run, number int) string {
	for i := range runs {
		if runs[i].Number == number {
			return runs[i].Digest
		}
	}
	return ""
}

// runs are what a rollback may name, for shells.
func (a *app) runs() (out []cobra.Completion) {
	quiet := *a
	quiet.out, quiet.err = &bytes.Buffer{}, &bytes.Buffer{}
	resp, err := quiet.ask(control.Request{Verb: control.VerbHistory})
	if err != nil {
		return nil
	}
	for i := len(resp.Runs) - 1; i >= 0; i-- {
		r := &resp.Runs[i]
		if !granted.ValidDigest(r.Digest) {
			continue
		}
		what := fmt.Sprintf("run %d, since %s", r.Number, r.Began.UTC().Format(time.RFC3339))
		out = append(out, cobra.CompletionWithDesc(r.Digest, what), cobra.CompletionWithDesc(strconv.Itoa(r.Number), strings.TrimPrefix(r.Digest, "sha256:")[:12]))
	}
	return out
}

// reviewed is what --if-digest can be: what the policy at its usual path says.
func (a *app) reviewed() (out []cobra.Completion) {
	if doc, _, _ := a.load([]string{policyPath}); doc != nil {
		out = append(out, cobra.CompletionWithDesc(doc.Digest, policyPath))
	}
	return out
}

// runningDigest is what --if-running can be.
func (a *app) runningDigest() (out []cobra.Completion) {
	if st := a.running(); st != nil && st.Digest != "" {
		out = append(out, cobra.CompletionWithDesc(st.Digest, "runs"))
	}
	return out
}
