package journal

import (
	"bytes"
	"context"
	"log/slog"
)

// encoder turns records into lines of JSON.
type encoder struct {
	buf  bytes.Buffer
	json slog.Handler
	// priority puts sd-daemon(3)'s prefix before each line, by its level.
	priority bool
}

func newEncoder(priority bool) *encoder {
	e := &encoder{priority: priority}
	e.json = slog.NewJSONHandler(&e.buf, nil).WithAttrs([]slog.Attr{slog.Int("format_version", FormatVersion)})
	return e
}

func (e *encoder) line(r slog.Record) {
	if e.priority {
		e.buf.WriteString(Prefix(r.Level))
	}
	// A bytes.Buffer does not fail.
	_ = e.json.Handle(context.Background(), r)
}

// Prefix gives a line its level in systemd's journal.
func Prefix(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level < slog.LevelInfo:
		return "<7>"
	}
	return "<6>"
}

// Lines are whole lines that another process has made, priorities and all.
type Lines []byte

func (l Lines) encode(e *encoder) { e.buf.Write(l) }
