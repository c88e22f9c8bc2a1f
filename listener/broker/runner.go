package broker

import (
	"time"

	"casemate/listener/loop"
	"casemate/listener/warden/hands"
	"casemate/listener/wire"
	"casemate/sandbox"
	"casemate/sandbox/cgroup/events"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// maxWaiting is how many admitted connections wait for their zygote to come
// up; then the service's listeners leave the poll set, and the kernel's backlog
// holds the rest.
const maxWaiting = 64

// runner is what starts the programs of one service: its sandbox and, while the
// service is active, its zygote. Generations in which the service and its
// profile are the same share it.
type runner struct {
	b      *Broker
	name   string // of the service, for messages
	key    string // what it was made from; equal keys may share
	stamp  string // of the files it was made from
	rules  string // what a builtin's worker decides with; others leave it empty
	cell   hands.Cell
	linger time.Duration
	logs   []wire.Kind // what each of its sessions has that the log worker reads

	live     int // programs running
	retired  bool
	oomKills uint64 // of the cell's count, those that need no session to answer for them any more
	seen     events.Events
	above    bool // the last kill for want of memory was no limit's of ours

	zygote   hands.Starter
	born     int64
	used     int64 // when it started something last
	spawning bool
	failures int
	lastErr  error
	backoff  loop.Timer
	idle     loop.Timer
	watch    loop.Timer // for the oldest start that is under way

	heard     bool                // the denials worker has the listener of its filter
	deaf      bool                // nobody has
	unheard   bool                // it has none
	pending   map[uint64]*session // sent, no reply yet
	settling  int                 // replied, and not yet known to be a child of ours
	congested bool                // too many of them
	waiting   []*session          // for the zygote to come up
	request   zygote.Request
	envBuf    []string
	fdBuf     [4]int
}

func newRunner(b *Broker, name string, c hands.Cell) *runner {
	r := &runner{b: b, name: name, cell: c, pending: make(map[uint64]*session)}
	r.backoff.Owner, r.idle.Owner, r.watch.Owner = r, r, r
	return r
}

// full tells whether the service's listeners should rest.
func (r *runner) full() bool { return r.congested || len(r.waiting) >= r.b.few(maxWaiting) }

// spawn starts a zygote on another goroutine: entering a sandbox takes longer
// than the loop may be held up.
func (r *runner) spawn() {
	if r.spawning {
		return
	}
	r.spawning = true
	c, s := r.cell, r.service()
	var z hands.Starter
	r.b.apart(func() (err error) {
		if s != nil {
			on := r.b.hands.Site(s.gen.doc)
			defer on.Close()
			if s.renew(on) {
				return nil
			}
		}
		z, err = r.b.hands.Spawn(c)
		return err
	}, func(err error) {
		if r.b.loop.Post(func() { r.spawned(z, err) }) != nil && z != nil {
			z.Close()
		}
	})
}

// warm starts a zygote before somebody comes, or keeps the one there is for another linger.
func (r *runner) warm() {
	if r.used = r.b.loop.Now(); r.zygote == nil && !r.backoff.Armed() {
		r.spawn()
	}
}

// spawned is spawn's result, on the loop; none of both if another runner has
// taken over.
func (r *runner) spawned(z hands.Starter, err error) {
	r.spawning = false
	if z != nil {
		err = r.adopt(z)
	}
	waiting := r.waiting
	r.waiting = nil
	if err != nil {
		r.noZygote(err)
		for _, s := range waiting {
			r.b.loop.Guard(func() { r.b.startFailed(s, "", err) })
		}
	}
	for _, s := range waiting {
		if err == nil {
			r.b.loop.Guard(func() { r.start(s) }) // not send: an earlier one may have ended the zygote
		}
	}
	r.b.syncListeners(r)
	r.left()
}

// adopt makes z the runner's zygote.
func (r *runner) adopt(z hands.Starter) error {
	if err := r.b.loop.Add(z.FD(), unix.EPOLLIN, r); err != nil {
		z.Close()
		r.b.hands.Bury(z.PID())
		return err
	}
	r.zygote, r.lastErr = z, nil
	r.born, r.used = r.b.loop.Now(), r.b.loop.Now()
	r.b.logWorker.worker.running()
	if s := r.service(); s != nil && s.spec.Stdio == sandbox.StdioRelay {
		r.b.relays.worker.running()
	}
	r.b.denials.keep(r, z.TakeListener())
	r.b.loop.After(&r.idle, r.linger)
	return nil
}

// noZygote notes that no zygote could be had, and makes the next attempt wait.
func (r *runner) noZygote(err error) {
	r.failures++
	r.lastErr = err
	if r.failures > 1 {
		r.b.loop.After(&r.backoff, backoffAfter(r.failures-1, firstBackoff, maxBackoff))
	}
	r.b.limitedNote(r.name, "zygote "+r.name, "zygote of "+r.name+" failed", err)
}

// drop lets go of the zygote. Its process ends when its socket closes.
func (r *runner) drop() { r.letGo(hands.Starter.Close) }

func (r *runner) letGo(end func(hands.Starter) error) {
	if r.zygote == nil {
		return
	}
	r.b.loop.Disarm(&r.idle)
	r.b.loop.Disarm(&r.watch)
	r.b.loop.Del(r.zygote.FD())
	_ = end(r.zygote) // whatever it says, the process is reaped when it has ended
	r.b.hands.Bury(r.zygote.PID())
	r.zygote = nil
}

// refresh lets go of a zygote to whose filter nobody listens, once it starts nothing.
func (r *runner) refresh() {
	if r.deaf && !r.b.denials.worker.backoff.Armed() && len(r.pending) == 0 {
		r.drop()
		r.left()
	}
}

// Expire is called at the end of the backoff, when a start may hang, or when the
// zygote may have been idle for its linger.
func (r *runner) Expire(t *loop.Timer) {
	switch t {
	case &r.backoff:
		r.b.syncListeners(r)
		return
	case &r.watch:
		r.overdue()
		return
	}
	if rest := r.linger - time.Duration(r.b.loop.Now()-r.used); rest > 0 || len(r.pending) > 0 {
		r.b.loop.After(&r.idle, max(rest, time.Second))
		return
	}
	r.drop()
	r.left()
}

// retire is called when no service of the current generation uses the runner.
// Its programs go on; the sandbox goes with the last of them.
func (r *runner) retire() {
	r.retired = true
	r.left()
}

// left is called whenever something of the runner has ended, and closes what
// nobody needs any more.
func (r *runner) left() {
	if r.spawning || len(r.pending)+len(r.waiting)+r.settling > 0 {
		return
	}
	if r.retired && r.zygote != nil {
		r.drop()
	}
	if r.zygote != nil || r.live > 0 {
		return
	}
	if r.retired && r.cell != nil {
		r.b.loop.Disarm(&r.backoff)
		c := r.cell
		r.cell = nil
		delete(r.b.runners, r)
		r.b.apart(c.Close, func(err error) { // nobody is left to act on an error, and the descriptors are gone either way
			if err != nil {
				_ = r.b.loop.Post(func() { r.b.limitedNote(r.name, "close "+r.name, "something of a sandbox is left behind", err) })
			}
		})
	}
}
