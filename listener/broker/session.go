package broker

import (
	"syscall"
	"time"

	"casemate/acl/limit"
	"casemate/listener"
	"casemate/listener/journal"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// graceTime is how long a program has between SIGTERM and SIGKILL.
const graceTime = 2 * time.Second

// pollChild is how often a child is looked at that has no pidfd, because there
// was no descriptor left to give it one.
const pollChild = 100 * time.Millisecond

// session is one admitted connection, or one program of a wait service. There
// may be thousands: keep it small.
type session struct {
	visit
	id      uint64
	ticket  limit.Ticket
	started int64      // loop time
	timer   loop.Timer // for due, or the next look at a child without a pidfd
	due     int64      // loop time of the session's limit, then of the grace's end; 0 = never
	held    []*socket
	run     *runner
	pid     int32
	pidfd   int32 // -1 = none
	uid     uint32
	leased  bool
	ticketd bool // ticket is to be released
	taken   bool // a runner has it: its start goes on, or has failed
	mercy   mercy
	sysnr   int32 // the system call that the kernel reported, -1 = none
}

// mercy is how far a session is on the way to its forced end.
type mercy uint8

const (
	mercyNone    mercy = iota
	mercyTimeout       // TERM was sent, because its time was up
	mercyStop          // TERM was sent, because the broker stops or its service changed
	mercyKilled  = 0x80
)

// env is the peer's facts for the program.
func (s *session) env(buf []string) []string {
	return appendFacts(buf, s.svc.styles, s.peer, s.local, s.at != nil && !s.at.stream())
}

// runs is called with the zygote's good news.
func (b *Broker) runs(s *session, pid int) {
	s.pid = int32(pid)
	b.sessions[s.pid] = s
	if s.leased {
		b.byUID[s.uid] = s
	}
	s.run.live++
	s.pidfd = b.watch(pid, s) // first, so that its end is seen whatever else happens
	if s.pidfd < 0 {
		b.loop.After(&s.timer, pollChild)
	}
	s.svc.tally.admitted++
	b.logDecision(&s.visit, s.id, "", pid)
	if b.stopping {
		b.terminate(s, mercyStop)
	} else if s.svc.session > 0 && s.held == nil {
		s.schedule(s.svc.session)
	}
}

// schedule sets the time of the session's next forced step.
func (s *session) schedule(d time.Duration) {
	l := s.svc.b.loop
	s.due = l.Now() + int64(d)
	if s.pidfd < 0 {
		d = min(d, pollChild)
	}
	l.After(&s.timer, d)
}

// ready is called when the program has ended.
func (s *session) Ready(uint32) { s.svc.b.reapSession(s) }

// expire is called when the session's time or its grace is over, and to look
// after a child without a pidfd.
func (s *session) Expire(*loop.Timer) {
	b := s.svc.b
	if s.pidfd < 0 && b.reapSession(s) {
		return
	}
	switch {
	case s.due == 0 || b.loop.Now() < s.due:
	case s.mercy == mercyNone:
		s.due = 0
		b.terminate(s, mercyTimeout)
	default:
		s.due = 0
		s.mercy |= mercyKilled
		s.signal(unix.SIGKILL)
	}
	if s.pidfd < 0 {
		b.loop.After(&s.timer, pollChild)
	}
}

// terminate asks the program to end and arms the timer that makes it.
func (b *Broker) terminate(s *session, why mercy) {
	if s.mercy == mercyNone {
		s.mercy = why
		s.signal(unix.SIGTERM)
		s.schedule(graceTime)
	}
}

// signal reaches the program itself. It is our child and not yet reaped, so its
// pid cannot belong to anybody else. The namespace's PID 1 takes everyone with it.
func (s *session) signal(sig unix.Signal) { kill(int(s.pid), sig) }

// reapSession collects the program's end and reports whether it has ended.
func (b *Broker) reapSession(s *session) bool {
	var status unix.WaitStatus
	var usage unix.Rusage
	pid, err := wait4(int(s.pid), &status, &usage)
	if pid == 0 && err == nil {
		if s.pidfd >= 0 { // woken for nothing: ask again
			_ = b.loop.Mod(int(s.pidfd), unix.EPOLLIN|unix.EPOLLONESHOT)
		}
		return false
	}
	if s.pidfd >= 0 {
		b.loop.Forget(int(s.pidfd))
		unix.Close(int(s.pidfd))
		s.pidfd = -1
	}
	defer b.leave(s) // whatever becomes of its record
	delete(b.sessions, s.pid)
	delete(b.byUID, s.uid)
	s.run.live--
	b.logs.remember(s)
	e := b.ending(s, syscall.WaitStatus(status), &usage)
	if t := s.svc.tally; s.held != nil {
		if e.Reason == journal.Exit && status.ExitStatus() == 0 || s.mercy != mercyNone {
			t.faults = 0
		} else {
			t.faults++
		}
	}
	if s.held == nil && s.at != nil && s.at.stream() {
		b.penalize(s, e.Reason)
	}
	if e.Reason == journal.Violation {
		b.logs.violation(s, e)
	} else {
		b.log.Put(e)
	}
	return true
}

// abandon is deferred by who has a session on its way: one that a bug, or a
// failure before its start, has kept from a runner goes the way out.
func (b *Broker) abandon(s *session) {
	if !s.taken {
		delete(s.run.pending, s.id)
		b.leave(s)
	}
}

// leave gives everything back that a session held. It is the one way out for
// all of them: those that ran and those that could not be started. The later
// steps are deferred, so that a bug in one of them leaves out no other.
func (b *Broker) leave(s *session) {
	defer b.lastLeft()
	defer s.run.left()
	defer b.free(s)
	s.taken = true
	b.loop.Disarm(&s.timer)
	if s.conn >= 0 {
		listener.Refuse(s.conn, "")
		s.conn = -1
	}
	if s.leased {
		b.leases.Give(s.uid)
		s.leased = false
	}
	if s.ticketd {
		s.svc.tally.limiter.Release(b.loop.Now(), s.ticket)
		s.svc.tally.live--
		s.ticketd = false
	}
}

// free gives the sockets back that a wait program held.
func (b *Broker) free(s *session) {
	held := s.held
	s.held = nil
	for _, at := range held {
		b.loop.Guard(func() { at.free(s) })
	}
}

// lastLeft ends a stopping broker with its last session.
func (b *Broker) lastLeft() {
	if b.stopping && len(b.sessions) == 0 {
		b.stopped()
	}
}

// fails ends a session that never ran: one record, and nothing left behind.
func (b *Broker) fails(s *session, step string, err error) {
	defer b.leave(s)
	s.svc.tally.failed++
	detail := step
	if err != nil {
		detail = step + ": " + err.Error()
		if step == "" {
			detail = err.Error()
		}
	}
	b.log.Put(&journal.Session{At: b.wall(), ID: s.id, Service: s.svc.name, Client: s.peer, Reason: journal.Failed,
		Detail: detail, Digest: s.svc.gen.digest})
	if s.held != nil {
		s.svc.tally.faults++
		if s.at != nil && !s.at.stream() && s.at.sock != nil {
			// It stays at the head of the queue otherwise and starts the next failure.
			_ = listener.DropDatagram(s.at.fd())
		}
	}
}
