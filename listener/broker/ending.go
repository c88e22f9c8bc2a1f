package broker

import (
	"slices"
	"syscall"
	"time"

	"casemate/acl/limit"
	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// penalize gives the source of a nowait stream session what it has earned; most ends
// are no limit.Class. No datagram ever does: its source may be forged, and the victim
// would pay. Nor does a lack of memory: the session that was killed is the largest, and
// others, or the host, may have used up the rest.
func (b *Broker) penalize(s *session, reason string) {
	if class := limit.Class(reason); slices.Contains(limit.Classes, class) {
		s.svc.tally.limiter.Penalize(b.loop.Now(), s.source(), class)
	}
}

// ending makes the record of a program's end.
func (b *Broker) ending(s *session, status syscall.WaitStatus, u *unix.Rusage) *journal.Session {
	return &journal.Session{
		At: b.wall(), ID: s.id, Service: s.svc.name, Client: s.peer, PID: int(s.pid), UID: s.uid,
		Reason: endReason(status, s.mercy, s.run.outOfMemory(status, s.killed)), Ran: true, Status: status,
		Took: time.Duration(b.loop.Now() - s.started), Digest: s.svc.gen.digest,
		User: time.Duration(u.Utime.Nano()), Sys: time.Duration(u.Stime.Nano()), MaxRSS: u.Maxrss,
	}
}

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
func (r *runner) outOfMemory(status syscall.WaitStatus, ours bool) bool {
	if r.cell == nil {
		return false
	}
	n := r.cell.OOMKills()
	oom := status.Signaled() && status.Signal() == unix.SIGKILL && !ours && n > r.oomKills
	if oom {
		r.oomKills++
	}
	if live := uint64(r.live); n > live {
		r.oomKills = max(r.oomKills, n-live)
	}
	return oom
}
