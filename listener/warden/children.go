package warden

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"casemate/listener/host"
	"casemate/listener/loop"

	"golang.org/x/sys/unix"
)

// Exit is the end of a program, and what it has used.
type Exit struct {
	PID    int
	Status syscall.WaitStatus
	Usage  unix.Rusage
	Forged bool // it was no child of casemated: nothing else is true
}

// child is one that has a record here. It is signalled by its pid, which is nobody
// else's as long as it is not reaped.
type child struct {
	w     *Warden
	pid   int
	pidfd int // -1 = none
	timer loop.Timer
	ended func(Exit) // nil: nobody waits for it but the process table
	text  []byte     // what the next broker has to know of it
	by    *Wire      // to the broker that hears of its end; with that gone it is not reaped before the next one does
}

// left tells whether its end is the next broker's to hear (TellAdopt).
func (c *child) left() bool { return c.by != nil && c.by.fd < 0 }

// pollChild is how often a child is looked at that has no pidfd, because there
// was no descriptor left to give it one.
const pollChild = 100 * time.Millisecond

// Take watches over pid if that is a child of this process, dead or alive, that has no
// record yet, and calls ended when it has ended and is reaped. Every pid that a zygote
// names is asked about: one that was taken over may name any.
func (w *Warden) Take(pid int, text []byte, ended func(Exit)) bool {
	if !w.stray(pid) {
		return false
	}
	w.watch(&child{w: w, pid: pid, ended: ended, text: text})
	return true
}

// stray tells whether pid is a child that has no record.
func (w *Warden) stray(pid int) bool {
	return pid > 0 && pid <= math.MaxInt32 && w.known[pid] == nil &&
		unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil) == nil
}

// hold gives a zygote or a helper a record: it is not reaped before it is buried.
func (w *Warden) hold(pid int) { w.known[pid] = &child{w: w, pid: pid, pidfd: -1} }

// Bury reaps a zygote or a helper that is let go when it has ended.
func (w *Warden) Bury(pid int) {
	if c := w.known[pid]; c == nil || c.timer.Owner == nil { // else it is watched
		w.bury(pid, nil)
	}
}

func (w *Warden) bury(pid int, ended func(Exit)) {
	c := &child{w: w, pid: pid, pidfd: -1, ended: ended}
	// wait4(2) takes 32 bits of pid, and some of these are for any child.
	if delete(w.known, pid); pid > 0 && pid <= math.MaxInt32 && !c.reap() {
		w.watch(c)
	}
}

// Kill signals a child that has a record, and no other process.
func (w *Warden) Kill(pid int, sig unix.Signal) bool {
	return w.known[pid] != nil && unix.Kill(pid, sig) == nil
}

// Reserve is how many descriptors pidfds leave for accepting: one busy service
// must not use up what its neighbours need to serve at all.
const Reserve = 128

// FileLimit is how many descriptors the process may have.
func FileLimit() int {
	var r unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &r) // of this process, it does not fail
	return int(min(r.Cur, 1<<30))
}

// watch waits for c's end by a pidfd or, where there is no descriptor for it, by looking.
func (w *Warden) watch(c *child) {
	w.known[c.pid], c.timer.Owner = c, c
	fd, err := unix.PidfdOpen(c.pid, 0)
	if err != nil {
		w.conf.Warn("pidfd", "no pidfd for a child, polling for its end", err)
	} else if fd < FileLimit()-Reserve { // numbered lowest first, so a high number means that few are left
		// One-shot: a pidfd stays readable for ever once its process has ended.
		err = w.loop.Add(fd, unix.EPOLLIN|unix.EPOLLONESHOT, c)
	} else {
		err = unix.EMFILE
	}
	if c.pidfd = fd; err != nil {
		unix.Close(fd)
		c.pidfd = -1
		w.loop.After(&c.timer, pollChild)
	}
}

func (c *child) Ready(uint32) {
	if !c.left() && !c.reap() && c.pidfd >= 0 { // woken for nothing: ask again
		_ = c.w.loop.Mod(c.pidfd, unix.EPOLLIN|unix.EPOLLONESHOT)
	}
}

func (c *child) Expire(*loop.Timer) {
	if c.left() || !c.reap() {
		c.w.loop.After(&c.timer, pollChild)
	}
}

// reap collects the child's end and reports whether it has ended.
func (c *child) reap() bool {
	e := Exit{PID: c.pid}
	var status unix.WaitStatus
	pid, err := unix.Wait4(c.pid, &status, unix.WNOHANG|unix.WALL, &e.Usage)
	if pid == 0 && err == nil {
		return false
	}
	if c.pidfd >= 0 {
		c.w.loop.Forget(c.pidfd)
		unix.Close(c.pidfd)
	}
	if delete(c.w.known, c.pid); c.ended != nil {
		e.Status = syscall.WaitStatus(status)
		c.ended(e)
	}
	return true
}

// orphanDelay is the time between the two looks of an orphan sweep: longer than
// any start takes, so that a child unknown in both belongs to nobody.
const orphanDelay = 3 * time.Second

// Sweep looks for children that a zygote started and could not report any
// more because it was killed. They run their program in their sandbox, but
// nobody counts them, ends them in time or reaps them. Where casemated is process 1,
// that zygote's inits are among them, and whatever else has lost its parent there.
func (w *Warden) Sweep() {
	if !w.orphans.Armed() {
		w.strange = w.strangers()
		w.loop.After(&w.orphans, orphanDelay)
	}
}

// Look ends those that it does not know and the last look did not.
func (w *Warden) Look() {
	now := w.strangers()
	for pid := range now {
		if w.strange[pid] && w.starting == 0 {
			if w.Bury(pid); nested(pid) {
				w.Kill(pid, unix.SIGKILL)
			}
			delete(now, pid)
		}
	}
	w.strange = now
	if len(now) > 0 { // started since, perhaps by a zygote that has died since
		w.loop.After(&w.orphans, orphanDelay)
	}
}

// nested tells whether a process is in a pid namespace below this one, as every
// program and init is. What else process 1 adopts is not ours to end.
func nested(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return len(strings.Fields(host.Status(string(text))["NSpid"])) > 1
}

// strangers are this process's children that have no record.
func (w *Warden) strangers() map[int]bool {
	out := make(map[int]bool)
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		text, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/children") // none of a thread that has ended
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil && w.known[pid] == nil {
				out[pid] = true
			}
		}
	}
	return out
}

// ErrForged ends a zygote that names a process it cannot have started.
var ErrForged = errors.New("the zygote named a process that is not a new child of casemated")

// End kills and reaps a child without a record.
func (w *Warden) End(pid int) {
	if w.Take(pid, nil, nil) {
		w.Kill(pid, unix.SIGKILL)
	}
}
