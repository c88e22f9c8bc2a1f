package journal

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"time"

	"casemate/sandbox/panics"
)

// The bounds of the queue, in bytes. A log that nobody reads costs records, which are
// counted, but never holds up who writes them. Waking the writer up for every record would
// cost more than all records.
const (
	maxQueued  = 4 << 20 // of what was handed over and is not written yet
	maxBatches = 1024
	flushAt    = 256 << 10 // of what is put: it is handed over
	recordSize = 1 << 10   // stands for that of a record; Lines have their own
)

// Writer writes records from its own goroutine. Put and Flush belong to one
// goroutine, everything else is for all.
type Writer struct {
	batches chan []Record
	waiting atomic.Int64  // bytes handed over and not written yet
	dropped atomic.Uint64 // lines left out since the last written count
	batch   []Record      // put and not flushed
	size    int64         // of batch
	ending  chan struct{} // closed by Close
	closed  chan struct{} // closed when the writer has ended
	lines   lines
	enc     *encoder
}

// New starts a writer to w. With priority each line
// begins with its level as systemd's journal takes it.
func New(w io.Writer, priority bool) *Writer {
	j := &Writer{batches: make(chan []Record, maxBatches), ending: make(chan struct{}), closed: make(chan struct{}),
		lines: lines{to: w, torn: endsTorn(w), enc: newEncoder(priority)}, enc: newEncoder(priority)}
	j.start()
	return j
}

// start runs the writer, again after a bug in it: what it held is lost and counted,
// the rest is not lost.
func (j *Writer) start() {
	panics.Go(func() error { j.run(); return nil }, func(err error) {
		if err == nil {
			close(j.closed)
			return
		}
		j.lines.lose(j.enc.buf.Bytes())
		j.enc.buf.Reset()
		j.lines.enc.buf.Reset()
		j.Now(Bug(err))
		j.start()
	})
}

// Put adds a record; Flush hands it over, with others.
func (j *Writer) Put(r Record) {
	j.batch = append(j.batch, r)
	if j.size += size(r); j.size >= flushAt {
		j.Flush()
	}
}

// size is what r counts for in the queue.
func size(r Record) int64 {
	if l, ok := r.(Lines); ok {
		return int64(len(l))
	}
	return recordSize
}

func total(batch []Record) (n int64) {
	for _, r := range batch {
		n += size(r)
	}
	return n
}

// Pending says that something is put and not flushed.
func (j *Writer) Pending() bool { return len(j.batch) > 0 }

// Flush gives what was put to the writer, or counts it when the writer is too far
// behind.
func (j *Writer) Flush() {
	if len(j.batch) > 0 {
		j.send(j.batch)
		j.batch, j.size = nil, 0
	}
}

// Behind says that something was handed over and is not written yet.
func (j *Writer) Behind() bool { return j.waiting.Load() > 0 }

// Now logs a record at once.
func (j *Writer) Now(r Record) { j.send([]Record{r}) }

func (j *Writer) send(batch []Record) bool {
	n := total(batch)
	if j.waiting.Add(n) <= maxQueued {
		select {
		case j.batches <- batch:
			return true
		default:
		}
	}
	j.waiting.Add(-n)
	for _, r := range batch {
		lines := 1
		if l, ok := r.(Lines); ok {
			lines = bytes.Count(l, []byte{'\n'})
		}
		j.dropped.Add(uint64(lines))
	}
	return false
}

// errBehind is Switch's error while nobody takes what was written before.
var errBehind = errors.New("the log is not taken by whoever reads it")

// switched is the place in the queue where another stream takes over.
type switched struct{ to io.Writer }

func (switched) encode(*encoder) {}

// Switch writes to another stream from here on, and closes the one before.
func (j *Writer) Switch(to io.Writer) error {
	if !j.send([]Record{switched{to}}) {
		return errBehind
	}
	return nil
}

// Close ends the writer and waits at most patience for what is queued. What is
// logged afterwards is lost.
func (j *Writer) Close(patience time.Duration) {
	j.Flush()
	close(j.ending)
	select {
	case <-j.closed:
	case <-time.After(patience):
	}
}

// next waits for a batch; after Close it takes what is left, then reports false.
// The queue itself is never closed: a signal may still be logged meanwhile.
func (j *Writer) next() ([]Record, bool) {
	select {
	case batch := <-j.batches:
		return batch, true
	case <-j.ending:
	}
	select {
	case batch := <-j.batches:
		return batch, true
	default:
		return nil, false
	}
}

func (j *Writer) run() {
	for batch, ok := j.next(); ok; batch, ok = j.next() {
		j.take(batch)
	}
	j.write()
}

// take encodes a batch, and writes unless the next one is there already.
func (j *Writer) take(batch []Record) {
	defer j.waiting.Add(-total(batch))
	for _, r := range batch {
		if s, ok := r.(switched); ok {
			j.write()
			if c, ok := j.lines.to.(io.Closer); ok {
				_ = c.Close() // what it could not keep is counted already
			}
			j.lines.to, j.lines.torn = s.to, endsTorn(s.to)
			continue
		}
		whole := j.enc.buf.Len()
		if err := panics.Try(func() error { r.encode(j.enc); return nil }); err != nil {
			j.enc.buf.Truncate(whole)
			Bug(err).encode(j.enc)
		}
	}
	if len(j.batches) == 0 { // who is about to log does so first: a write costs more than a record
		runtime.Gosched()
	}
	if len(j.batches) == 0 || j.enc.buf.Len() >= maxChunk {
		j.write()
	}
}

// write writes what is encoded, after the count of what was not.
func (j *Writer) write() {
	j.lines.lost += j.dropped.Swap(0)
	if j.enc.buf.Len() == 0 {
		j.lines.mend()
		return
	}
	j.lines.write(j.enc.buf.Bytes())
	j.enc.buf.Reset()
}
