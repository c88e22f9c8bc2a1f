package input

import (
	"encoding/json"
	"time"
)

// CompileFormat is the format_version of CompileRequest and CompileResponse. The others bound each compiler.
const (
	CompileFormat   = 1
	CompileDeadline = 20 * time.Second // wall clock: a busy host is slow, and a TERM does not wait for it
	CompileMemory   = 1 << 30          // bytes
)

// CompileRequest is what casemated writes to `casemate compile --stdin`, as
// JSON until the end of the stream.
type CompileRequest struct {
	FormatVersion int    `json:"format_version"`
	Files         []File `json:"files"`
}

// CompileResponse is the compiler's whole answer. Document is a compiled document in its
// canonical bytes and is absent when a diagnostic is an error. Diagnostics are a list of
// policy.Diagnostic, which casemated hands on to the broker unread.
type CompileResponse struct {
	FormatVersion int             `json:"format_version"`
	Document      json.RawMessage `json:"document,omitempty"`
	Diagnostics   json.RawMessage `json:"diagnostics,omitempty"`
}
