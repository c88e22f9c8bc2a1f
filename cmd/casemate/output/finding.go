package output

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"casemate/policy"
	"casemate/policy/codes"
)

// AtLeast tells whether a severity is as grave as another, or graver.
func AtLeast(severity, other string) bool {
	return slices.Index(codes.Severities, severity) <= slices.Index(codes.Severities, other)
}

// Finding is a diagnostic with what review asks of it. In JSON its place stands twice: flat,
// and as Terraform writes it ("range").
type Finding struct {
	policy.Diagnostic
	// Service is the one that it is about, "" where it is about none alone.
	Service string
	// Waived is set where a waiver of the policy accepts the finding.
	Waived *Waived
}

// Waived is why a finding is accepted, until when (a date, as 2027-01-31), and where the policy
// says so (file:line:column).
type Waived struct {
	Reason  string `json:"reason"`
	Expires string `json:"expires"`
	Origin  string `json:"origin"`
}

// Of has diagnostics as findings.
func Of(ds []policy.Diagnostic) []Finding {
	out := make([]Finding, len(ds))
	for i, d := range ds {
		out[i] = Finding{Diagnostic: d}
	}
	return out
}

// Help is the command that prints more about the finding.
func (f *Finding) Help() string {
	if f.Code == "" {
		return ""
	}
	return "casemate explain-rule " + f.Code
}

type position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

type span struct {
	Filename string   `json:"filename"`
	Start    position `json:"start"`
	End      position `json:"end"`
}

// MarshalJSON adds the range, the service, the help and the waiver to the diagnostic.
func (f Finding) MarshalJSON() ([]byte, error) {
	out := struct {
		policy.Diagnostic
		Range   *span   `json:"range,omitempty"`
		Service string  `json:"service,omitempty"`
		Help    string  `json:"help,omitempty"`
		Waived  *Waived `json:"waived,omitempty"`
	}{f.Diagnostic, nil, f.Service, f.Help(), f.Waived}
	if f.File != "" && f.Line > 0 {
		out.Range = &span{f.File, position{f.Line, f.Column}, position{f.EndLine, f.EndColumn}}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(out)
	return text.Bytes(), err
}

// lines are places in a message.
var lines = regexp.MustCompile(`:\d+(:\d+)?\b|\blines? \d+`)

// fingerprints are one text for each finding, which stays the same when the lines around it
// move: of its code, file, service and words, and of its number among those that have the same.
func fingerprints(findings []Finding, uri func(string) string) []string {
	seen := map[string]int{}
	out := make([]string, len(findings))
	for i, f := range findings {
		text := fmt.Sprintf("%q", []string{f.Code, uri(f.File), f.Service, lines.ReplaceAllString(f.Summary, "")})
		seen[text]++
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", text, seen[text]))
		out[i] = hex.EncodeToString(sum[:16])
	}
	return out
}

// Rule is what a code means, for formats that list their rules.
type Rule struct {
	Code     string
	Severity string
	Sentence string // what is found, in one sentence
	Page     string // of explain-rule, as plain text; may be ""
}

// Report is what a verb found, for the formats that are about findings.
type Report struct {
	Verb     string // "check"
	Version  string // of casemate
	Findings []Finding
	// Rules are those that Findings have, and may be more; a code without one has none.
	Rules []Rule
	// FailOn is the least severity that fails a gate: JUnit has what is below as passed.
	FailOn string
	// Place makes names of files those that others read (see Places).
	Place Places
}

// Fails tells whether the gate is shut.
func (r *Report) Fails() bool {
	for i := range r.Findings {
		if r.fails(&r.Findings[i]) {
			return true
		}
	}
	return false
}

// fails tells whether a finding is one that the gate is about.
func (r *Report) fails(f *Finding) bool {
	return f.Waived == nil && AtLeast(f.Severity, r.FailOn)
}
