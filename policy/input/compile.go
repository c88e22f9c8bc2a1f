package input

import (
	"encoding/json"
	"time"
)

// CompileFormat is the format_version of CompileRequest and CompileResponse. The others bound each compiler.
const (
	CompileFormat   = 2
	CompileDeadline = 20 * time.Second // wall clock: a busy host is slow, and a TERM does not wait for it
	CompileMemory   = 1 << 30          // bytes
)

// CompileRequest is what casemated writes to `casemate compile --stdin`, as
// JSON until the end of the stream.
type CompileRequest struct {
	FormatVersion int    `json:"format_version"`
	Files         []File `json:"files"`
}

// CompileResponse is the first line of the compiler's answer. The rest is the document in its canonical bytes, none when a
// diagnostic is an error. Diagnostics are a list of policy.Diagnostic, which casemated hands on to the broker unread.
type CompileResponse struct {
	FormatVersion int             `json:"format_version"`
	Diagnostics   json.RawMessage `json:"diagnostics,omitempty"`
}
