package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/lang"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
)

func (a *app) fmtCmd() *cobra.Command {
	var check, showDiff bool
	cmd := &cobra.Command{
		Use:   "fmt [PATH...|-]",
		Short: "Rewrite policy files in the canonical layout",
		Long: `fmt rewrites policy files in place and prints the names of those it changed. It
changes white space only. A file that does not parse is left alone. With - it
formats standard input to standard output.

Exit status: 0 done, 1 could not, 3 with --check: a file is not formatted.`,
		Example: `  casemate fmt /etc/casemate
  casemate fmt --check --diff policy.cm.hcl
  casemate fmt - < policy.cm.hcl`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{policyPath}
			}
			changed := false
			for _, path := range args {
				files, err := a.read(path)
				if err != nil {
					return a.refuse([]policy.Diagnostic{sourceDiagnostic(path, err)})
				}
				for _, f := range files {
					c, err := a.formatFile(f, check, showDiff)
					if err != nil {
						return err
					}
					changed = changed || c
				}
			}
			if changed && check {
				return errNo
			}
			return nil
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		g := reads(args)
		if !check {
			g.Write = folders(g.Read)
		}
		return g
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit with 3 if a file is not formatted")
	cmd.Flags().BoolVar(&showDiff, "diff", false, "print the changes")
	return cmd
}

// formatFile formats one file and tells whether that changes it. Its name goes
// to standard output, its diff too if asked for.
func (a *app) formatFile(f policy.SourceFile, check, showDiff bool) (bool, error) {
	out, ds := lang.Format(f)
	if policy.HasErrors(ds) {
		return false, a.refuse(ds)
	}
	stdin := f.Name == "<stdin>"
	changed := !bytes.Equal(out, f.Data)
	switch {
	case stdin && !check && !showDiff:
		a.printf("%s", out)
		return changed, nil
	case !changed:
		return false, nil
	case showDiff:
		a.printf("%s", diff.Diff(f.Name, f.Data, f.Name+" (formatted)", out))
	default:
		a.printf("%s\n", f.Name)
	}
	if check || stdin {
		return true, nil
	}
	return true, replace(f.Name, out)
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
