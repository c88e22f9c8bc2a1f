package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"casemate/cmd/casemate/commit"
	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/canon"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/source"
	"casemate/policy/valid"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Defaults of the flags.
const (
	controlPath = input.DefaultControlPath
	policyPath  = input.DefaultPath
)

// app is one run of the program: its streams and global flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	format   string
	color    string
	control  string
	colored  bool     // what goes to out
	coloring bool     // what goes to err
	settled  bool     // the flags are read and right
	broken   error    // the first failed write to out
	named    []string // policies among the words of a line that is being completed
	grants   map[*cobra.Command]func(args []string) confine.Grant
	written  map[*cobra.Command]*output.Into // of the verbs that have more formats
	gates    map[*cobra.Command]*gate        // of the verbs that have --fail-on of a difference
	into     *output.Into                    // of the verb that runs, nil for none
	fetched  map[string]fetched              // what git had for arguments git:REV:PATH
}

// reads is the grant of a verb that reads policies and writes nothing.
func reads(paths []string) confine.Grant {
	if len(paths) == 0 {
		paths = []string{policyPath}
	}
	return confine.Grant{Read: slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p == "-" })}
}

// settle checks the global flags of a verb after parsing.
func (a *app) settle(cmd *cobra.Command) error {
	if has := a.formatsOf(cmd); !slices.Contains(has, output.Text) && !cmd.Flags().Changed("output") {
		a.format = string(has[0])
	}
	if err := output.Check(a.format, a.formatsOf(cmd)); err != nil {
		return err
	}
	if a.control == "" {
		return errors.New("--control is empty: give it a value, or leave it out")
	}
	if err := a.gates[cmd].settled(cmd); err != nil {
		return err
	}
	switch a.color {
	case "always":
		a.colored, a.coloring = true, true
	case "never":
	case "auto":
		if os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
			a.colored, a.coloring = terminal(a.out), terminal(a.err)
		}
	default:
		return fmt.Errorf("color %q is not known: write auto, always or never", a.color)
	}
	a.settled = true
	return nil
}

// terminal tells whether w is one: /dev/null is a character device as well.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (a *app) json() bool { return a.format == "json" }

// printf writes to standard output and keeps the first error for the exit status.
func (a *app) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(a.out, format, args...); err != nil && a.broken == nil {
		a.broken = err
	}
}

// flush prints a table without the blanks that pad the last column.
func (a *app) flush(w *tabwriter.Writer, b *bytes.Buffer) {
	if err := w.Flush(); err != nil && a.broken == nil {
		a.broken = err
	}
	for row := range strings.Lines(b.String()) {
		a.printf("%s\n", strings.TrimRight(row, " \n"))
	}
}

