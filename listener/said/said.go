// Package said makes records of what services say: the lines of their standard
// error and output, and the messages of syslog(3). It takes apart what they wrote, so the log
// worker links it, and nothing that runs as root.
package said

import (
	"log/slog"
	"time"

	"casemate/listener/journal"
)

// Line is the record of one line of a session's stream, "stderr" or "stdout".
func Line(at time.Time, stream, service string, id uint64, line []byte) journal.Record {
	return record(at, slog.LevelInfo, stream, service, id, slog.String("text", quote(line)))
}

// Syslog is the record of one message of a session's /dev/log.
func Syslog(at time.Time, service string, id uint64, m Message) journal.Record {
	attrs := []slog.Attr{slog.String("facility", Facilities[m.Facility]), slog.String("severity", Severities[m.Severity])}
	if m.Ident != "" {
		attrs = append(attrs, slog.String("ident", quote([]byte(m.Ident))))
	}
	if m.PID > 0 {
		attrs = append(attrs, slog.Uint64("ident_pid", m.PID))
	}
	return record(at, m.level(), "syslog", service, id, append(attrs, slog.String("text", quote(m.Text)))...)
}

func record(at time.Time, level slog.Level, msg, service string, id uint64, attrs ...slog.Attr) journal.Record {
	return &journal.Note{At: at, Level: level, Msg: msg, Attrs: append([]slog.Attr{slog.String("service", service), slog.Uint64("id", id)}, attrs...)}
}
