package said

import (
	"log/slog"
	"time"

	"casemate/listener/journal"
)

// Denial is a call that a session's filter denied.
type Denial struct {
	PID    int    // of who made it, first
	Call   string // "" = calls of more kinds than are named
	Args   string // those that mattered, in words
	Count  uint64
	Grant  string // the attribute that would grant it, in words of the policy; "" = none would
	Digest string // of the policy
	Errno  string // that the call failed with, by its name
	Signal string // that the caller died of, else
}

// Denied is the record of a call that was denied, so many times. Session 0 is one that could not be told.
func Denied(at time.Time, service string, id uint64, d Denial) journal.Record {
	var attrs []slog.Attr
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if d.PID > 0 {
		attrs = append(attrs, slog.Int("pid", d.PID))
	}
	text("syscall", d.Call)
	text("args", d.Args)
	text("errno", d.Errno)
	text("signal", d.Signal)
	attrs = append(attrs, slog.Uint64("count", d.Count))
	text("grant", d.Grant)
	text("digest", d.Digest)
	return record(at, slog.LevelInfo, "denied", service, id, attrs...)
}
