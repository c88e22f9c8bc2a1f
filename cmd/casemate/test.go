package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"casemate/cmd/casemate/output"
	"casemate/policy"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/policytest"
	"casemate/policy/source"

	"github.com/spf13/cobra"
)

// testFlags are what test is asked for.
type testFlags struct {
	run        string
	allowEmpty bool
	verbose    bool
	coverage   bool
	least      int // percent
}

func (a *app) testCmd() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test [PATH...]",
		Short: "Run the tests of a policy",
		Long: `test compiles the policy and runs its tests, the *` + input.TestSuffix + ` beside its files: cases,
each about clients who come to a service and what is to become of them, and invariants,
which hold for all services. They are decided with the code that casemated decides with, on a
clock of their own: nothing is listened on, started, asked or waited for, and the answer is
the same on every machine. help policy-tests is the language of the tests.

PATH is a file, a directory or git:REV:PATH, as check takes them; a directory's tests are run with
it, and a file of tests is named beside the policy, which may be a compiled document. The
default is ` + policyPath + `.

A test that cannot be evaluated has failed. A service, acl or rule that the policy does
not have is an error before any test runs. A failure says what the test wants, what it got,
which rules were asked and why, and the lines of both. With --coverage it lists the rules,
defaults and limits that no case has reached: a rule by a client about whom it decides, a
limit by one whom it refuses.

Exit status: 0 all passed, 1 could not run them, 3 one has failed, none was selected (but with
--allow-empty), or fewer are reached than --min-coverage asks for.`,
		Example: `  casemate test
  casemate test examples/quickstart --coverage
  casemate test --run telnet --output-into junit=report.xml /etc/casemate
  casemate test compiled.json site.cmtest.hcl -o json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.test(args, &f) },
	}
	a.grants[cmd] = reads
	a.revisions(cmd, withTests)
	a.formats(cmd, output.Markdown, output.SARIF, output.GitHub, output.JUnit)
	flags := cmd.Flags()
	flags.StringVar(&f.run, "run", "", "run only the tests whose names match this regular expression")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "no test is no failure")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print the tests that pass as well")
	flags.BoolVar(&f.coverage, "coverage", false, "list the rules and limits that no case has reached")
	flags.IntVar(&f.least, "min-coverage", 0, "exit with 3 if less than this `percent` of them are reached")
	return cmd
}

func (a *app) test(args []string, f *testFlags) error {
	if len(args) == 0 {
		args = []string{policyPath}
	}
	if f.least < 0 || f.least > 100 {
		return fmt.Errorf("min-coverage %d is not a percentage: write 0 to 100", f.least)
	}
	o := policytest.Options{}
	if f.run != "" {
		pattern, err := regexp.Compile(f.run)
		if err != nil {
			return fmt.Errorf("run %q is no regular expression: %s", f.run, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		o.Selects = pattern.MatchString
	}
	files, tests, ds := a.readTests(args)
	if len(ds) == 0 && len(files) == 0 && len(tests) > 0 {
		return fmt.Errorf("%s has tests and no policy: name its directory alone if the policy is there, as %s, or else the policy before it", tests[0].Name, command("test", filepath.Dir(tests[0].Name)))
	}
	var doc *policy.Document
	if len(ds) == 0 {
		doc, ds = compile(files)
	}
	if doc == nil {
		return a.refuse(ds, nil)
	}
	report, ds := bounded(input.CompileDeadline, input.CompileMemory, func() (*policytest.Report, []policy.Diagnostic) {
		suite, ds := lang.Tests(doc, tests, files)
		if suite == nil {
			return nil, ds
		}
		return policytest.Run(doc, suite, o), nil
	})
	if report == nil {
		return a.refuseTests(ds)
	}
	return a.tested(report, f, len(tests))
}

// readTests reads a policy and the tests beside it.
func (a *app) readTests(paths []string) (files, tests []policy.SourceFile, ds []policy.Diagnostic) {
	for _, path := range paths {
		beside, err := source.ReadTests(path)
		if err == nil {
			var got []policy.SourceFile
			if got, err = a.read(path); err != nil && len(beside) > 0 && len(paths) > 1 && noPolicy(err) {
				err = nil // the policy is at another path
			}
			for _, f := range got {
				if strings.HasSuffix(f.Name, input.TestSuffix) {
					tests = append(tests, f)
				} else {
					files = append(files, f)
				}
			}
		}
		if err != nil {
			ds = append(ds, sourceDiagnostic(path, err))
		}
		tests = append(tests, beside...)
	}
	return files, tests, ds
}

// noPolicy tells whether a directory has no file of a policy.
func noPolicy(err error) bool {
	var e *source.Error
	return errors.As(err, &e) && errors.As(e.Err, new(*input.Fault))
}

// refuseTests tells of what is wrong with the tests.
func (a *app) refuseTests(ds []policy.Diagnostic) error {
	f := failure{false, count(ds) + "; the tests are not valid, and none was run"}
	if a.json() {
		if err := a.printJSON(failed{1, f, ds}); err != nil {
			return err
		}
	}
	a.diagnose(ds)
	fmt.Fprintf(a.err, "casemate: %s\n", f.Error)
	return errReported
}

// tested tells of the results, and answers.
func (a *app) tested(r *policytest.Report, f *testFlags, files int) error {
	shown := testReport{FormatVersion: 1, Report: r}
	if f.coverage || f.least > 0 {
		shown.Coverage = r.Coverage
	}
	if err := a.emit(a.testForms(&shown, f.verbose)); err != nil {
		return err
	}
	no := r.Failed > 0
	switch {
	case len(r.Tests) > 0 || f.allowEmpty:
	case files == 0:
		fmt.Fprintf(a.err, "casemate: there are no tests: write some into a file whose name ends with %s (help policy-tests), or say --allow-empty\n", input.TestSuffix)
		no = true
	default:
		fmt.Fprintf(a.err, "casemate: no test is selected, of %d: change --run, or say --allow-empty\n", r.Skipped)
		no = true
	}
	if r.Coverage.Percent < f.least {
		fmt.Fprintf(a.err, "casemate: %d%% of the rules and limits are reached, and --min-coverage asks for %d%%\n", r.Coverage.Percent, f.least)
		no = true
	}
	if no {
		return errNo
	}
	return nil
}
