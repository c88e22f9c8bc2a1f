package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"time"

	"casemate/listener/journal"
)

// The ledger's bounds and patience.
const (
	partialAge   = time.Second            // a begun line is written after so long without more
	answerAge    = 500 * time.Millisecond // for the broker's answer about a pid
	knownAge     = time.Second            // an answer is good for so long: pids come back
	leftOutEvery = 10 * time.Second       // between two counts of lines left out
	maxWriters   = 1024                   // processes that are remembered
	maxHeld      = 64                     // lines held for one process until it is known
)

// ledger turns what processes write into records. It asks the broker which
// session a process belongs to and holds its lines until it knows. The caller
// passes the time. It is not safe for concurrent use.
type ledger struct {
	out      func(journal.Record)
	ask      func(pid, uid uint32)
	services map[uint32]*source // by slot
	writers  map[writerKey]*writer
	asked    map[uint32]bool // pids with an open question
}

// source is one service's stderr.
type source struct {
	name    string
	records bool // a builtin's: a line may be a record already
	quota   quota
	counted time.Time // when lines left out were last written
}

type writerKey struct{ slot, pid, uid uint32 }

// writer is one process that wrote.
type writer struct {
	key   writerKey
	src   *source
	lines lines
	wrote time.Time // its last write
	id    uint64    // its session, 0 = the broker knows none
	until time.Time // how long id is good
	since time.Time // since when an answer is waited for; zero = not waiting
	held  []heldLine
}

type heldLine struct {
	at   time.Time
	text string
}

func newLedger(out func(journal.Record), ask func(pid, uid uint32)) *ledger {
	return &ledger{out: out, ask: ask, services: make(map[uint32]*source),
		writers: make(map[writerKey]*writer), asked: make(map[uint32]bool)}
}

// attach begins a service.
func (l *ledger) attach(slot uint32, name string, records bool, now time.Time) {
	l.services[slot] = &source{name: name, records: records, quota: quota{start: now}, counted: now}
}

// detach ends a service: what it still has is written.
func (l *ledger) detach(slot uint32, now time.Time) {
	src := l.services[slot]
	if src == nil {
		return
	}
	for _, w := range l.writers {
		if w.key.slot == slot {
			l.forget(w, now)
		}
	}
	l.countLeftOut(src, now)
	delete(l.services, slot)
}

// write takes one write of a process.
func (l *ledger) write(slot, pid, uid uint32, data []byte, now time.Time) {
	src := l.services[slot]
	if src == nil || len(data) == 0 {
		return
	}
	key := writerKey{slot, pid, uid}
	w := l.writers[key]
	if w == nil {
		if len(l.writers) >= maxWriters {
			l.forget(l.oldest(), now)
		}
		w = &writer{key: key, src: src}
		l.writers[key] = w
	}
	w.wrote = now
	l.identify(w, now)
	w.lines.add(data, func(line []byte) { l.line(w, line, now) })
}

// identify asks about a process whose session is not known, or no longer.
func (l *ledger) identify(w *writer, now time.Time) {
	if !w.since.IsZero() || now.Before(w.until) {
		return
	}
	if w.key.pid == 0 {
		// A process outside of the worker's pid namespace: answers are by pid, and
		// this one would be everybody's.
		w.until = now.Add(knownAge)
		return
	}
	w.since = now
	if !l.asked[w.key.pid] {
		l.asked[w.key.pid] = true
		l.ask(w.key.pid, w.key.uid)
	}
}

// answer is the broker's word about a pid; id 0 is nobody's.
func (l *ledger) answer(pid uint32, id uint64, now time.Time) {
	delete(l.asked, pid)
	for _, w := range l.writers {
		if w.key.pid == pid && !w.since.IsZero() {
			l.settle(w, id, now)
		}
	}
}

func (l *ledger) settle(w *writer, id uint64, now time.Time) {
	w.id, w.until, w.since = id, now.Add(knownAge), time.Time{}
	for _, h := range w.held {
		l.record(w, h, now)
	}
	w.held = nil
}

// line writes one line, or holds it while its session is asked.
func (l *ledger) line(w *writer, text []byte, now time.Time) {
	if w.src.records {
		if level, ok := recordOf(w.src.name, text); ok {
			l.out(&journal.Relayed{Level: level, Line: bytes.Clone(text)})
			return
		}
	}
	h := heldLine{at: now, text: quote(text)}
	switch {
	case w.since.IsZero():
		l.record(w, h, now)
	case len(w.held) < maxHeld:
		w.held = append(w.held, h)
	default:
		w.src.quota.left++
	}
}

func (l *ledger) record(w *writer, h heldLine, now time.Time) {
	// A session's processes share one budget; strangers have one for each pid,
	// apart from the session ids, which count from 1.
	owner := w.id
	if owner == 0 {
		owner = 1<<63 | uint64(w.key.pid)
	}
	if !w.src.quota.allow(owner, now) {
		return
	}
	l.out(&journal.Stderr{At: h.at, Service: w.src.name, ID: w.id, PID: w.key.pid, Text: h.text})
}

// tick does what is due: begun lines, questions without answer, counts. It returns
// whether anything is still to come, and so another tick is needed.
func (l *ledger) tick(now time.Time) bool {
	for _, w := range l.writers {
		if now.Sub(w.wrote) >= partialAge {
			w.lines.flush(func(line []byte) { l.line(w, line, now) })
		}
		if !w.since.IsZero() && now.Sub(w.since) >= answerAge {
			delete(l.asked, w.key.pid)
			l.settle(w, 0, now)
		}
		if now.Sub(w.wrote) >= partialAge && w.since.IsZero() {
			delete(l.writers, w.key)
		}
	}
	more := len(l.writers) > 0
	for _, src := range l.services {
		if now.Sub(src.counted) >= leftOutEvery {
			l.countLeftOut(src, now)
		}
		more = more || src.quota.left > 0
	}
	return more
}

// finish writes everything that is held.
func (l *ledger) finish(now time.Time) {
	for slot := range l.services {
		l.detach(slot, now)
	}
}

// forget writes what a process has left, without waiting for its session.
func (l *ledger) forget(w *writer, now time.Time) {
	if !w.since.IsZero() {
		l.settle(w, w.id, now)
	}
	w.lines.flush(func(line []byte) { l.line(w, line, now) })
	delete(l.writers, w.key)
}

func (l *ledger) oldest() *writer {
	var old *writer
	for _, w := range l.writers {
		if old == nil || w.wrote.Before(old.wrote) {
			old = w
		}
	}
	return old
}

func (l *ledger) countLeftOut(src *source, now time.Time) {
	src.counted = now
	if src.quota.left == 0 {
		return
	}
	l.out(&journal.Suppressed{At: now, What: journal.StderrLines, Service: src.name, Count: src.quota.left})
	src.quota.left = 0
}

// recordOf tells whether a line of a builtin's is a record of its own service, and
// of which level. Anything else that it writes (its last words, or what somebody
// who has taken it over would have said in another's name) is text.
func recordOf(service string, line []byte) (slog.Level, bool) {
	var r struct {
		Service string     `json:"service"`
		Level   slog.Level `json:"level"`
	}
	if json.Unmarshal(line, &r) != nil || r.Service != service || bytes.Count(line, []byte(`"service":`)) != 1 {
		return 0, false
	}
	return r.Level, true
}
