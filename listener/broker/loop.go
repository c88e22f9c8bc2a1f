package broker

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// What loop.do answers once the loop has ended, and when what it ran had a panic.
var (
	errStopped = errors.New("the broker has stopped")
	errBug     = errors.New("bug in casemated: see its log")
)

// brokenTurn rests the loop after a panic in its own bookkeeping, which may
// come back in every turn.
const brokenTurn = 10 * time.Millisecond

// maxEvents is how many ready descriptors one epoll_wait(2) reports; the
// others are reported by the next one, so no descriptor starves.
const maxEvents = 128

// source is whoever owns a descriptor in the loop.
type source interface {
	// ready is called on the loop with the epoll events of the descriptor.
	ready(events uint32)
}

// slot is what the loop knows about one descriptor number. seq tells an event
// of this registration from a stale one of a descriptor closed since.
type slot struct {
	src source
	seq uint32
}

// loop is the event loop. All methods but do, post and stop belong to its own
// thread.
type loop struct {
	ep     int // epoll(7) instance
	wakeFD int // eventfd(2) for do and post
	slots  []slot
	seq    uint32
	timers timerHeap
	now    int64 // loop time of the current wake, ns
	clock  func() int64
	// idle is called at the end of each wake, with all events handled.
	idle func()
	// failed is told about a panic in a handler: it ends that event, not the broker.
	failed func(error)
	ended  bool
	events []unix.EpollEvent // of the current wake
	busy   bool              // the last wake brought something

	mu    sync.Mutex
	queue []func()
	over  bool // run has returned: nothing will be called any more
}

// newLoop makes the loop's descriptors. Loop time is monotonic and starts at 0.
func newLoop() (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	base := time.Now()
	l := &loop{ep: ep, wakeFD: wake, clock: func() int64 { return int64(time.Since(base)) }, idle: func() {}}
	l.failed = func(err error) { fmt.Fprintf(os.Stderr, "casemated: %v\n", err) }
	if err := l.add(wake, unix.EPOLLIN, commands{l}); err != nil {
		unix.Close(wake)
		unix.Close(ep)
		return nil, err
	}
	return l, nil
}

// add registers fd; the caller keeps owning it.
func (l *loop) add(fd int, events uint32, s source) error {
	for fd >= len(l.slots) {
		l.slots = append(l.slots, slot{})
	}
	l.seq++
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(l.seq)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.slots[fd] = slot{src: s, seq: l.seq}
	return nil
}

// mod changes the events fd is polled for; 0 un-polls it and keeps it registered.
func (l *loop) mod(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(l.slots[fd].seq)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, fd, &ev))
}

// del takes fd out. It must be called before fd is closed: a descriptor that
// another process still holds would stay in the epoll set otherwise.
func (l *loop) del(fd int) {
	if fd < 0 || fd >= len(l.slots) || l.slots[fd].src == nil {
		return
	}
	l.slots[fd] = slot{}
	// The only errors are EBADF and ENOENT: then it is out already.
	_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, fd, nil)
}

// forget is del for a descriptor that is not in the epoll set any more in
// effect (EPOLLONESHOT has fired) and that is closed right away.
func (l *loop) forget(fd int) { l.slots[fd] = slot{} }

// after arms t to expire in d from the current wake.
func (l *loop) after(t *timer, d time.Duration) { l.timers.arm(t, l.now+int64(d)) }

// post queues f for the loop from any goroutine and does not wait for it.
func (l *loop) post(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return errStopped
	}
	l.queue = append(l.queue, f)
	one := [8]byte{0: 1}
	// EAGAIN means the counter is at its maximum: the loop is awake anyway.
	_, _ = unix.Write(l.wakeFD, one[:])
	return nil
}

// do runs f on the loop and returns when it is done. The loop itself must not
// call it. A panic, which is logged here, is an error for the caller as well.
func (l *loop) do(f func()) error {
	done := make(chan error, 1)
	if err := l.post(func() {
		ok := false
		defer func() {
			if ok {
				done <- nil
				return
			}
			done <- errBug
		}()
		f()
		ok = true
	}); err != nil {
		return err
	}
	return <-done
}

// run handles events until end is called. It must be called once. Its goroutine
// is not locked to a thread: nothing it does depends on which one it is on
// (zygotes are forked by a thread of their own), and a locked one costs two
// context switches more whenever the scheduler preempts it.
func (l *loop) run() error {
	defer l.finish()
	l.events = make([]unix.EpollEvent, maxEvents)
	for !l.ended {
		err := panics.Try(l.turn)
		if _, bug := err.(*panics.Error); bug {
			l.failed(err)
			time.Sleep(brokenTurn)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// turn is one wake and what it brings.
func (l *loop) turn() error {
	n, err := epollWait(l.ep, l.events, l.timeout(), l.busy)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("epoll_wait", err)
	}
	l.now = l.clock()
	l.busy = n > 0 || err != nil
	for i := range n {
		l.dispatch(&l.events[i])
	}
	for t := l.timers.pop(l.now); t != nil; t = l.timers.pop(l.now) {
		l.guard(func() { t.owner.expire(t) })
	}
	l.guard(l.idle)
	return nil
}

// end makes run return after the current wake.
func (l *loop) end() { l.ended = true }

// finish answers everybody who still waits for the loop.
func (l *loop) finish() {
	l.mu.Lock()
	l.over = true
	rest := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, f := range rest {
		l.guard(f)
	}
	unix.Close(l.wakeFD)
	unix.Close(l.ep)
}

// timeout is the epoll_wait(2) argument in ms: rounded up, or a timer would
// make the loop spin through its last millisecond.
func (l *loop) timeout() int {
	when, ok := l.timers.next()
	if !ok {
		return -1
	}
	ms := (when - l.clock() + int64(time.Millisecond) - 1) / int64(time.Millisecond)
	return int(min(max(ms, 0), 60_000))
}

func (l *loop) dispatch(ev *unix.EpollEvent) {
	if fd := int(ev.Fd); fd < len(l.slots) {
		if s := l.slots[fd]; s.src != nil && s.seq == uint32(ev.Pad) {
			l.guard(func() { s.src.ready(ev.Events) })
		}
	}
}

// guard calls f; a panic ends f alone, because nothing remote may end the broker.
func (l *loop) guard(f func()) {
	if err := panics.Try(func() error { f(); return nil }); err != nil {
		l.failed(err)
	}
}

// commands is the eventfd's source: it runs what do and post queued.
type commands struct{ l *loop }

func (c commands) ready(uint32) {
	var buf [8]byte
	_, _ = unix.Read(c.l.wakeFD, buf[:])
	c.l.mu.Lock()
	queue := c.l.queue
	c.l.queue = nil
	c.l.mu.Unlock()
	for _, f := range queue {
		c.l.guard(f)
	}
}
