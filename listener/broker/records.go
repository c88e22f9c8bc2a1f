package broker

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"casemate/listener/journal"
	"casemate/listener/warden"
	"casemate/policy"
)

// flushAfter is how long records wait for more.
const flushAfter = 10 * time.Millisecond

// reopenLog goes on in the file that has the log's name now: the old one may have
// been moved away. On an error the old one is written on.
func (b *Broker) reopenLog() {
	first := !b.reopens
	b.reopens = true
	if first || b.conf.OpenLog == nil {
		return
	}
	f, err := b.conf.OpenLog()
	if err == nil {
		if err = b.log.Switch(f); err != nil {
			f.Close()
		}
	}
	if err != nil {
		b.log.Now(b.note(slog.LevelError, "log not opened again, written on as it is", slog.String("error", err.Error())))
	}
}

// note makes a record about casemate itself, with those of the attributes that are not empty.
func (b *Broker) note(level slog.Level, msg string, attrs ...slog.Attr) *journal.Note {
	attrs = slices.DeleteFunc(attrs, func(a slog.Attr) bool { return reflect.ValueOf(a.Value.Any()).IsZero() })
	return &journal.Note{At: b.wall(), Level: level, Msg: msg, Attrs: attrs}
}

// Log writes one record about the broker's surroundings.
func (b *Broker) Log(msg, text string) {
	b.log.Now(b.note(slog.LevelInfo, msg, slog.String("text", text)))
}

// Note writes what root has to say.
func (b *Broker) Note(n warden.Note) {
	level := slog.LevelInfo
	if n.Ended+n.Left > 0 {
		level = slog.LevelWarn
	}
	b.log.Now(b.note(level, n.Msg, slog.String("text", n.Text), slog.Int("ended", n.Ended), slog.Int("left", n.Left)))
}

// noteEvery is how often one topic's warnings are written at most.
const noteEvery = 5 * time.Second

// limitedNote logs a warning that remote behaviour could repeat at will.
func (b *Broker) limitedNote(service, topic, msg string, err error) {
	if until, ok := b.said[topic]; ok && b.loop.Now() < until {
		return
	}
	if len(b.said) > 4096 { // topics are services and sockets, also former ones
		clear(b.said)
	}
	b.said[topic] = b.loop.Now() + int64(noteEvery)
	b.log.Put(b.note(slog.LevelWarn, msg, slog.String("service", service), slog.String("error", err.Error())))
}

// maxDiagnostics is how many of a failed load's diagnostics are in the log.
const maxDiagnostics = 64

// logDiagnostics tells what is wrong with the text of a policy, and where.
func (b *Broker) logDiagnostics(diags []policy.Diagnostic) {
	for i, d := range diags {
		if i == maxDiagnostics {
			b.log.Put(b.note(slog.LevelError, "diagnostic", slog.String("error", fmt.Sprintf("%d more", len(diags)-i))))
			return
		}
		level := slog.LevelWarn
		if d.Severity == policy.SeverityError {
			level = slog.LevelError
		}
		b.log.Put(b.note(level, "diagnostic", slog.String("code", d.Code), slog.String("file", d.File), slog.Int("line", d.Line),
			slog.Int("column", d.Column), slog.String("error", d.Summary), slog.String("text", d.Detail)))
	}
}

// wall is the time of a record.
func (b *Broker) wall() time.Time { return time.Now() }
