package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"casemate/cmd/casemate/output"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/policytest"
)

// testReport is the JSON of test.
type testReport struct {
	FormatVersion int `json:"format_version"`
	*policytest.Report
	// Coverage is nil where nobody asked for it.
	Coverage *policytest.Coverage `json:"coverage,omitempty"`
}

// testForms are the ways in which the results are written.
func (a *app) testForms(r *testReport, verbose bool) forms {
	return forms{
		output.Text:     func(io.Writer) error { return a.testText(r, verbose) },
		output.JSON:     func(w io.Writer) error { return writeJSON(w, r) },
		output.Markdown: func(w io.Writer) error { return testMarkdown(w, r) },
		output.SARIF:    func(w io.Writer) error { return testFindings(r).WriteSARIF(w) },
		output.GitHub:   func(w io.Writer) error { return testFindings(r).WriteGitHub(w) },
		output.JUnit: func(w io.Writer) error {
			return output.WriteJUnit(w, "casemate test", testSuites(r), output.Here())
		},
	}
}

// testText prints the failures, and what came of all.
func (a *app) testText(r *testReport, verbose bool) error {
	for i := range r.Tests {
		t := &r.Tests[i]
		if t.OK && !verbose {
			continue
		}
		word := a.paint("32")("ok  ")
		if !t.OK {
			word = a.paint("31")("FAIL")
		}
		a.printf("%s %s %s  %s\n", word, t.Kind, output.OneLine(strconv.Quote(t.Name)), output.OneLine(t.Place.String()))
		for _, line := range resultLines(t) {
			a.printf("  %s\n", output.OneLine(line))
		}
		if t.Left > 0 {
			a.printf("  and %d more\n", t.Left)
		}
	}
	a.printf("%s\n", testSummary(r))
	if c := r.Coverage; c != nil {
		a.printf("%s\n", coverageSummary(c))
		for _, item := range c.Items {
			if !item.Reached {
				a.printf("  %s  %s\n", item.Name, output.OneLine(explain.Line(item.Origin)))
			}
		}
	}
	return nil
}

// resultLines are the failures of a test for people: what, then who, then why. Of one client all that is wrong comes first,
// and then the one trace.
func resultLines(t *policytest.Result) (out []string) {
	for i := range t.Failures {
		f := &t.Failures[i]
		if slices.ContainsFunc(t.Failures[:i], f.SameClient) {
			continue // said with the first
		}
		for k := i; k < len(t.Failures); k++ {
			if g := &t.Failures[k]; k == i || f.SameClient(*g) {
				out = append(out, fmt.Sprintf("%s  (%s)", failureText(g), g.Place))
			}
		}
		out = append(out, whyLines(f)...)
	}
	return out
}

// whyLines are who a failure is about, and why.
func whyLines(f *policytest.Failure) (out []string) {
	who := []string{}
	if f.Service != "" {
		who = append(who, "service "+f.Service)
	}
	if f.Client != "" {
		who = append(who, "client "+f.Client)
	}
	if len(who) > 0 {
		out = append(out, "  "+strings.Join(who, ", "))
	}
	for _, line := range f.Trace {
		out = append(out, "    "+line)
	}
	return out
}

// failureText is a failure on one line.
func failureText(f *policytest.Failure) string {
	switch {
	case f.What == "error":
		return "error: " + f.Got
	case f.Message != "":
		return fmt.Sprintf("%s: %s (want %s, got %s)", f.What, f.Message, f.Want, f.Got)
	case f.Want == "":
		return fmt.Sprintf("%s: got %s", f.What, f.Got)
	}
	return fmt.Sprintf("%s: want %s, got %s", f.What, f.Want, f.Got)
}

func testSummary(r *testReport) string {
	text := fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed)
	if r.Skipped > 0 {
		text += fmt.Sprintf(", %d not selected", r.Skipped)
	}
	return text
}

func coverageSummary(c *policytest.Coverage) string {
	text := fmt.Sprintf("coverage: %d of %d rules and limits (%d%%)", c.Reached, len(c.Items), c.Percent)
	if c.Reached < len(c.Items) {
		text += "; not reached:"
	}
	return text
}

// testFindings are the failures as findings, each at the line of the test that is not met.
func testFindings(r *testReport) *output.Report {
	out := findingsOf("test", nil)
	for i := range r.Tests {
		t := &r.Tests[i]
		for k := range t.Failures {
			f := &t.Failures[k]
			lines := whyLines(f)
			if slices.ContainsFunc(t.Failures[:k], f.SameClient) {
				lines = lines[:1] // who, and the trace is at the first
			}
			out.Findings = append(out.Findings, output.Finding{Service: f.Service, Diagnostic: policy.Diagnostic{Severity: policy.SeverityError, Code: "test-" + t.Kind,
				Summary: fmt.Sprintf("%s %q: %s", t.Kind, t.Name, failureText(f)), Detail: strings.Join(lines, "\n"),
				File: f.Place.File, Line: f.Place.Line, Column: f.Place.Column, EndLine: f.Place.EndLine, EndColumn: f.Place.EndColumn}})
		}
	}
	return out
}

// testSuites are the results by the files that they are of.
func testSuites(r *testReport) (out []output.Suite) {
	for i := range r.Tests {
		t := &r.Tests[i]
		if len(out) == 0 || out[len(out)-1].Name != t.Place.File {
			out = append(out, output.Suite{Name: t.Place.File})
		}
		c := output.Case{Name: t.Name, File: t.Place.File, Line: t.Place.Line}
		for k := range t.Failures {
			f := &t.Failures[k]
			if c.Outcome == output.Passed {
				c.Message = failureText(f)
			}
			if c.Outcome = max(c.Outcome, output.Failed); f.What == "error" {
				c.Outcome = output.Broken
			}
		}
		c.Text = strings.Join(resultLines(t), "\n")
		last := &out[len(out)-1]
		last.Cases = append(last.Cases, c)
	}
	return out
}

// testMarkdown writes the results for a review comment: one line, and the failures.
func testMarkdown(w io.Writer, r *testReport) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "**casemate test**: %s\n", testSummary(r))
	first := true
	for i := range r.Tests {
		t := &r.Tests[i]
		for k := range t.Failures {
			f := &t.Failures[k]
			if first {
				b.WriteString("\n| test | where | what | who |\n|---|---|---|---|\n")
				first = false
			}
			who := strings.TrimSpace(f.Service + " " + f.Client)
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", output.MarkdownText(t.Name), output.MarkdownCode(f.Place.String()), output.MarkdownText(failureText(f)), cmp.Or(output.MarkdownCode(who), " "))
		}
	}
	if c := r.Coverage; c != nil {
		fmt.Fprintf(&b, "\n%s\n", coverageSummary(c))
		if c.Reached < len(c.Items) {
			b.WriteString("\n")
		}
		for _, item := range c.Items {
			if !item.Reached {
				fmt.Fprintf(&b, "- %s %s\n", output.MarkdownCode(item.Name), output.MarkdownCode(explain.Line(item.Origin)))
			}
		}
	}
	_, err := w.Write(output.CapMarkdown(b.Bytes()))
	return err
}
