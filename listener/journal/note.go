package journal

import (
	"errors"
	"log/slog"
	"time"

	"casemate/sandbox/panics"
)

// Note is a record of a message: about casemate itself, or what a service said.
type Note struct {
	At    time.Time
	Level slog.Level
	Msg   string
	Attrs []slog.Attr // what a service said is quoted: printable and without control characters
}

func (n *Note) encode(e *encoder) {
	r := slog.NewRecord(n.At, n.Level, n.Msg, 0)
	r.AddAttrs(n.Attrs...)
	e.line(r)
}

// Bug tells of a panic, and where.
func Bug(err error) *Note {
	n := &Note{At: time.Now(), Level: slog.LevelError, Msg: "bug", Attrs: []slog.Attr{slog.String("panic", err.Error())}}
	if p, ok := errors.AsType[*panics.Error](err); ok {
		n.Attrs = append(n.Attrs, slog.String("stack", string(p.Stack)))
	}
	return n
}
