package main

import (
	"fmt"
	"io"

	"casemate/cmd/casemate/output"
	"casemate/policy"

	"github.com/spf13/cobra"
)

// failure is what the JSON of every verb holds that could not do its job, and of none
// that could.
type failure struct {
	OK    bool   `json:"ok"` // false
	Error string `json:"error"`
}

// failed is the JSON of an error that a verb has nothing to add to.
type failed struct {
	FormatVersion int `json:"format_version"`
	failure
	Diagnostics []policy.Diagnostic `json:"diagnostics,omitempty"`
}

// fail tells of the error that ends the run: its text on standard error and, with -o json,
// an object on standard output.
func (a *app) fail(err error) {
	if a.json() {
		// That the output cannot be written is the error, or changes nothing about it.
		_ = a.printJSON(failed{1, failure{false, err.Error()}, nil})
	}
	fmt.Fprintf(a.err, "casemate: %s\n", output.EachLine(err.Error()))
}

// refuse tells of diagnostics that end a verb. report makes the verb's own JSON of them,
// nil for one that has none.
func (a *app) refuse(ds []policy.Diagnostic, report func(failure) any) error {
	f := failure{false, count(ds) + "; the policy is not valid"}
	if a.json() {
		var v any = failed{1, f, ds}
		if report != nil {
			v = report(f)
		}
		if err := a.printJSON(v); err != nil {
			return err
		}
	}
	a.diagnose(ds)
	fmt.Fprintf(a.err, "casemate: %s\n", f.Error)
	return errReported
}

// early is the format that args ask for, for an error before the flags are read.
func early(args []string) string {
	probe := &cobra.Command{FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true}}
	format := probe.Flags().StringP("output", "o", "text", "")
	probe.SetOut(io.Discard)
	_ = probe.ParseFlags(args) // what is wrong with them is reported already
	return *format
}
