package broker

import (
	"fmt"
	"log/slog"
	"time"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/policy"
)

// flushAfter is how long records wait for more.
const flushAfter = 10 * time.Millisecond

// flushing is the loop's side of the log: it hands records over in batches.
type flushing struct {
	loop  *loop.Loop
	log   *journal.Writer
	timer loop.Timer
}

// idle is called at the end of each wake of the loop.
func (f *flushing) idle() {
	if f.log.Pending() && !f.timer.Armed() {
		f.loop.After(&f.timer, flushAfter)
	}
}

func (f *flushing) Expire(*loop.Timer) { f.log.Flush() }

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
		b.log.Now(&journal.Note{At: b.wall(), Level: slog.LevelError, Msg: "log not opened again, written on as it is", Error: err.Error()})
	}
}

// Log writes one record about the broker's surroundings.
func (b *Broker) Log(msg, text string) {
	b.log.Now(&journal.Note{At: b.wall(), Level: slog.LevelInfo, Msg: msg, Text: text})
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
	b.log.Put(&journal.Note{At: b.wall(), Level: slog.LevelWarn, Msg: msg, Service: service, Error: err.Error()})
}

// maxDiagnostics is how many of a failed load's diagnostics are in the log.
const maxDiagnostics = 64

// logDiagnostics tells what is wrong with the text of a policy, and where.
func (b *Broker) logDiagnostics(diags []policy.Diagnostic) {
	for i, d := range diags {
		n := &journal.Note{At: b.wall(), Level: slog.LevelError, Msg: "diagnostic", Code: d.Code, File: d.File, Line: d.Line, Column: d.Column, Error: d.Summary, Text: d.Detail}
		if !policy.HasErrors(diags[i : i+1]) {
			n.Level = slog.LevelWarn
		}
		if i == maxDiagnostics {
			*n = journal.Note{At: n.At, Level: slog.LevelError, Msg: "diagnostic", Error: fmt.Sprintf("%d more", len(diags)-i)}
		}
		b.log.Put(n)
		if i == maxDiagnostics {
			return
		}
	}
}

// wall is the time of a record.
func (b *Broker) wall() time.Time { return time.Now() }
