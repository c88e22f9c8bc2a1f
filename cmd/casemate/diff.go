package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/diff"
	"casemate/policy/input"

	"github.com/spf13/cobra"
)

// running stands for the policy that casemated runs, in place of a path.
const running = "running"

// diffReport is the JSON of diff.
type diffReport struct {
	FormatVersion int    `json:"format_version"`
	OldPath       string `json:"old_path"`
	NewPath       string `json:"new_path"`
	*diff.Policies
}

func (a *app) diffCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Tell what a change of the policy grants more and less, service by service",
		Long: `diff compares what two policies come to, not how they are written: a block that is
moved or named otherwise, another order of a list and a changed default that nothing uses
are no difference, and a local that many services use is one for each of them.

OLD and NEW are files, directories, compiled documents, - for standard input, git:REV:PATH
for what a commit has (PATH from the root of the repository, or from here as ./PATH), or
running for what casemated runs.

Of each service it says whether it is widened, narrowed, mixed, incomparable (other, and
nobody can prove that it is no more), added, removed, or changed in what grants nothing
(as a banner), and in what: who gets in (reach), listeners, command,
identity, limits, seccomp, files, network, capabilities, resources, namespaces, processor.
Who gets in is exact, for every address, user and machine, whatever names and times the
rules ask for: of a client that gets in by its name, whoever has the name may.

Another fixed user or group is incomparable, since nobody knows what each may touch; so is
one in the place of root, unless that may touch what others own (CAP_DAC_OVERRIDE). A user
leased for each connection is less than any.

What the host keeps for longer counts as more: linger, keep_socket, and on_stop = "leave",
whose sessions go on without casemated. Another log is incomparable: with fewer records
nobody learns what was done, with more of them more is kept of the clients. on_broken opens
nothing that the policy has not.

What gets in and did not before is shown by one client, as casemate explain takes it; a
system call by the answers of the two filters, which have both been asked. Services of
which the same is to be said stand together.

Exit status: 0 told, 1 could not, 3 with --fail-on widened: something is more, or may be
(widened, mixed, incomparable, added); with --fail-on changed: anything is other.`,
		Example: `  casemate diff /etc/casemate ./casemate
  casemate diff git:main:casemate ./casemate --fail-on widened
  casemate diff git:v1.2:policy.cm.hcl git:HEAD:policy.cm.hcl -o markdown
  casemate diff running /etc/casemate`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" && args[1] == "-" {
				return errors.New("OLD and NEW are both standard input: name one of them otherwise")
			}
			p, err := a.difference(args[0], args[1])
			if err != nil {
				return err
			}
			t := told{old: a.policyWords(args[0]), new: a.policyWords(args[1]), p: p, groups: alike(p)}
			if err := a.emit(forms{
				output.Text:     func(io.Writer) error { a.diffText(t); return nil },
				output.JSON:     func(w io.Writer) error { return writeJSON(w, diffReport{1, args[0], args[1], p}) },
				output.Markdown: func(w io.Writer) error { return t.markdown(w) },
				output.SARIF:    func(w io.Writer) error { return findingsOf("diff", t.findings()).WriteSARIF(w) },
			}); err != nil {
				return err
			}
			return a.pass(a.gates[cmd], shutBy(p, args[1], args[0]))
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		return confine.Grant{Read: onDisk(args)}
	}
	a.revisions(cmd, "")
	a.gated(cmd, onWidened, onChanged)
	a.formats(cmd, output.Markdown, output.SARIF)
	return cmd
}

// difference compares the policies of two paths, within the bounds of one that is compiled.
func (a *app) difference(old, new string) (*diff.Policies, error) {
	var docs [2]*policy.Document
	for i, path := range []string{old, new} {
		doc, err := a.document(path)
		if err != nil {
			return nil, err
		}
		docs[i] = doc
	}
	return a.compared(docs[0], docs[1])
}

// compared compares two policies within those bounds.
func (a *app) compared(old, new *policy.Document) (*diff.Policies, error) {
	var failed error
	p, ds := bounded(input.CompileDeadline, input.CompileMemory, func() (*diff.Policies, []policy.Diagnostic) {
		p, err := diff.Compare(old, new)
		failed = err
		return p, nil
	})
	if p == nil && failed == nil {
		return nil, a.refuse(ds, nil)
	}
	if failed != nil {
		return nil, fmt.Errorf("diff: %w", failed)
	}
	return p, nil
}

// document is the policy of one path, or the running one.
func (a *app) document(path string) (*policy.Document, error) {
	if path == running {
		return a.documentOf(nil)
	}
	return a.documentOf([]string{path})
}

// told is a difference on its way to whoever reads it.
type told struct {
	old, new []string // the words that name the two policies behind a verb's other words
	p        *diff.Policies
	groups   []group
	said     map[string]string // the service of which each dimension has been told first
}

// summary is the difference in one line.
func (t told) summary() string {
	var parts []string
	for _, v := range diff.Verdicts {
		if n := t.p.Counts[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	if len(t.p.Policy) > 0 {
		parts = append(parts, "the policy's own attributes "+string(t.p.PolicyVerdict))
	}
	if len(parts) == 0 {
		return "no services"
	}
	return strings.Join(parts, ", ")
}

// paste is the command line that shows what becomes of a witness.
func (t told) paste(service string, v diff.Verdict, r *diff.Reach) string {
	of := t.new
	if r.Verdict == diff.Narrowed && v == diff.Removed {
		of = t.old
	}
	return command(slices.Concat([]string{"explain", service}, r.Witness.Flags(), of)...)
}
