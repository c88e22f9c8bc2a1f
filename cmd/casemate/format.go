package main

import (
	"bytes"
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
All files are written, or none: where one does not parse or cannot be written, each is as
it was. With - it formats standard input to standard output.

Exit status: 0 done, 1 could not, 3 with --check: a file is not formatted.`,
		Example: `  casemate fmt /etc/casemate
  casemate fmt --check --diff policy.cm.hcl
  casemate fmt - < policy.cm.hcl`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{policyPath}
			}
			return a.fmt(args, &o)
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

// fmt formats the files at the paths: all of them, or none.
func (a *app) fmt(paths []string, o *formatOptions) error {
	r := formatReport{FormatVersion: 1, Files: []formatted{}}
	files, ds, err := a.readAllLaidOut(paths)
	if err != nil {
		return err
	}
	var anew []rewrite
	for _, f := range files {
		done, more := o.format(f)
		if ds = append(ds, more...); done.Changed && !o.check && f.Name != stdinName {
			anew = append(anew, rewrite{name: f.Name, read: f.Data, new: done.laidOut})
		}
		r.Files = append(r.Files, done)
	}
	if policy.HasErrors(ds) {
		r.Files = []formatted{}
		return a.unformatted(&r, ds)
	}
	if err := writeAll(anew, os.Rename); err != nil {
		return err
	}
	if a.json() {
		err = a.printJSON(r)
	} else {
		a.formatted(r.Files, o)
	}
	if err == nil && o.check && slices.ContainsFunc(r.Files, func(f formatted) bool { return f.Changed }) {
		err = errNo
	}
	return err
}

// readAllLaidOut reads what is to be formatted: each file once, however often it is named. What of a directory is another's to
// lay out is left out.
func (a *app) readAllLaidOut(paths []string) (out []policy.SourceFile, ds []policy.Diagnostic, err error) {
	seen := map[string]bool{}
	for _, path := range paths {
		files, err := a.readLaidOut(path)
		if err != nil {
			ds = append(ds, sourceDiagnostic(path, err))
			continue
		}
		for _, f := range files {
			table := input.IsTable(f.Name) || strings.HasSuffix(f.Name, input.BannerSuffix)
			if table && f.Name == path {
				return nil, nil, fmt.Errorf("fmt %s: an inetd.conf or a banner has no canonical layout: name the files of the policy", path)
			}
			if real := realPath(f.Name); !table && !seen[real] {
				seen[real] = true
				out = append(out, f)
			}
		}
	}
	return out, ds, nil
}

// realPath is where a path leads, or the path.
func realPath(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return path
	}
	return real
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
	laidOut []byte
}

func (a *app) unformatted(r *formatReport, ds []policy.Diagnostic) error {
	return a.refuse(ds, func(f failure) any {
		r.failure, r.Diagnostics = &f, ds
		return r
	})
}

// stdinName is the file that standard input is.
const stdinName = "<stdin>"

// format lays one file out.
func (o *formatOptions) format(f policy.SourceFile) (formatted, []policy.Diagnostic) {
	out, ds := o.layout(f)
	done := formatted{Name: f.Name, Changed: !bytes.Equal(out, f.Data), laidOut: out}
	switch {
	case f.Name == stdinName && !o.check && !o.diff:
		done.Text = string(out)
	case done.Changed && o.diff:
		done.Diff = string(diff.Diff(oneLine(f.Name), f.Data, oneLine(f.Name)+" (formatted)", out))
	}
	return done, ds
}

// formatted prints the names of the files that are other, or what is asked for in their place.
func (a *app) formatted(files []formatted, o *formatOptions) {
	for _, f := range files {
		text := f.Text + f.Diff
		if f.Changed && text == "" {
			text = oneLine(f.Name) + "\n"
		}
		if o.diff && os.Getenv("GITHUB_ACTIONS") != "" { // which obeys what a line of a file says; elsewhere it is a patch
			text = output.EachLine(text)
		}
		a.printf("%s", text)
	}
}

// folders are the directories in which writeAll writes for these paths: a path
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
