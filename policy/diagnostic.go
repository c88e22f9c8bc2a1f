package policy

import (
	"slices"

	"casemate/policy/input"
)

// SourceFile is one policy file as read.
type SourceFile = input.File

// The severities of a Diagnostic.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// Diagnostic is one finding about the policy's text. Lines and columns count
// from 1, columns in characters; 0 means there is no such place. Snippet holds
// the source line and, below it, the underline.
type Diagnostic struct {
	Severity  string `json:"severity"`
	Code      string `json:"code"`
	Summary   string `json:"summary"`
	Detail    string `json:"detail,omitempty"` // ends with one next step
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	EndLine   int    `json:"end_line,omitempty"`
	EndColumn int    `json:"end_column,omitempty"`
	Snippet   string `json:"snippet,omitempty"`
	Text      string `json:"text,omitempty"` // of all this for a terminal, in a compiler's answer
}

// HasErrors tells whether a diagnostic among ds is an error.
func HasErrors(ds []Diagnostic) bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == SeverityError })
}
