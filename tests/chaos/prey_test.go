package chaos

import (
	"math/rand/v2"
	"strings"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// prey is a process below the broker and the service it belongs to, if any.
type prey struct {
	pid     int
	service string
}

// zygotes, programs and helpers are the kinds of prey; what belongs to no service
// is a helper: the log worker, a worker's zygote, a compiler.
func zygotes(w *world) []prey  { z, _, _ := w.preys(); return z }
func programs(w *world) []prey { _, p, _ := w.preys(); return p }
func helpers(w *world) []prey  { _, _, h := w.preys(); return h }

func (w *world) preys() (zygotes, programs, helpers []prey) {
	s, err := w.broker.Status()
	if err != nil {
		return nil, nil, nil
	}
	known := map[int]bool{}
	for _, x := range s.Services {
		if x.ZygotePID > 0 {
			zygotes = append(zygotes, prey{x.ZygotePID, x.Name})
			known[x.ZygotePID] = true
		}
	}
	for _, x := range s.Sessions {
		if x.PID > 0 {
			programs = append(programs, prey{x.PID, x.Service})
			known[x.PID] = true
		}
	}
	accepts, err := w.broker.Acceptor() // it has a row of its own
	if err != nil {
		return nil, nil, nil
	}
	kids, err := rig.Children(w.broker.PID)
	if err != nil {
		return zygotes, programs, nil
	}
	for _, k := range kids {
		if !known[k.PID] && k.PID != accepts && outside(k) {
			helpers = append(helpers, prey{pid: k.PID})
		}
	}
	return zygotes, programs, helpers
}

// outside tells whether a child of the broker is one of casemate's processes and
// in no pid namespace of its own, as each program is that is about to start.
func outside(p rig.Process) bool {
	s, err := rig.Status(p.PID)
	return err == nil && strings.HasPrefix(p.Name, "casemate") && !strings.Contains(s["NSpid"], " ")
}

// kills sends a signal to one of a kind.
func kills(kind func(*world) []prey, sig unix.Signal) func(*world, *fault, *rand.Rand) {
	return func(w *world, f *fault, rnd *rand.Rand) {
		w.hit(f, rnd, kind, func(pidfd int) { _ = unix.PidfdSendSignal(pidfd, sig, nil, 0) })
	}
}

// stops stops one of a kind for a second at most.
func stops(kind func(*world) []prey) func(*world, *fault, *rand.Rand) {
	return func(w *world, f *fault, rnd *rand.Rand) {
		w.hit(f, rnd, kind, func(pidfd int) {
			_ = unix.PidfdSendSignal(pidfd, unix.SIGSTOP, nil, 0)
			pause(rnd, 1000)
			_ = unix.PidfdSendSignal(pidfd, unix.SIGCONT, nil, 0)
		})
	}
}

// hit does something to one process of a kind. The process is held by a pidfd and
// then found below the broker, so nobody else can be hit in its place.
func (w *world) hit(f *fault, rnd *rand.Rand, kind func(*world) []prey, do func(pidfd int)) {
	some := kind(w)
	if len(some) == 0 {
		return
	}
	p := some[rnd.IntN(len(some))]
	pidfd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(pidfd)
	kids, err := rig.Children(w.broker.PID)
	for _, k := range kids {
		if err == nil && k.PID == p.pid {
			h := w.ledger.begin(f, p.service)
			do(pidfd)
			w.ledger.end(h)
			return
		}
	}
}

// between throws until stop is closed: one thing after the other, every most at the latest.
func between(stop <-chan struct{}, rnd *rand.Rand, least, most time.Duration, throw func()) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(least + time.Duration(rnd.Int64N(int64(most-least)))):
			throw()
		}
	}
}
