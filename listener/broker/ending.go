package broker

import (
	"slices"
	"strings"
	"syscall"
	"time"

	"casemate/acl/limit"
	"casemate/listener/journal"
	"casemate/listener/pace"
	"casemate/listener/warden"
	"casemate/sandbox"
	"casemate/sandbox/cgroup/events"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// penalize gives the source of a nowait stream session what it has earned; most ends
// are no limit.Class. No datagram ever does: its source may be forged, and the victim
// would pay. Nor does a lack of memory: the session that was killed is the largest, and
// others, or the host, may have used up the rest.
func (b *Broker) penalize(s *session, reason string) {
	if class := pace.Class(reason); slices.Contains(limit.Classes, class) {
		s.svc.tally.limiter.Penalize(b.loop.Now(), s.source(), class)
		b.block(&s.visit)
	}
}

// ending makes the record of a program's end.
func (b *Broker) ending(s *session, exit warden.Exit) *journal.Session {
	events, status, u := s.run.events(), exit.Status, &exit.Usage
	e := &journal.Session{
		At: b.wall(), ID: s.id, Service: s.svc.name, Client: s.peer, PID: int(s.pid), UID: s.uid,
		Reason: endReason(status, s.mercy, s.run.outOfMemory(status, s.killed, events.OOMKills)), Ran: true, Status: status,
		Took: time.Duration(b.loop.Now() - s.started), Digest: s.svc.gen.digest,
		User: time.Duration(u.Utime.Nano()), Sys: time.Duration(u.Stime.Nano()), MaxRSS: u.Maxrss,
	}
	e.Limits = s.bounds(e, events)
	return e
}

// events are what the limits of the service's control group have done, as far as anybody can still see.
func (r *runner) events() events.Events {
	if r.cell != nil {
		if e := r.cell.Events(); e.OOMKills >= r.seen.OOMKills && e.Forks >= r.seen.Forks {
			return e
		}
	}
	return r.seen
}

// bounds are the limits that a session ran into: what its end tells, and what the limits of its service's
// control group have done since the last look. One that does no more than make a call fail shows nowhere.
func (s *session) bounds(e *journal.Session, now events.Events) (out []journal.Bound) {
	r, p, sig := s.run, s.svc.gen.doc.Policy.Profile(s.svc.spec.Profile), e.Status.Signal()
	kills, forks, others := now.OOMKills-r.seen.OOMKills, now.Forks-r.seen.Forks, r.live
	r.above, r.seen = kills > 0 && now.OOM == r.seen.OOM || kills == 0 && r.above, now
	add := func(of, limit string, value any, count uint64, others int) {
		out = append(out, journal.Bound{Of: of, Limit: limit, Value: value, Count: count, Others: others})
	}
	resource := func(i sandbox.Resource, count uint64, others int) {
		if i == sandbox.Processes && p.Resources[i] == 0 {
			i = sandbox.Tasks // times its sessions, see sandbox.Plan
		}
		if p.Resources[i] > 0 {
			add("profile."+p.Name, "resources."+sandbox.ResourceRows[i].Name, p.Resources[i], count, others)
		}
	}
	outstayed := pace.Bound(s.svc.limit, s.svc.name, s.svc.spec.Idle, e.Reason)
	switch {
	case outstayed.Limit != "":
		out = append(out, outstayed)
	case sig == unix.SIGXFSZ:
		resource(sandbox.FileSize, 1, 0)
	case e.Reason == journal.Crash && (sig == unix.SIGKILL || sig == unix.SIGXCPU) && e.User+e.Sys >= time.Duration(p.Resources[sandbox.CPUTime])*time.Second*3/4: // the kernel counts ticks, which on a crowded host are far from the time
		resource(sandbox.CPUTime, 1, 0)
	case e.Reason == journal.Memory:
		kills, others = 1, 0 // each of the others that was killed has a record like this one
	case strings.HasPrefix(e.Detail, execFull):
		resource(sandbox.Tasks, 1, 0)
	}
	if kills > 0 && r.above {
		add("host", "memory", nil, kills, others)
	} else if kills > 0 {
		resource(sandbox.Memory, kills, others)
	}
	if forks > 0 {
		resource(sandbox.Processes, forks, r.live)
	}
	return out
}

// execFull is how a start fails whose user has as many tasks as RLIMIT_NPROC lets it have.
var execFull = zygote.Reply{Step: "exec", Errno: unix.EAGAIN}.Err().Error()

// endReason sorts the end of a program, which is m if we asked for it. Signals that ask politely (TERM, INT,
// HUP, QUIT, PIPE, ALRM) are somebody's wish or a client that left, not a crash.
func endReason(status syscall.WaitStatus, m string, oom bool) string {
	if m != "" {
		return m
	}
	if !status.Signaled() {
		return journal.Exit
	}
	if oom {
		return journal.Memory
	}
	switch status.Signal() {
	case unix.SIGSYS:
		return journal.Violation
	case unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGALRM:
		return journal.Killed
	}
	return journal.Crash
}

// outOfMemory tells whether the kernel killed a program that has just been reaped
// (live no longer counts it) for want of memory. The sessions of a service share
// its control group, which only counts such kills. So: a program dead of a SIGKILL
// that we did not send, and a kill that no session has answered for yet. The
// kernel counts before it sends the signal, so the count is never late.
//
// A kill may have hit something else, a program's child or the zygote. Each
// session still running may be one that is dead and not yet reaped, so as many
// kills are kept for them; what is above is written off, and does not excuse a
// later SIGKILL of other origin.
func (r *runner) outOfMemory(status syscall.WaitStatus, ours bool, n uint64) bool {
	oom := status.Signaled() && status.Signal() == unix.SIGKILL && !ours && n > r.oomKills
	if oom {
		r.oomKills++
	}
	if live := uint64(r.live); n > live {
		r.oomKills = max(r.oomKills, n-live)
	}
	return oom
}
