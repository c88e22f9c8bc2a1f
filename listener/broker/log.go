package broker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"casemate/listener/loop"
	"casemate/sandbox/panics"
)

// The bounds of the log's queue. A log that nobody reads costs records, which
// are counted, but never holds up the loop.
const (
	maxRecords  = 4096 // records between the loop and the log stream
	maxBatches  = 512
	flushBuffer = 32 << 10 // bytes of one write(2)
)

// record is one thing to log. The loop makes it; the writer's goroutine turns
// it into text, so that formatting an address costs the loop nothing.
type record interface {
	log() slog.Record
}

// logger writes slog JSON lines from its own goroutine.
type logger struct {
	batches chan []record
	waiting atomic.Int64  // records handed over and not written yet
	dropped atomic.Uint64 // records left out since the last written count
	batch   []record      // the loop's records that the writer does not have yet
	ending  chan struct{} // closed by close
	closed  chan struct{} // closed when the writer has ended
	clock   func() time.Time
}

// newLogger starts the writer. Each write(2) to w holds whole lines. prefix is
// put before each line: "" or, for the journal, nil and the level decides.
func newLogger(w io.Writer, journal bool) *logger {
	l := &logger{batches: make(chan []record, maxBatches), ending: make(chan struct{}), closed: make(chan struct{}), clock: time.Now}
	l.start(w, journal)
	return l
}

// start runs the writer, again after a bug in it: what it held is lost, the rest is not.
func (l *logger) start(w io.Writer, journal bool) {
	panics.Go(func() error { l.write(w, journal); return nil }, func(err error) {
		if err == nil {
			close(l.closed)
			return
		}
		l.now(bugNote(err))
		l.start(w, journal)
	})
}

// put adds a record of the loop; flush hands it over.
func (l *logger) put(r record) { l.batch = append(l.batch, r) }

// flushAt is how many records are handed over without waiting for more, and
// flushAfter how long fewer wait: waking the writer up for every record would
// cost more than all records.
const (
	flushAt    = 256
	flushAfter = 10 * time.Millisecond
)

// flushing is the loop's side: it hands records over in batches.
type flushing struct {
	loop  *loop.Loop
	log   *logger
	timer loop.Timer
}

// idle is called at the end of each wake of the loop.
func (f *flushing) idle() {
	switch n := len(f.log.batch); {
	case n >= flushAt:
		f.loop.Disarm(&f.timer)
		f.log.flush()
	case n > 0 && !f.timer.Armed():
		f.loop.After(&f.timer, flushAfter)
	}
}

func (f *flushing) Expire(*loop.Timer) { f.log.flush() }

// flush gives the loop's records to the writer, or counts them when the
// writer is too far behind.
func (l *logger) flush() {
	if len(l.batch) == 0 {
		return
	}
	l.send(l.batch)
	l.batch = nil
}

// now logs a record from any goroutine.
func (l *logger) now(r record) { l.send([]record{r}) }

func (l *logger) send(batch []record) {
	n := int64(len(batch))
	if l.waiting.Add(n) > maxRecords {
		l.waiting.Add(-n)
		l.dropped.Add(uint64(n))
		return
	}
	select {
	case l.batches <- batch:
	default:
		l.waiting.Add(-n)
		l.dropped.Add(uint64(n))
	}
}

// close ends the writer and waits at most patience for what is queued. What is
// logged afterwards is lost.
func (l *logger) close(patience time.Duration) {
	l.flush()
	close(l.ending)
	select {
	case <-l.closed:
	case <-time.After(patience):
	}
}

// next waits for a batch; after close it takes what is left, then reports false.
// The queue itself is never closed: a signal may still be logged meanwhile.
func (l *logger) next() ([]record, bool) {
	select {
	case batch := <-l.batches:
		return batch, true
	case <-l.ending:
	}
	select {
	case batch := <-l.batches:
		return batch, true
	default:
		return nil, false
	}
}

func (l *logger) write(w io.Writer, journal bool) {
	var buf bytes.Buffer
	json := slog.NewJSONHandler(&buf, nil)
	line := func(r slog.Record) {
		if journal {
			buf.WriteString(priority(r.Level))
		}
		// A bytes.Buffer does not fail.
		_ = json.Handle(context.Background(), r)
	}
	for batch, ok := l.next(); ok; batch, ok = l.next() {
		for _, r := range batch {
			if err := panics.Try(func() error { line(r.log()); return nil }); err != nil {
				line(bugNote(err).log())
			}
		}
		if n := l.dropped.Swap(0); n > 0 {
			r := slog.NewRecord(l.clock(), slog.LevelWarn, "log-dropped", 0)
			r.AddAttrs(slog.Uint64("count", n))
			line(r)
		}
		if len(l.batches) == 0 || buf.Len() >= flushBuffer {
			// A log that cannot be written leaves nobody to tell.
			_, _ = w.Write(buf.Bytes())
			buf.Reset()
		}
		l.waiting.Add(-int64(len(batch)))
	}
}

// priority is the prefix of sd-daemon(3) that gives a line its level in the journal.
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	default:
		return "<6>"
	}
}

// note is a record about the broker itself.
type note struct {
	at    time.Time
	level slog.Level
	msg   string
	attrs []slog.Attr
}

func (n note) log() slog.Record {
	r := slog.NewRecord(n.at, n.level, n.msg, 0)
	r.AddAttrs(n.attrs...)
	return r
}

// bugNote tells of a panic, and where.
func bugNote(err error) note {
	n := note{at: time.Now(), level: slog.LevelError, msg: "bug", attrs: []slog.Attr{slog.String("panic", err.Error())}}
	var p *panics.Error
	if errors.As(err, &p) {
		n.attrs = append(n.attrs, slog.String("stack", string(p.Stack)))
	}
	return n
}

// refusalLog thins out the refusal records of one service: a burst, then a
// steady rate; what is left out is counted.
type refusalLog struct {
	tat    int64 // GCRA: when the bucket is full again, loop time
	unsaid uint64
	timer  loop.Timer // writes unsaid
}

const (
	refusalEvery = int64(time.Second / 10)
	refusalBurst = 50
	// refusalCount is how long after the first record left out the count is written.
	refusalCount = time.Second
)

// allow reports whether a record may be written at now, and counts it if not.
func (r *refusalLog) allow(now int64) bool {
	tat := max(r.tat, now) + refusalEvery
	if tat-now > refusalEvery*refusalBurst {
		r.unsaid++
		return false
	}
	r.tat = tat
	return true
}
