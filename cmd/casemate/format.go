package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/source"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func (a *app) fmtCmd() *cobra.Command {
	var o formatOptions
	cmd := &cobra.Command{
		Use:   "fmt [PATH...|-]",
		Short: "Rewrite policy files in the canonical layout",
		Long: `fmt rewrites policy files, and the tests beside them, in place and prints the names of those it changed. It
changes white space only; with --fix, also the names of attributes that are deprecated.
A file that does not parse is left alone. With - it formats standard input to standard output.

Exit status: 0 done, 1 could not, 3 with --check: a file is not formatted.`,
		Example: `  casemate fmt /etc/casemate
  casemate fmt --check --diff policy.cm.hcl
  casemate fmt - < policy.cm.hcl`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{policyPath}
			}
			r := formatReport{FormatVersion: 1, Files: []formatted{}}
			for _, path := range args {
				files, err := a.readLaidOut(path)
				if err != nil {
					return a.unformatted(&r, []policy.Diagnostic{sourceDiagnostic(path, err)})
				}
				for _, f := range files {
					if input.IsTable(f.Name) || strings.HasSuffix(f.Name, input.BannerSuffix) { // of a directory, it is another's to lay out
						if f.Name == path {
							return fmt.Errorf("fmt %s: an inetd.conf or a banner has no canonical layout: name the files of the policy", path)
						}
						continue
					}
					if err := a.formatFile(&r, f, &o); err != nil {
						return err
					}
				}
			}
			if a.json() {
				if err := a.printJSON(r); err != nil {
					return err
				}
			}
			if o.check && slices.ContainsFunc(r.Files, func(f formatted) bool { return f.Changed }) {
				return errNo
			}
			return nil
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		g := reads(args)
		if !o.check {
			g.Write = folders(g.Read)
		}
		return g
	}
	cmd.Flags().BoolVar(&o.check, "check", false, "change nothing; exit with 3 if a file is not formatted")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "print the changes")
	cmd.Flags().BoolVar(&o.fix, "fix", false, "write what is deprecated as it is to be")
	return cmd
}

// readLaidOut reads the policy at a path, and the tests beside it.
func (a *app) readLaidOut(path string) ([]policy.SourceFile, error) {
	tests, err := source.ReadTests(path)
	if err != nil {
		return nil, err
	}
	files, err := a.read(path)
	if err != nil && len(tests) > 0 && noPolicy(err) {
		err = nil
	}
	return append(files, tests...), err
}

// formatOptions are the flags of fmt.
type formatOptions struct{ check, diff, fix bool }

// layout is the file as it is to be.
func (o *formatOptions) layout(f policy.SourceFile) ([]byte, []policy.Diagnostic) {
	return bounded(input.CompileDeadline, input.CompileMemory, func() ([]byte, []policy.Diagnostic) {
		if o.fix {
			fixed, ds := lang.Fix(f)
			if policy.HasErrors(ds) {
				return nil, ds
			}
			f.Data = fixed
		}
		return lang.Format(f)
	})
}

// formatReport is the JSON of fmt.
type formatReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Files       []formatted         `json:"files"`
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"`
}

// formatted is one file that fmt has looked at.
type formatted struct {
	Name    string `json:"name"`
	Changed bool   `json:"changed"` // with --check: it would be
	Diff    string `json:"diff,omitempty"`
	Text    string `json:"text,omitempty"` // of standard input
}

func (a *app) unformatted(r *formatReport, ds []policy.Diagnostic) error {
	return a.refuse(ds, func(f failure) any {
		r.failure, r.Diagnostics = &f, ds
		return r
	})
}

// formatFile formats one file. Its name goes to standard output if that changes it, its
// diff too if asked for, and all of that to r.
func (a *app) formatFile(r *formatReport, f policy.SourceFile, o *formatOptions) error {
	out, ds := o.layout(f)
	if policy.HasErrors(ds) {
		return a.unformatted(r, ds)
	}
	stdin := f.Name == "<stdin>"
	done := formatted{Name: f.Name, Changed: !bytes.Equal(out, f.Data)}
	text := ""
	switch {
	case stdin && !o.check && !o.diff:
		done.Text, text = string(out), string(out)
	case !done.Changed:
	case o.diff:
		done.Diff = string(diff.Diff(oneLine(f.Name), f.Data, oneLine(f.Name)+" (formatted)", out))
		text = done.Diff
	default:
		text = oneLine(f.Name) + "\n"
	}
	if done.Changed && !o.check && !stdin {
		if err := replace(f.Name, out); err != nil {
			return err
		}
	}
	if r.Files = append(r.Files, done); !a.json() {
		if o.diff && os.Getenv("GITHUB_ACTIONS") != "" { // which obeys what a line of a file says; elsewhere it is a patch
			text = output.EachLine(text)
		}
		a.printf("%s", text)
	}
	return nil
}

// folders are the directories in which replace writes for these paths: a path
// that cannot be followed is reported by who reads it.
func folders(paths []string) []string {
	var out []string
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		if info, err := os.Stat(real); err != nil || !info.IsDir() {
			real = filepath.Dir(real)
		}
		out = append(out, real)
	}
	return out
}

// replace writes a file anew: complete beside the old one, then in its place,
// so that a reader sees one or the other. A link is followed to its file.
func replace(name string, data []byte) (err error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(real), ".casemate-fmt-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err = os.Rename(tmp.Name(), real); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
