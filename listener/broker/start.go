package broker

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"casemate/listener/address"
	"casemate/listener/inbound"
	"casemate/listener/warden"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// maxPending is how many starts a zygote may have outstanding before its
// listeners leave the poll set, until half of them are done: its socket holds a
// little more, and a client is better kept in the backlog than refused.
const maxPending = 64

// few is n, or less where few descriptors are: the kernel lets a user without rights have no more on their way to
// others (unix(7), ETOOMANYREFS), and a start sends up to three.
func (b *Broker) few(n int) int { return min(n, max(b.maxFiles/16, 1)) }

// throttle takes the listeners out when the zygote has enough to do, and puts
// them back when it has caught up.
func (r *runner) throttle() {
	switch n := len(r.pending); {
	case !r.congested && n >= r.b.few(maxPending):
		r.congested = true
		r.b.syncListeners(r)
	case r.congested && n <= r.b.few(maxPending)/2:
		r.congested = false
		r.b.syncListeners(r)
	}
}

// errNoStart answers connections during the backoff.
var errNoStart = errors.New("the service's zygote does not start; trying again soon")

// start takes over an admitted session.
func (r *runner) start(s *session) {
	s.taken = false
	defer r.b.abandon(s)
	switch {
	case r.b.stopping: // what it was to be handed may be closed
		r.b.startFailed(s, reasonBusy, nil)
	case r.zygote != nil:
		r.send(s)
	case r.backoff.Armed() || r.retired:
		r.b.startFailed(s, "", errNoStart)
	default:
		r.waiting = append(r.waiting, s)
		r.spawn()
		if r.full() {
			r.b.syncListeners(r)
		}
	}
	s.taken = true
}

// ask sends a session to the zygote. Its stderr is the program's alone once that is done.
func (r *runner) ask(s *session) error {
	q := &r.request
	q.ID, q.UID, q.GID = s.id, s.uid, s.uid
	q.FDs = r.fdBuf[:0]
	told, err := s.brief(q)
	if err != nil {
		return err
	}
	defer unix.Close(told) // or there is none
	q.FDs = s.appendSockets(q.FDs)
	if s.svc.spec.Builtin == policy.Tcpmux {
		end, err := r.b.openMux(s)
		if err != nil {
			return err
		}
		defer unix.Close(end)
		q.FDs = append(q.FDs, end)
	}
	if to := s.svc.spec.Redirect; to.Addr.IsValid() {
		fd, err := beginTo(to)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		q.FDs = append(q.FDs, fd)
	}
	if s.svc.spec.Stdio == sandbox.StdioRelay {
		end, err := r.b.relays.take(s)
		if err != nil {
			return err
		}
		defer unix.Close(end)
		q.FDs[0] = end
	}
	for _, kind := range r.logs {
		end, err := r.b.logWorker.take(s, kind)
		if err != nil {
			return err
		}
		defer unix.Close(end)
		q.FDs = append(q.FDs, end)
	}
	if err := r.b.bans.introduce(s, told); err != nil {
		return err
	}
	r.envBuf = s.svc.rules.appendEnv(appendFacts(r.envBuf[:0], s.svc.spec.EnvStyle, s.peer, s.local, s.at != nil && !s.at.stream()), s.rule)
	if s.svc.spec.Stdio == sandbox.StdioFDs {
		r.envBuf = s.appendListen(r.envBuf, len(q.FDs)-len(r.logs))
	}
	q.Env = r.envBuf
	if fd, err := r.cell.State(s.uid, s.uid); err != nil {
		return err
	} else if fd >= 0 {
		defer unix.Close(fd)
		q.FDs = append(q.FDs, fd)
	}
	return r.zygote.Send(q)
}

// brief adds the file of what a built-in's worker is told, and that of what its limits keep. told is -1 where it is none.
func (s *session) brief(q *zygote.Request) (told int, err error) {
	if told, err = s.svc.brief(); err != nil || told < 0 {
		return -1, err
	}
	kept, err := s.svc.tally.keptFile()
	if err != nil {
		unix.Close(told)
		return -1, err
	}
	q.FDs = append(q.FDs, told, kept)
	return told, nil
}

