package broker

import (
	"bytes"
	"time"

	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/wire"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// How long the broker waits for what arrives late by nature: the audit record
// of a seccomp kill, and the reply about a program that writes to stderr
// before the loop knows its pid.
const (
	violationDelay = 150 * time.Millisecond
	unknownDelay   = 50 * time.Millisecond
	maxUnknown     = 256
	maxRecent      = 1024 // ended sessions whose stderr may still be on its way
)

// logWorker speaks with casemate-worker log, which reads what services write.
type logWorker struct {
	b        *Broker
	worker   *worker
	attached map[uint32]*runner
	lastSlot uint32
	audit    bool // the worker has an audit socket
	waiting  map[int32]*lateEnding
	recent   map[int32]uint64  // pid to session id
	lessees  map[uint32]uint64 // leased uid to session id: it covers what the program started, too
	ring     [maxRecent]whose
	next     int
	unknown  []whose
	timer    loop.Timer
}

type whose struct{ pid, uid uint32 }

// lateEnding is a violation's record that waits for the name of the call.
type lateEnding struct {
	l     *logWorker
	e     *journal.Session
	timer loop.Timer
}

func newLogWorker(b *Broker) *logWorker {
	l := &logWorker{b: b, attached: make(map[uint32]*runner), waiting: make(map[int32]*lateEnding), recent: make(map[int32]uint64),
		lessees: make(map[uint32]uint64)}
	l.timer.Owner = l
	l.worker = newWorker(b, "log", wire.MaxReport)
	l.worker.message, l.worker.up, l.worker.down = l.heard, l.up, func() { l.audit = false }
	l.worker.again = func() {
		if len(l.attached) > 0 {
			l.worker.running()
		}
	}
	return l
}

// attach has the worker read a runner's stderr, from before its first program.
func (l *logWorker) attach(r *runner) {
	if r.slot != 0 || r.stderr == nil {
		return
	}
	l.lastSlot++
	r.slot = l.lastSlot
	l.attached[r.slot] = r
	if l.worker.running() {
		l.introduce(r)
	}
}

func (l *logWorker) introduce(r *runner) {
	o := wire.Order{Kind: wire.Attach, Slot: r.slot, Name: r.name}
	if r.records {
		o.Kind = wire.Records
	}
	l.worker.send(outgoing{o.Encode(), int(r.stderr.reader.Fd())})
}

// detach lets the worker forget an idle runner.
func (l *logWorker) detach(r *runner) {
	if r.slot == 0 {
		return
	}
	if !r.retired && (l.worker.starting || l.worker.backoff.Armed()) {
		return // up does it: what its programs have said is still to be read
	}
	delete(l.attached, r.slot)
	if l.worker.fd >= 0 {
		l.worker.send(outgoing{wire.Order{Kind: wire.Detach, Slot: r.slot}.Encode(), -1})
	}
	r.slot = 0
}

// up tells a new worker everything.
func (l *logWorker) up() {
	if fd, err := auditSocket(); err == nil {
		if err := sendNow(l.worker.fd, wire.Order{Kind: wire.Audit}.Encode(), fd); err == nil {
			l.audit = true
		}
		unix.Close(fd)
	}
	for _, r := range l.attached {
		l.introduce(r)
		r.left() // which lets go of one that went idle meanwhile
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
	case wire.Whose:
		l.asked(whose{r.PID, r.UID})
	case wire.Violation:
		l.violated(int32(r.PID), r.Call)
	case wire.Lines:
		l.b.log.Put(journal.Lines(bytes.Clone(r.LogText)))
	}
}

// asked answers whose process wrote something. A pid may be newer than the
// zygote's reply about it: then the answer waits a little.
func (l *logWorker) asked(q whose) {
	if id := l.sessionID(q); id != 0 || len(l.unknown) >= maxUnknown {
		l.answer(q, id)
		return
	}
	l.unknown = append(l.unknown, q)
	if !l.timer.Armed() {
		l.b.loop.After(&l.timer, unknownDelay)
	}
}

func (l *logWorker) Expire(*loop.Timer) {
	late := l.unknown
	l.unknown = nil
	for _, q := range late {
		l.answer(q, l.sessionID(q))
	}
}

// sessionID finds a session by pid, or by the uid that only it has.
func (l *logWorker) sessionID(q whose) uint64 {
	if s := l.b.sessions[int32(q.pid)]; s != nil {
		return s.id
	}
	if s := l.b.byUID[q.uid]; s != nil {
		return s.id
	}
	if id := l.recent[int32(q.pid)]; id != 0 {
		return id
	}
	return l.lessees[q.uid]
}

func (l *logWorker) answer(q whose, id uint64) {
	l.worker.send(outgoing{wire.Order{Kind: wire.Belongs, PID: q.pid, ID: id}.Encode(), -1})
}

// remember keeps an ended session's id for stderr that is read after its end.
func (l *logWorker) remember(s *session) {
	if s.run.slot == 0 {
		return
	}
	old := l.ring[l.next]
	delete(l.recent, int32(old.pid))
	delete(l.lessees, old.uid)
	l.ring[l.next] = whose{uint32(s.pid), 0}
	l.recent[s.pid] = s.id
	if s.leased {
		l.ring[l.next].uid = s.uid
		l.lessees[s.uid] = s.id
	}
	l.next = (l.next + 1) % maxRecent
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
	l.worker.finish(lastWords, done)
}
