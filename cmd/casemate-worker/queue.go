package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// queueDepth is how many lines may wait for whoever reads the log.
const queueDepth = 1024

// lineQueue writes lines, each with one Write, from a goroutine of its own: a
// log that nobody reads must stop neither a protocol nor a service that writes
// to its stderr. Lines that find the queue full are counted, and the count is
// written as a record.
type lineQueue struct {
	lines   chan []byte
	dropped atomic.Uint64
	closed  chan struct{}
	once    sync.Once
}

func newLineQueue(w io.Writer) *lineQueue {
	q := &lineQueue{lines: make(chan []byte, queueDepth), closed: make(chan struct{})}
	go q.run(w)
	return q
}

// Write queues one line (a copy of p). It never fails.
func (q *lineQueue) Write(p []byte) (int, error) {
	select {
	case q.lines <- append([]byte(nil), p...):
	default:
		q.dropped.Add(1)
	}
	return len(p), nil
}

func (q *lineQueue) run(w io.Writer) {
	defer close(q.closed)
	for line := range q.lines {
		// An error has nowhere to go: this is where errors go.
		_, _ = w.Write(line)
		if n := q.dropped.Swap(0); n > 0 {
			fmt.Fprintf(w, `{"time":%q,"level":"WARN","msg":"log-dropped","count":%d}`+"\n", time.Now().Format(time.RFC3339Nano), n)
		}
	}
}

// closeGrace is how long Close waits for a log that is not read.
const closeGrace = time.Second

// Close writes what is queued, within closeGrace. There must be no Write after it.
func (q *lineQueue) Close() {
	q.once.Do(func() { close(q.lines) })
	select {
	case <-q.closed:
	case <-time.After(closeGrace):
	}
}