// appendSockets adds the client's socket, or those that the program waits on.
func (s *session) appendSockets(fds []int) []int {
	if s.held == nil {
		return append(fds, s.conn)
	}
	for _, at := range s.held {
		fds = append(fds, at.fd())
	}
	return fds
}

// targetError is why the connection to a redirect's target was not even begun.
type targetError struct{ error }

// beginTo begins the connection to a redirect's target.
func beginTo(to address.Listen) (int, error) {
	fd, err := inbound.Begin(netip.AddrPortFrom(to.Addr, to.Port))
	if err != nil && !inbound.Exhausted(err) {
		err = &targetError{fmt.Errorf("%s: %w", to, err)}
	}
	return fd, err
}

// send hands a session to the zygote.
func (r *runner) send(s *session) {
	err := r.ask(s)
	switch {
	case err == nil:
		r.pending[s.id] = s
		r.used = r.b.loop.Now()
		s.due = r.used + int64(warden.StartTimeout)
		if !r.watch.Armed() {
			r.b.loop.After(&r.watch, warden.StartTimeout)
		}
		if s.conn >= 0 && !r.b.keeps(s) {
			unix.Close(s.conn) // the zygote has it
			s.conn = -1
		}
		r.throttle()
	case errors.As(err, new(*targetError)): // not unwrapped: it says nothing of the zygote
		r.b.startFailed(s, "redirect", err)
	case errors.Is(err, errNoRelay):
		r.b.startFailed(s, "relay", err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		r.b.exhaust(err)
		r.b.startFailed(s, "log", err)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ETOOMANYREFS):
		r.b.startFailed(s, reasonBusy, nil)
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		r.died(err)
		r.b.startFailed(s, "zygote", err)
	default:
		r.b.startFailed(s, "zygote", err)
	}
}

// Ready takes the zygote's replies.
func (r *runner) Ready(uint32) {
	for range maxWaiting {
		if r.zygote == nil {
			return
		}
		reply, err := r.zygote.Recv()
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			r.died(err)
			return
		}
		r.replied(reply)
		if len(r.pending) == 0 { // it has no more to say
			return
		}
	}
}

// replied matches a reply with its session.
func (r *runner) replied(reply zygote.Reply) {
	s := r.pending[reply.ID]
	if s == nil {
		// Nobody asked: the zygote is broken or was taken over. It has no say.
		r.died(errors.New("reply to no request"))
		return
	}
	delete(r.pending, reply.ID)
	r.settling++
	z := r.zygote
	r.b.hands.Settle(reply, func(pid int) []byte { return s.testament(pid, reply.Init) }, s.ended, func(runs bool, err error) {
		r.settling--
		switch {
		case err != nil:
			if r.zygote == z {
				r.died(err) // with all that it was starting
			}
			r.b.startFailed(s, "zygote", err)
		case !runs:
			r.b.startFailed(s, "", reply.Err())
		default:
			r.failures = 0
			r.b.runs(s, reply.PID, reply.Init)
			r.refresh()
		}
	})
	r.throttle()
}

// died cleans up after a zygote that ended without being asked to. What it was
// starting is lost: one record for each.
func (r *runner) died(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("zygote ended")
	}
	soon := time.Duration(r.b.loop.Now()-r.born) < soonDead
	r.drop()
	if soon {
		r.noZygote(err)
	} else {
		r.b.limitedNote(r.name, "zygote "+r.name, "zygote of "+r.name+" ended unexpectedly", err)
	}
	r.lose(func(*session) (string, error) { return "zygote", err })
}

// lose ends all starts that were under way; why gives the step and the error of each.
func (r *runner) lose(why func(*session) (string, error)) {
	lost := r.pending
	r.pending = make(map[uint64]*session)
	r.throttle()
	for _, s := range lost {
		r.b.loop.Guard(func() { step, err := why(s); r.b.startFailed(s, step, err) })
	}
	r.b.hands.Sweep()
}
