package observe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"casemate/sandbox/learn"
	"casemate/sandbox/learn/observe/parole"

	"golang.org/x/sys/unix"
)

// Tracer follows services. All of ptrace happens on one thread of its own, which ends
// with it; so do its waits, which see no other children of this process.
type Tracer struct {
	tid     int // of the thread
	ended   chan struct{}
	stopped atomic.Bool
	mu      sync.Mutex
	todo    []func()
	over    []*learn.Session
	news    chan struct{}

	zygotes map[int]bool  // threads of zygotes
	tasks   map[int]*task // threads of sessions
	early   map[int]bool  // stopped, of whose birth nobody has told yet
	live    map[*session]bool
	scratch syscallInfo
	mem     memory

	office   *parole.Office // nil while there is none
	opening  bool
	numbered uint64 // processes that were let go
}

// wake is the signal that interrupts the wait of the tracer's thread. Go's own handler
// for it does nothing; nobody else sends it.
const wake = unix.Signal(42)

// kick is how often the thread is interrupted until it has noticed.
const kick = 5 * time.Millisecond

// Start begins a tracer that follows nothing yet.
func Start() (*Tracer, error) {
	if err := errors.Join(interruptible(wake), unheard()); err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &Tracer{ended: make(chan struct{}), news: make(chan struct{}, 1), zygotes: map[int]bool{}, tasks: map[int]*task{}, early: map[int]bool{}, live: map[*session]bool{}}
	ready := make(chan struct{})
	go t.thread(ready)
	<-ready
	return t, nil
}

// thread runs the tracer on a thread that ends with it. The main thread of a process
// does not end so; it would hold on to what is traced.
func (t *Tracer) thread(ready chan struct{}) {
	runtime.LockOSThread() // and never unlocked
	if unix.Gettid() == unix.Getpid() {
		go t.thread(ready)
		<-ready
		runtime.UnlockOSThread()
		return
	}
	t.tid = unix.Gettid()
	close(ready)
	defer close(t.ended)
	t.loop()
	t.recallAll()
}

// Stop lets go of everything that is followed and returns the sessions that had not ended,
// once.
func (t *Tracer) Stop() []*learn.Session {
	t.stopped.Store(true)
	t.nudge(t.ended)
	if t.office != nil {
		t.office.Close()
	}
	var left []*learn.Session
	for s := range t.live {
		left = append(left, s.result())
	}
	clear(t.live)
	return left
}

// News has a value when there is something for Take.
func (t *Tracer) News() <-chan struct{} { return t.news }

// Take gives the sessions that have ended since the last time, in that order.
func (t *Tracer) Take() []*learn.Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.over
	t.over = nil
	return list
}

// finished hands a session over.
func (t *Tracer) finished(s *learn.Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = append(t.over, s)
	select {
	case t.news <- struct{}{}:
	default: // there is one
	}
}

// nudge interrupts the thread until done is closed or the thread has ended.
func (t *Tracer) nudge(done <-chan struct{}) {
	tick := time.NewTicker(kick)
	defer tick.Stop()
	for {
		_ = unix.Tgkill(unix.Getpid(), t.tid, wake) // an error: it has ended
		select {
		case <-done:
			return
		case <-t.ended:
			return
		case <-tick.C:
		}
	}
}

// do runs f on the tracer's thread.
func (t *Tracer) do(f func()) {
	done := make(chan struct{})
	t.mu.Lock()
	t.todo = append(t.todo, func() { defer close(done); f() })
	t.mu.Unlock()
	t.nudge(done)
}

// Follow seizes the zygote: what it clones from now on is a session.
func (t *Tracer) Follow(zygote int) (err error) {
	t.do(func() { err = t.seize(zygote) })
	return err
}

// Follows tells whether the zygote is followed.
func (t *Tracer) Follows(zygote int) (yes bool) {
	t.do(func() { yes = t.zygotes[zygote] })
	return yes
}

// Live is how many sessions are being followed.
func (t *Tracer) Live() (n int) {
	t.do(func() { n = len(t.live) })
	return n
}

