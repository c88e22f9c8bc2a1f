package broker

import (
	"time"

	"casemate/acl/limit/admission"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/listener/pace"
	"casemate/listener/warden"
	"casemate/listener/wire"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

// session is one admitted connection, or one program of a wait service. There
// may be thousands: keep it small.
type session struct {
	visit
	id      uint64
	ticket  admission.Ticket // zero once it is given back
	started int64            // loop time
	timer   loop.Timer       // for due
	client  loop.Timer       // the next look at its client; see attend
	gone    bool             // its client has closed
	pace    *pace.Watch      // nil where its limit has nothing against slow clients
	due     int64            // loop time by which it must run, then of the session's limit, then of the grace's end; 0 = never
	held    []*listening
	run     *runner
	pipes   []*pipe  // its stderr, its stdout and its /dev/log
	counts  *counted // of a built-in's worker
	hints   int      // that it has yet to be given
	pid     int32
	key     int32 // in Broker.sessions: its pid, or less than 0 once that may be another's
	init    int32 // process 1 of its namespace, where that is not the program; else 0
	uid     uint32
	leased  bool
	taken   bool         // a runner has it: its start goes on, or has failed
	why     string       // it was ended, for its record
	mercy   string       // the reason of its end, for which TERM was sent; "" = it may go on
	killed  bool         // and then KILL
	denied  bool         // the denials worker knows of it
	relay   int32        // what its relay is to send its program's socket to, until the worker has that; 0 = none
	exit    *warden.Exit // of its program; its relay may go on
	lost    bool         // its relay
}

// runs is called with the zygote's good news.
func (b *Broker) runs(s *session, pid, init int) {
	s.pid, s.key, s.init, s.due = int32(pid), int32(pid), int32(init), 0
	b.sessions[s.key] = s
	s.run.live++
	if s.counts == nil {
		s.svc.tally.admitted++
	}
	b.logDecision(&s.visit, s.id, "", pid)
	if s.conn >= 0 {
		b.attend(s)
	}
	b.bans.catchUp(s)
	why := b.unwelcome(s)
	switch {
	case b.stopping && b.leaves && s.held != nil, !b.stopping && s.outdated():
		if b.release(s); b.gen.narrows {
			b.narrowWorker(s)
		}
	case b.stopping && !s.stays() || s.lost:
		b.terminate(s, journal.Killed)
	case why != "":
		s.why = why
		b.terminate(s, journal.Killed)
	case s.svc.limit.Session > 0 && s.held == nil:
		s.schedule(s.svc.limit.Session)
	}
}

// schedule sets the time of the session's next forced step.
func (s *session) schedule(d time.Duration) {
	l := s.svc.b.loop
	s.due = l.Now() + int64(d)
	l.After(&s.timer, d)
}

// ended is called when the program has ended and is reaped.
func (s *session) ended(e warden.Exit) { s.svc.b.reaped(s, e) }

// Expire is called when the session's time or its grace is over.
func (s *session) Expire(*loop.Timer) {
	b := s.svc.b
	switch {
	case s.due == 0 || b.loop.Now() < s.due:
	case s.mercy == "":
		s.due = 0
		b.terminate(s, journal.Timeout)
	default:
		s.destroy()
	}
}

// terminate asks the program to end and arms the timer that makes it.
func (b *Broker) terminate(s *session, why string) {
	if s.mercy == "" {
		s.mercy = why
		s.signal(unix.SIGTERM)
		s.schedule(graceTime)
	}
}

// destroy ends a program that was asked to.
func (s *session) destroy() {
	s.due = 0
	s.killed = true
	s.signal(unix.SIGKILL)
	if s.exit != nil {
		s.svc.b.relays.over(s, true)
	}
}

// stays tells whether s lives on when the broker stops.
func (s *session) stays() bool {
	return s.svc.b.leaves && s.held == nil && s.svc.spec.Stdio != sandbox.StdioRelay
}

// release has the worker of a built-in give its sockets up, and serve to the end who is
// there: what it held is free at once. One so young that it may not hear reads that in its file, with the first who comes at
// the latest. One that takes longer than a session may is ended like other programs.
func (b *Broker) release(s *session) {
	if s.svc.spec.Builtin == "" || s.counts == nil {
		b.terminate(s, journal.Killed)
		return
	}
	if s.counts.leave = true; !b.tellRules(s) {
		return
	}
	s.hint(wire.Leave)
	if longest := s.svc.limit.Session; longest > 0 {
		s.schedule(longest)
	}
	b.giveBack(s)
	b.free(s)
	s.held = []*listening{} // what it is has not changed
}

// outdated reports whether s is a built-in's worker that is not what the policy and
// the host have: it decides by itself.
func (s *session) outdated() bool {
	if s.held == nil || s.svc.spec.Builtin == "" {
		return false
	}
	now := s.svc.b.gen.service(s.svc.name)
	return now == nil || now.run.rules != s.run.rules
}

// signal reaches the program itself. The namespace's PID 1 takes everyone with it.
func (s *session) signal(sig unix.Signal) {
	if s.exit == nil {
		s.svc.b.hands.Kill(int(s.pid), sig)
	}
}

// young is for how long it may not hear signals yet, and end by them.
func (s *session) young() time.Duration {
	return max(soonDead-time.Duration(s.svc.b.loop.Now()-s.started), 0)
}

// hint signals the worker of a built-in, once it hears: before that the signal would end it, with clients who may stay. Whom it is not to
// serve it refuses meanwhile, by its file.
func (s *session) hint(sig unix.Signal) {
	b, young := s.svc.b, s.young()
	if young == 0 {
		s.signal(sig)
		return
	}
	s.hints++
	b.loop.After(&loop.Timer{Owner: loop.Func(func() {
		if s.hints--; b.sessions[s.key] == s {
			s.signal(sig)
			b.lastLeft()
		}
	})}, young)
}
