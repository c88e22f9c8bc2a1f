package broker

import (
	"log/slog"
	"time"

	"casemate/listener/journal"
	"casemate/policy"
)

// stopTime is how long a stopping broker waits for children that it has killed.
const stopTime = 5 * time.Second

// Stop ends the broker: no new connections, unix sockets removed, and the programs
// ended (TERM, then KILL). Where the policy says on_stop = "leave", those that serve
// one client each live on, and the workers of built-ins for the clients they have; a
// wait program is ended all the same, since the next broker needs its listener, and one
// whose relay ends with this one. Run
// returns when that is done. It may be called more than once.
func (b *Broker) Stop() {
	// An error means that it has stopped already.
	_ = b.loop.Post(b.stop)
}

// Turn returns when the loop has come round once more; an error is that it has ended.
func (b *Broker) Turn() error { return b.loop.Do(func() {}) }

func (b *Broker) stop() {
	if b.stopping {
		return
	}
	b.stopping = true
	b.leaves = b.gen != nil && b.gen.doc.Policy.OnStop == policy.StopLeave
	b.log.Put(b.note(slog.LevelInfo, "stopping", slog.Int("sessions", len(b.sessions)), slog.Bool("leave", b.leaves)))
	for _, at := range b.sockets {
		b.loop.Disarm(&at.retry)
		at.close()
	}
	for _, q := range b.names.asked {
		b.loop.Disarm(&q.timer)
		b.refuse(&q.visit, reasonBusy)
	}
	clear(b.names.asked)
	for _, t := range b.tallies {
		for len(t.queue) > 0 {
			t.queue[0].dismiss(reasonBusy)
		}
	}
	b.loop.Disarm(&b.checks)
	for r := range b.runners {
		waiting := r.waiting
		r.waiting = nil
		for _, s := range waiting {
			b.loop.Guard(func() { b.startFailed(s, reasonBusy, nil) })
		}
		if len(r.pending) == 0 {
			r.drop()
		}
	}
	for _, s := range b.sessions {
		switch {
		case s.stays():
		case b.leaves && s.held != nil:
			b.release(s)
		default:
			b.terminate(s, journal.Killed)
		}
	}
	if b.quiet() {
		b.stopped()
		return
	}
	b.loop.After(&b.stopTimer, graceTime+stopTime)
}

// quiet reports whether no session is left that has to end, and none is on its way.
func (b *Broker) quiet() bool {
	for r := range b.runners {
		if len(r.pending)+r.settling > 0 {
			return false
		}
	}
	for _, s := range b.sessions {
		if !b.leaves || s.mercy != "" || s.hints > 0 {
			return false
		}
	}
	return true
}

// stopped is called when no session is left, or none will go.
func (b *Broker) stopped() {
	if b.closing {
		return
	}
	b.closing = true
	for _, r := range b.tallies {
		b.countLeftOut(r)
	}
	for r := range b.runners {
		r.drop()
	}
	b.names.worker.stop()
	b.relays.worker.stop()
	b.shields.worker.stop()
	b.denials.worker.finish(lastWords, func() { b.logWorker.finish(b.loop.End) })
}
