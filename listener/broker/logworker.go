package broker

import (
	"bytes"
	"time"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"

	"golang.org/x/sys/unix"
)

// How the log worker is watched while there are sessions. One that is down or
// stopped must hold up no program that writes: after deafAfter full pipes are emptied.
const (
	watchEvery   = 250 * time.Millisecond
	discardEvery = 20 * time.Millisecond
)

// logWorker speaks with casemate-worker log, which reads what services write.
type logWorker struct {
	b      *Broker
	worker *worker
	pipes  map[wire.Order]*pipe // of sessions that go on or whose last words are not read, by kind and session
	young  []*pipe              // those among them that the worker does not know, and some that it need not
	sweep  loop.Timer           // of young
	watch  loop.Timer
	lost   map[journal.Suppressed]uint64
	toldAt int64 // when lost was last logged
}

func newLogWorker(b *Broker) *logWorker {
	l := &logWorker{b: b, pipes: make(map[wire.Order]*pipe), lost: make(map[journal.Suppressed]uint64)}
	l.watch.Owner, l.sweep.Owner = l, l
	l.worker = newWorker(b, "log")
	l.worker.heard, l.worker.up, l.worker.down = l.heard, l.up, func() {}
	l.worker.again = func() {
		if len(b.runners) > 0 {
			l.worker.running()
		}
	}
	return l
}

// up tells a new worker everything.
func (l *logWorker) up() {
	if fd, err := l.b.hands.Audit(); err == nil {
		l.worker.pass(wire.Order{Kind: wire.Audit}.Encode(), fd)
		unix.Close(fd)
	}
	l.young = l.young[:0]
	for _, p := range l.pipes {
		p.given = false
		l.young = append(l.young, p)
	}
	l.introduce()
}

// Expire looks after the worker, or at what it should know.
func (l *logWorker) Expire(t *loop.Timer) {
	if t == &l.sweep {
		l.introduce()
		return
	}
	now, every, silence := l.b.loop.Now(), watchEvery, l.worker.silence()
	if silence >= deafAfter {
		every = discardEvery
		l.discard()
	}
	if len(l.lost) > 0 && (silence < deafAfter || now-l.toldAt > int64(deafAfter)) {
		l.toldAt = now
		for what, n := range l.lost {
			what.At, what.Count = l.b.wall(), n
			l.b.log.Put(&what)
		}
		clear(l.lost)
	}
	if len(l.pipes) > 0 || len(l.lost) > 0 || silence >= deafAfter && l.worker.fd >= 0 {
		l.b.loop.After(&l.watch, every)
	}
}

// heard takes one message of the worker.
func (l *logWorker) heard(r wire.Report) {
	switch r.Kind {
	case wire.Counted:
		if p := l.pipes[wire.Order{Kind: wire.Records, ID: r.ID}]; p != nil && p.given {
			p.count.add(r.Counts)
		}
	case wire.Done:
		if p := l.pipes[wire.Order{Kind: r.Of, ID: r.ID}]; p != nil && p.given {
			if p.done = true; p.over {
				l.close(p)
			}
		}
	case wire.Lines:
		l.b.log.Put(journal.Lines(bytes.Clone(r.LogText)))
	}
}

// finish has the log worker read what there is and end, and calls done when all of
// its lines are here.
func (l *logWorker) finish(done func()) {
	l.introduce()
	l.worker.finish(lastWords, done)
}