// printJSON writes v indented. v must carry format_version.
func (a *app) printJSON(v any) error {
	if err := writeJSON(a.out, v); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// load reads and compiles the policy at the paths. The document is nil when a
// diagnostic is an error. Of a compiled document the blocks named in only do, as canon.DecodePart has them.
func (a *app) load(paths []string, only ...string) (*policy.Document, []policy.Diagnostic, map[string][]byte) {
	l, ds := a.loadReviewed(paths, only...)
	return l.doc, ds, l.sources
}

// loaded is what load reads, with what the text says to who reviews it (nil of a compiled document).
type loaded struct {
	doc     *policy.Document
	review  *lang.Review
	sources map[string][]byte
}

// text is the bytes of the document.
func (l loaded) text() ([]byte, error) {
	if l.review == nil {
		return canon.EncodeDocument(l.doc)
	}
	return canon.Text(l.doc, l.review.Text)
}

func (a *app) loadReviewed(paths []string, only ...string) (loaded, []policy.Diagnostic) {
	var files []policy.SourceFile
	var ds []policy.Diagnostic
	for _, path := range paths {
		got, err := a.read(path)
		if err != nil {
			ds = append(ds, sourceDiagnostic(path, err))
		}
		files = append(files, got...)
	}
	sources := map[string][]byte{}
	for _, f := range files {
		sources[f.Name] = f.Data
	}
	if len(ds) > 0 {
		return loaded{sources: sources}, ds
	}
	l, ds := reviewed(files, only...)
	l.sources = sources
	return l, ds
}

// compile gives the document of policy files, or checks the one compiled document
// among files, within the bounds of both.
func compile(files []policy.SourceFile) (*policy.Document, []policy.Diagnostic) {
	l, ds := reviewed(files)
	return l.doc, ds
}

func reviewed(files []policy.SourceFile, only ...string) (loaded, []policy.Diagnostic) {
	return bounded(input.CompileDeadline, input.CompileMemory, func() (l loaded, ds []policy.Diagnostic) {
		if i := slices.IndexFunc(files, func(f policy.SourceFile) bool { return input.IsDocument(f.Name) }); i >= 0 {
			l.doc, ds = compiled(files, i, only)
		} else {
			l.doc, ds, l.review = lang.CompileForReview(files)
		}
		return l, ds
	})
}

// compiled checks the compiled document that is file i, or what of it is about the blocks named in only.
func compiled(files []policy.SourceFile, i int, only []string) (*policy.Document, []policy.Diagnostic) {
	f := files[i]
	if len(files) > 1 {
		alone := &source.Error{Path: f.Name, Reason: "a compiled document stands alone", Next: "name it without other paths"}
		return nil, []policy.Diagnostic{alone.Diagnostic()}
	}
	doc, err := decoded(f.Data, only, func(p *policy.Policy) error { return errors.Join(valid.Check(p), calls.Verify(p)) })
	if err != nil {
		return nil, []policy.Diagnostic{sourceDiagnostic(f.Name, fmt.Errorf("read %s: %w", f.Name, err))}
	}
	return doc, nil
}

// decoded is a compiled document that passes check, or of it the blocks named in only.
func decoded(b []byte, only []string, check func(*policy.Policy) error) (*policy.Document, error) {
	if doc, ok := canon.DecodePart(b, only); ok && check(doc.Policy) == nil {
		return doc, nil
	}
	doc, err := canon.DecodeDocument(b)
	if err == nil {
		err = check(doc.Policy)
	}
	return doc, err
}

// read reads one path; "-" is standard input.
func (a *app) read(path string) ([]policy.SourceFile, error) {
	if got, ok := a.fetched[path]; ok {
		return got.files, got.err
	}
	if strings.HasPrefix(path, commit.Prefix) && !exists(path) {
		return nil, &source.Error{Path: path, Reason: "commits are not read here", Next: "check it out (git worktree add), and name the path there"}
	}
	if path != "-" {
		files, err := source.Read(path)
		var se *source.Error
		if rev, at, ok := strings.Cut(path, ":"); ok && errors.As(err, &se) && errors.Is(err, fs.ErrNotExist) && !strings.Contains(rev, "/") {
			se.Next += ", as git:" + rev + ":" + at + " if it is of a commit"
		}
		return files, err
	}
	data, err := io.ReadAll(io.LimitReader(a.in, input.MaxSourceFile+1))
	if err != nil {
		return nil, &source.Error{Path: stdinName, Reason: err.Error(), Err: err}
	}
	return []policy.SourceFile{{Name: stdinName, Data: data}}, nil
}

func sourceDiagnostic(path string, err error) policy.Diagnostic {
	if se, ok := err.(*source.Error); ok {
		return se.Diagnostic()
	}
	return policy.Diagnostic{Severity: policy.SeverityError, Code: "CM001", Summary: err.Error(), File: path}
}

// paint returns a function that wraps text for standard output into an ANSI style.
func (a *app) paint(style string) func(string) string { return painted(a.colored, style) }

// paintErr is paint for standard error: one of the two may be a file.
func (a *app) paintErr(style string) func(string) string { return painted(a.coloring, style) }

func painted(colored bool, style string) func(string) string {
	return func(s string) string {
		if !colored {
			return s
		}
		return "\x1b[" + style + "m" + s + "\x1b[0m"
	}
}
