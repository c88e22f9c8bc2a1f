package journal

import (
	"errors"
	"log/slog"
	"time"

	"casemate/sandbox/panics"
)

// Note is a record about casemate itself. Beside its message it has what is not
// empty of the rest.
type Note struct {
	At    time.Time
	Level slog.Level
	Msg   string
	Error string
	Text  string
	// Of the broker and its policy.
	Version, Policy, Digest string
	OSPID                   int
	Generation              uint64
	Services, Listeners     int
	Sessions, Ended, Left   int
	Leave                   bool
	Service                 string
	// The place in the policy that a diagnostic is about.
	Code, File   string
	Line, Column int
	// Of a bug.
	Panic, Stack string
}

func (n *Note) encode(e *encoder) {
	r := slog.NewRecord(n.At, n.Level, n.Msg, 0)
	addText(&r, "version", n.Version)
	addNumber(&r, "os_pid", int64(n.OSPID))
	addText(&r, "policy", n.Policy)
	addNumber(&r, "generation", int64(n.Generation))
	addNumber(&r, "services", int64(n.Services))
	addNumber(&r, "listeners", int64(n.Listeners))
	addNumber(&r, "sessions", int64(n.Sessions))
	addNumber(&r, "ended", int64(n.Ended))
	addNumber(&r, "left", int64(n.Left))
	if n.Leave {
		r.AddAttrs(slog.Bool("leave", true))
	}
	addText(&r, "service", n.Service)
	addText(&r, "code", n.Code)
	addText(&r, "file", n.File)
	addNumber(&r, "line", int64(n.Line))
	addNumber(&r, "column", int64(n.Column))
	addText(&r, "error", n.Error)
	addText(&r, "text", n.Text)
	addText(&r, "panic", n.Panic)
	addText(&r, "stack", n.Stack)
	addText(&r, "digest", n.Digest)
	e.line(r)
}

// Bug tells of a panic, and where.
func Bug(err error) *Note {
	n := &Note{At: time.Now(), Level: slog.LevelError, Msg: "bug", Panic: err.Error()}
	var p *panics.Error
	if errors.As(err, &p) {
		n.Stack = string(p.Stack)
	}
	return n
}
