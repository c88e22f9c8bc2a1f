package main

import (
	"time"

	"casemate/listener/builtin"
	"casemate/listener/journal"
	"casemate/listener/said"
	"casemate/listener/wire"
)

// The ledger's patience.
const (
	partialAge   = time.Second      // a begun line is written after so long without more
	leftOutEvery = 10 * time.Second // between two counts of lines left out
)

// What a service may write: each session, and all of them together.
var (
	lineRate    = journal.Rate{Every: time.Second / 20, Burst: 100}
	serviceRate = journal.Rate{Every: time.Second / 200, Burst: 1000}
)

// ledger turns what sessions write into records. The caller passes the time. It
// is not safe for concurrent use.
type ledger struct {
	out      func(journal.Record)
	priority bool               // records of built-ins begin with theirs (journal.New)
	sources  map[string]*source // by what they count of which service
	begun    map[*writer]bool   // those with a begun line
}

// source is one service's stderr, its stdout, or its /dev/log.
type source struct {
	name    string
	what    string // is counted where it is left out: journal.StderrLines, StdoutLines or SyslogLines
	writers int
	start   time.Time // the buckets' clock counts from here
	all     journal.Bucket
	left    uint64    // lines left out since they were last counted
	counted time.Time // when that was
}

// writer is one session's stderr, its stdout, or its /dev/log.
type writer struct {
	src     *source
	id      uint64 // of the session
	records bool   // a builtin's: a line may be a record already, or its counts
	counted func(*wire.Counts)
	own     journal.Bucket
	lines   lines
	wrote   time.Time // its last write
}

func newLedger(out func(journal.Record)) *ledger {
	return &ledger{out: out, sources: make(map[string]*source), begun: make(map[*writer]bool)}
}

// beginAs begins what is counted as what. A service's stderr, stdout and /dev/log have a budget each.
func (l *ledger) beginAs(what, name string, id uint64, records bool, now time.Time) *writer {
	key := what + " " + name
	src := l.sources[key]
	if src == nil {
		src = &source{name: name, what: what, start: now, counted: now}
		l.sources[key] = src
	}
	src.writers++
	return &writer{src: src, id: id, records: records}
}

// write takes what was written, which may end anywhere.
func (l *ledger) write(w *writer, data []byte, now time.Time) {
	w.wrote = now
	w.lines.add(data, func(line []byte) { l.line(w, line, now) })
	if len(w.lines.rest) > 0 {
		l.begun[w] = true
	} else {
		delete(l.begun, w)
	}
}

// message takes what was sent to a /dev/log: one message, of one or more records.
func (l *ledger) message(w *writer, data []byte, now time.Time) {
	for m, rest := said.Parse(data), []byte(nil); ; m.Text = rest {
		m.Text, rest = m.Text[:min(len(m.Text), maxLine)], m.Text[min(len(m.Text), maxLine):]
		if w.allow(now) {
			l.out(said.Syslog(now, w.src.name, w.id, m))
		}
		if len(rest) == 0 {
			return
		}
	}
}

// ended takes a session's last line.
func (l *ledger) ended(w *writer, now time.Time) {
	l.flush(w, now)
	w.src.writers--
}

func (l *ledger) flush(w *writer, now time.Time) {
	w.lines.flush(func(line []byte) { l.line(w, line, now) })
	delete(l.begun, w)
}

func (l *ledger) line(w *writer, text []byte, now time.Time) {
	if w.records {
		if c, ok := builtin.CountsOf(w.src.name, text); ok {
			w.counted(c)
			return
		}
		if level, ok := recordOf(w.src.name, text); ok {
			whole := make(journal.Lines, 0, len(text)+len(journal.Prefix(level))+1)
			if l.priority {
				whole = append(whole, journal.Prefix(level)...)
			}
			l.out(append(append(whole, text...), '\n'))
			return
		}
	}
	if w.allow(now) {
		stream := "stderr"
		if w.src.what == journal.StdoutLines {
			stream = "stdout"
		}
		l.out(said.Line(now, stream, w.src.name, w.id, text))
	}
}

// allow takes one line, or counts it as left out. A line is taken from both budgets
// or from none, so a loud session cannot use up what the service has.
func (w *writer) allow(at time.Time) bool {
	now := int64(at.Sub(w.src.start))
	if !w.own.Room(lineRate, now) || !w.src.all.Room(serviceRate, now) {
		w.src.left++
		return false
	}
	w.own.Take(lineRate, now)
	w.src.all.Take(serviceRate, now)
	return true
}

// tick does what is due: begun lines and counts. It returns whether anything is
// still to come, and so another tick is needed.
func (l *ledger) tick(now time.Time) bool {
	for w := range l.begun {
		if now.Sub(w.wrote) >= partialAge {
			l.flush(w, now)
		}
	}
	more := len(l.begun) > 0
	for name, src := range l.sources {
		if now.Sub(src.counted) >= leftOutEvery {
			l.countLeftOut(src, now)
			// Not before: a service's budget is the same however few of its sessions write at once.
			if src.writers == 0 {
				delete(l.sources, name)
				continue
			}
		}
		more = more || src.left > 0 || src.writers == 0
	}
	return more
}

// finish writes everything that is held.
func (l *ledger) finish(now time.Time) {
	for w := range l.begun {
		l.flush(w, now)
	}
	for _, src := range l.sources {
		l.countLeftOut(src, now)
	}
}

func (l *ledger) countLeftOut(src *source, now time.Time) {
	src.counted = now
	if src.left == 0 {
		return
	}
	l.out(&journal.Suppressed{At: now, What: src.what, Service: src.name, Count: src.left})
	src.left = 0
}
