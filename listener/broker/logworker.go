package broker

import (
	"bytes"
	"errors"
	"time"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

const (
	violationDelay = 150 * time.Millisecond // for the audit record of a seccomp kill
	maxUnknown     = 256                    // violations that wait for it
)

// How the log worker is watched while there are sessions. One that is down or
// stopped must hold up no program that writes: after deafAfter full pipes are emptied.
const (
	watchEvery   = 250 * time.Millisecond
	deafAfter    = time.Second
	discardEvery = 20 * time.Millisecond
	deadAfter    = 5 * time.Second // then another one is started
)

// logWorker speaks with casemate-worker log, which reads what services write.
type logWorker struct {
	b       *Broker
	worker  *worker
	audit   bool // the worker has an audit socket
	waiting map[int32]*lateEnding

	pipes   map[uint32]*pipes    // by the first one's number
	filling map[wire.Kind]*pipes // the newest of each kind, the next session's
	live    int                  // pipes and sockets that sessions have
	watch   loop.Timer
	heardAt int64 // when the worker answered last
	lost    map[journal.Suppressed]uint64
	toldAt  int64 // when lost was last logged
}

// lateEnding is a violation's record that waits for the name of the call.
type lateEnding struct {
	l     *logWorker
	e     *journal.Session
	timer loop.Timer
}

func newLogWorker(b *Broker) *logWorker {
	l := &logWorker{b: b, waiting: make(map[int32]*lateEnding), pipes: make(map[uint32]*pipes),
		filling: make(map[wire.Kind]*pipes), lost: make(map[journal.Suppressed]uint64)}
	l.watch.Owner = l
	l.worker = newWorker(b, "log", wire.MaxReport)
	l.worker.message, l.worker.up, l.worker.down = l.heard, l.up, func() { l.audit = false }
	l.worker.again = func() {
		if len(b.runners) > 0 {
			l.worker.running()
		}
	}
	return l
}

// take gives a session its pipe, or its socket. The end for its program is the caller's to close.
func (l *logWorker) take(s *session, kind wire.Kind) (end int, err error) {
	p := l.filling[kind]
	if p == nil || p.used == len(p.ends) {
		var first uint32
		if p != nil {
			first = p.first
		}
		for l.pipes[first] != nil { // also where the numbers begin again
			first += wire.PipesAtOnce
		}
		if p, err = newPipes(kind, first); err != nil {
			return -1, err
		}
		l.filling[kind], l.pipes[first] = p, p
		if l.worker.running() {
			l.introduce(p)
		}
	}
	o := wire.Order{Kind: wire.Belongs, Pipe: p.first + uint32(p.used), ID: s.id, Name: s.run.name}
	if s.run.records {
		o.Kind = wire.Records
		s.counts = &counted{tally: s.svc.tally}
		p.count[p.used] = s.counts
	}
	end, p.whose[p.used] = p.ends[p.used], o
	s.pipes = append(s.pipes, p)
	p.used++
	p.live++
	l.live++
	if !l.watch.Armed() {
		l.heardAt = l.b.loop.Now()
		l.b.loop.After(&l.watch, watchEvery)
	}
	return end, nil
}

// left is called at the end of a session.
func (l *logWorker) left(s *session) {
	if s.counts != nil {
		s.counts.end()
	}
	for _, p := range s.pipes {
		p.live--
		l.live--
		l.settle(p)
	}
	s.pipes = nil
}

// settle lets go of pipes that nobody writes to any more, by the word of both who know.
func (l *logWorker) settle(p *pipes) {
	switch {
	case !p.over():
	case p.done:
		delete(l.pipes, p.first)
		p.close()
	case p.kind == wire.Sockets: // a socket has no end, as a pipe has
		l.worker.send(outgoing{data: wire.Order{Kind: wire.Over, Pipe: p.first}.Encode(), fd: -1})
	}
}

func (l *logWorker) introduce(p *pipes) {
	l.worker.send(outgoing{data: wire.Order{Kind: p.kind, Pipe: p.first}.Encode(), fd: p.store})
}

// up tells a new worker everything.
func (l *logWorker) up() {
	l.heardAt = l.b.loop.Now()
	if fd, err := auditSocket(); err == nil {
		if err := sendNow(l.worker.fd, wire.Order{Kind: wire.Audit}.Encode(), fd); err == nil {
			l.audit = true
		}
		unix.Close(fd)
	}
	for _, p := range l.pipes {
		l.introduce(p)
		l.settle(p)
	}
}

// Expire looks after the worker.
func (l *logWorker) Expire(*loop.Timer) {
	now, every := l.b.loop.Now(), watchEvery
	silence := time.Duration(now - l.heardAt)
	switch {
	case silence < deafAfter:
		l.worker.send(outgoing{data: wire.Order{Kind: wire.Ping}.Encode(), fd: -1})
	case silence > deadAfter && l.worker.fd >= 0:
		l.worker.end(errors.New("it does not answer"))
	default:
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
	if l.live > 0 || len(l.lost) > 0 || silence >= deafAfter && l.worker.fd >= 0 {
		l.b.loop.After(&l.watch, every)
	}
}

// discard empties what nobody reads. Of pipes whose sessions are over nothing
// is kept for a worker that cannot be had.
func (l *logWorker) discard() {
	for first, p := range l.pipes {
		over := p.over() && l.worker.fd < 0 && !p.rights
		p.discard(over, l.lost)
		if over {
			delete(l.pipes, first)
			p.close()
		}
	}
}

// auditSocket is a socket that receives the kernel's audit records
// (audit_multicast, needs CAP_AUDIT_READ). Without it violations have no name.
func auditSocket() (int, error) {
	const readLog = 1 // AUDIT_NLGRP_READLOG as a group mask
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: readLog}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sendNow(to int, data []byte, fd int) error {
	return unix.Sendmsg(to, data, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// heard takes one message of the worker.
func (l *logWorker) heard(m []byte) {
	r, err := wire.DecodeReport(m)
	if err != nil {
		l.worker.end(err)
		return
	}
	switch r.Kind {
	case wire.Pong:
		l.heardAt = l.b.loop.Now()
	case wire.Whose, wire.Done, wire.Counted:
		p := l.pipes[r.Pipe-r.Pipe%wire.PipesAtOnce]
		at := int(r.Pipe % wire.PipesAtOnce)
		switch {
		case p == nil || at >= p.used:
		case r.Kind == wire.Whose:
			l.worker.send(outgoing{data: p.whose[at].Encode(), fd: -1})
		case r.Kind == wire.Counted:
			if c := p.count[at]; c != nil {
				c.add(r.Counts)
			}
		case p.used == len(p.ends):
			p.done = true
			l.settle(p)
		}
	case wire.Violation:
		l.violated(int32(r.PID), r.Call)
	case wire.Lines:
		l.b.log.Put(journal.Lines(bytes.Clone(r.LogText)))
	}
}

// violation writes the record of a session that the filter killed, with the
// call's name if the kernel tells it, for which the record may wait.
func (l *logWorker) violation(s *session, e *journal.Session) {
	if s.sysnr >= 0 {
		e.Syscall = sandbox.SyscallName(int(s.sysnr))
	} else if l.audit && l.waiting[s.pid] == nil && len(l.waiting) < maxUnknown {
		late := &lateEnding{l: l, e: e}
		late.timer.Owner = late
		l.waiting[s.pid] = late
		l.b.loop.After(&late.timer, violationDelay)
		return
	}
	l.b.log.Put(e)
}

// violated is the kernel's word, which may come before or after the end.
func (l *logWorker) violated(pid, nr int32) {
	if nr < 0 {
		return
	}
	if late := l.waiting[pid]; late != nil {
		late.e.Syscall = sandbox.SyscallName(int(nr))
		l.b.loop.Disarm(&late.timer)
		late.Expire(nil)
	} else if s := l.b.sessions[pid]; s != nil {
		s.sysnr = nr
	}
}

func (v *lateEnding) Expire(*loop.Timer) {
	delete(v.l.waiting, int32(v.e.PID))
	v.l.b.log.Put(v.e)
}

// lastWords is how long a stopping broker waits for what the log worker still has.
const lastWords = time.Second

// finish has the log worker read what there is and end, and calls done when all of
// its lines are here.
func (l *logWorker) finish(done func()) {
	l.worker.finish(lastWords, wire.Order{Kind: wire.Last}.Encode(), done)
}
