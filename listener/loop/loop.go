// Package loop is an event loop over epoll(7): descriptors, deadlines, and
// functions that other goroutines hand in. It knows nothing of what they are for.
//
// Everything but Post and Do belongs to the goroutine that runs it, so what it
// calls needs no lock. A panic in one of its callbacks ends that callback alone.
package loop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// What Do answers once the loop has ended, and when what it ran had a panic.
var (
	ErrStopped = errors.New("the loop has stopped")
	ErrBug     = errors.New("bug in casemated: see its log")
)

// brokenTurn rests the loop after a panic in its own bookkeeping, which may come back in every turn.
const brokenTurn = 10 * time.Millisecond

// maxEvents is how many ready descriptors one epoll_wait(2) reports; the others are reported by the next one, so no descriptor starves.
const maxEvents = 128

// yieldEvery is how long a busy loop keeps its processor. After 10 ms Go's monitor thread would take it away,
// and for that look every 20 us for the next milliseconds: a tenth of the broker's time at 1,300 connections a second.
const yieldEvery = 8 * time.Millisecond

// Source is whoever owns a descriptor in the loop.
type Source interface {
	// Ready is called on the loop with the epoll events of the descriptor.
	Ready(events uint32)
}

// slot is what the loop knows about one descriptor number. seq tells an event
// of this registration from a stale one of a descriptor closed since.
type slot struct {
	src Source
	seq uint32
}

// Loop is the event loop. All methods but Do and Post belong to the goroutine
// that runs it.
type Loop struct {
	ep           int // epoll(7) instance
	wakeFD       int // eventfd(2) for Do and Post
	slots        []slot
	seq          uint32
	timers       timerHeap
	now, yielded int64 // loop time of the current wake and of the last yield to Go's scheduler, ns
	clock        func() int64
	// Idle is called at the end of each wake, with all events handled.
	Idle func()
	// Failed is told about a panic in a handler: it ends that event, not the broker.
	Failed func(error)
	ended  bool
	events []unix.EpollEvent // of the current wake
	busy   bool              // the last wake brought something

	mu    sync.Mutex
	queue []func()
	over  bool // Run has returned: nothing will be called any more
}

// New makes the loop's descriptors. Loop time is monotonic and starts at 0.
func New() (*Loop, error) {
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
	l := &Loop{ep: ep, wakeFD: wake, clock: func() int64 { return int64(time.Since(base)) }, Idle: func() {}}
	l.Failed = func(err error) { fmt.Fprintf(os.Stderr, "casemated: %v\n", err) }
	if err := l.Add(wake, unix.EPOLLIN, commands{l}); err != nil {
		unix.Close(wake)
		unix.Close(ep)
		return nil, err
	}
	return l, nil
}

// Add registers fd; the caller keeps owning it.
func (l *Loop) Add(fd int, events uint32, s Source) error {
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

// Mod changes the events fd is polled for; 0 un-polls it and keeps it registered.
func (l *Loop) Mod(fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(l.slots[fd].seq)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, fd, &ev))
}

// Del takes fd out. It must be called before fd is closed: a descriptor that
// another process still holds would stay in the epoll set otherwise.
func (l *Loop) Del(fd int) {
	if fd < 0 || fd >= len(l.slots) || l.slots[fd].src == nil {
		return
	}
	l.slots[fd] = slot{}
	// The only errors are EBADF and ENOENT: then it is out already.
	_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, fd, nil)
}

// Forget is Del for a descriptor that is not in the epoll set any more in
// effect (EPOLLONESHOT has fired) and that is closed right away.
func (l *Loop) Forget(fd int) { l.slots[fd] = slot{} }

// Now is the loop time of the current wake in ns; it begins with 0 at New.
func (l *Loop) Now() int64 { return l.now }

// Post queues f for the loop from any goroutine and does not wait for it.
func (l *Loop) Post(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return ErrStopped
	}
	l.queue = append(l.queue, f)
	one := [8]byte{0: 1}
	// EAGAIN means the counter is at its maximum: the loop is awake anyway.
	_, _ = unix.Write(l.wakeFD, one[:])
	return nil
}

// Do runs f on the loop and returns when it is done. The loop itself must not
// call it. A panic, which is logged here, is an error for the caller as well.
func (l *Loop) Do(f func()) error {
	done := make(chan error, 1)
	if err := l.Post(func() {
		err := ErrBug
		l.Guard(func() { f(); err = nil })
		done <- err
	}); err != nil {
		return err
	}
	return <-done
}

// Run handles events until End is called. It must be called once. Its goroutine is not locked to a thread: nothing it does depends on which one
// it is on (zygotes are forked by a thread of their own), and a locked one costs two context switches more whenever the scheduler preempts it.
func (l *Loop) Run() error {
	defer unix.Close(l.ep)
	defer unix.Close(l.wakeFD)
	defer l.obey(true) // everybody who still waits for the loop
	l.events = make([]unix.EpollEvent, maxEvents)
	for !l.ended {
		err := panics.Try(l.turn)
		if _, bug := err.(*panics.Error); bug {
			l.Failed(err)
			time.Sleep(brokenTurn)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// turn is one wake and what it brings.
func (l *Loop) turn() error {
	n, err := epollWait(l.ep, l.events, l.timeout(), l.busy)
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("epoll_wait", err)
	}
	l.now = l.clock()
	if l.busy = n > 0 || err != nil; l.busy && l.now-l.yielded >= int64(yieldEvery) {
		l.yielded = l.now
		runtime.Gosched()
	}
	for i := range n {
		l.dispatch(&l.events[i])
	}
	for t := l.timers.pop(l.now); t != nil; t = l.timers.pop(l.now) {
		l.Guard(func() { t.Owner.Expire(t) })
	}
	l.Guard(l.Idle)
	return nil
}

// End makes Run return after the current wake.
func (l *Loop) End() { l.ended = true }

// obey runs what Do and Post have queued. If it is over, nothing will be queued any more.
func (l *Loop) obey(over bool) {
	l.mu.Lock()
	queue := l.queue
	l.queue, l.over = nil, over
	l.mu.Unlock()
	for _, f := range queue {
		l.Guard(f)
	}
}

// timeout is the epoll_wait(2) argument in ms: rounded up, or a timer would
// make the loop spin through its last millisecond.
func (l *Loop) timeout() int {
	when, ok := l.timers.next()
	if !ok {
		return -1
	}
	ms := (when - l.clock() + int64(time.Millisecond) - 1) / int64(time.Millisecond)
	return int(min(max(ms, 0), 60_000))
}

func (l *Loop) dispatch(ev *unix.EpollEvent) {
	if fd := int(ev.Fd); fd < len(l.slots) {
		if s := l.slots[fd]; s.src != nil && s.seq == uint32(ev.Pad) {
			l.Guard(func() { s.src.Ready(ev.Events) })
		}
	}
}

// Guard calls f; a panic ends f alone, because nothing remote may end the broker.
func (l *Loop) Guard(f func()) {
	if err := panics.Try(func() error { f(); return nil }); err != nil {
		l.Failed(err)
	}
}

// commands is the eventfd's source.
type commands struct{ l *Loop }

func (c commands) Ready(uint32) {
	var buf [8]byte
	_, _ = unix.Read(c.l.wakeFD, buf[:])
	c.l.obey(false)
}
