package policy

import (
	"encoding/json"
	"slices"
	"time"
)

// CompileFormat is the format_version of CompileRequest and CompileResponse. The others bound each compiler.
const (
	CompileFormat   = 1
	CompileDeadline = 20 * time.Second // wall clock: a busy host is slow, and a TERM does not wait for it
	CompileMemory   = 1 << 30          // bytes
)

// SourceFile is one policy file as read: Name is the name diagnostics show.
type SourceFile struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// CompileRequest is what casemated writes to `casemate compile --stdin`, as
// JSON until the end of the stream.
type CompileRequest struct {
	FormatVersion int          `json:"format_version"`
	Files         []SourceFile `json:"files"`
}

// CompileResponse is the compiler's whole answer. Document is a Document in its
// canonical bytes and is absent when a diagnostic is an error.
type CompileResponse struct {
	FormatVersion int             `json:"format_version"`
	Document      json.RawMessage `json:"document,omitempty"`
	Diagnostics   []Diagnostic    `json:"diagnostics,omitempty"`
}

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
	Text      string `json:"text,omitempty"` // of all this for a terminal, in a CompileResponse
}

// HasErrors tells whether a diagnostic among ds is an error.
func HasErrors(ds []Diagnostic) bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == SeverityError })
}