func (t *Tracer) seize(zygote int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", zygote))
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	for _, e := range threads {
		tid, err := strconv.Atoi(e.Name())
		if err != nil || t.zygotes[tid] {
			continue
		}
		if _, err := ptrace(unix.PTRACE_SEIZE, tid, 0, zygoteOptions); err != nil {
			if errors.Is(err, unix.EPERM) {
				if by := statusField(tid, "TracerPid"); by != "0" && by != "" {
					return fmt.Errorf("trace: process %d is traced by process %s already", zygote, by)
				}
			}
			return fmt.Errorf("trace: seize process %d: %w", zygote, err)
		}
		t.zygotes[tid] = true
	}
	return nil
}

func (t *Tracer) loop() {
	for !t.stopped.Load() {
		t.mu.Lock()
		todo := t.todo
		t.todo = nil
		t.mu.Unlock()
		for _, f := range todo {
			f()
		}
		var status unix.WaitStatus
		// Without __WNOTHREAD it would take the end of what other threads have started.
		tid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.ECHILD: // nothing is followed yet, or any more
			t.rest()
		case err == nil:
			t.event(tid, status)
		}
	}
}

// rest waits for something to do, where there is nothing to wait for.
func (t *Tracer) rest() {
	pause := unix.NsecToTimespec(int64(kick))
	_ = unix.Nanosleep(&pause, nil)
}

// resume lets a stopped thread run: a session's that runs its program until its next call, unless it was let go.
func (t *Tracer) resume(tid int, sig unix.Signal) {
	request := unix.PTRACE_CONT
	if k := t.tasks[tid]; k != nil && k.active && !k.on {
		request = unix.PTRACE_SYSCALL
	}
	_, _ = ptrace(request, tid, 0, uintptr(sig)) // an error: it was killed, and its end comes next
}

// event takes one stop or end.
func (t *Tracer) event(tid int, status unix.WaitStatus) {
	k := t.tasks[tid]
	switch {
	case status.Exited(), status.Signaled():
		delete(t.zygotes, tid)
		delete(t.early, tid)
		if k != nil {
			t.gone(k, status)
		}
		return
	case !status.Stopped():
		return
	case k == nil && !t.zygotes[tid]:
		t.early[tid] = true // it stays stopped until its parent's event says whose it is
		return
	}
	what, sig := int(uint32(status)>>16), status.StopSignal()
	if k != nil && k.on && t.answers(k, what, sig) {
		sig = 0
	}
	switch {
	case k != nil && k.new:
		k.new = false
		t.adopt(tid)
		return
	case what == 0 && sig == sysgood:
		if k != nil {
			t.call(k)
		}
		sig = 0
	case what == 0: // a signal on its way
	case what == unix.PTRACE_EVENT_STOP && sig != unix.SIGTRAP:
		_, _ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0) // stopped like all of its process, until SIGCONT
		return
	case what == unix.PTRACE_EVENT_EXEC:
		t.executed(k)
		sig = 0
	case what == unix.PTRACE_EVENT_CLONE || what == unix.PTRACE_EVENT_FORK || what == unix.PTRACE_EVENT_VFORK:
		if child, err := eventMessage(tid); err == nil && child > 0 {
			t.born(tid, child, what)
		}
		sig = 0
	default:
		sig = 0
	}
	t.resume(tid, sig)
}

// born takes a new thread or process into what is followed.
func (t *Tracer) born(parent, child, how int) {
	if p := t.tasks[parent]; p != nil {
		k := &task{tid: child, active: p.active, proc: p.proc, mem: &t.mem}
		if group := groupOf(child); how != unix.PTRACE_EVENT_CLONE || group != p.proc.pid {
			k.proc = p.proc.fork(child)
		}
		k.proc.threads++
		t.tasks[child] = k
	} else {
		s := newSession(child)
		t.live[s] = true
		s.first.threads = 1
		t.tasks[child] = &task{tid: child, proc: s.first, mem: &t.mem}
	}
	if t.early[child] {
		delete(t.early, child)
		t.adopt(child)
		return
	}
	// Its first stop comes; there it is adopted.
	t.tasks[child].new = true
}

// adopt lets a new thread run, with the events of a session's.
func (t *Tracer) adopt(tid int) {
	_, _ = ptrace(unix.PTRACE_SETOPTIONS, tid, 0, tracedOptions)
	t.resume(tid, 0)
}
