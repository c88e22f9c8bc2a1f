package broker

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"casemate/listener/host"
	"casemate/listener/loop"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// corpse is a child whose end nobody waits for but the process table: a zygote
// that was let go, or a start that failed.
type corpse struct {
	b     *Broker
	pid   int
	pidfd int32 // -1 = none
	timer loop.Timer
}

// reapLater reaps pid when it has ended.
func (b *Broker) reapLater(pid int) {
	c := &corpse{b: b, pid: pid, pidfd: -1}
	c.timer.Owner = c
	if c.reap() {
		return
	}
	b.corpses[pid] = c
	if c.pidfd = b.watch(pid, c); c.pidfd < 0 {
		b.loop.After(&c.timer, pollChild)
	}
}

func (c *corpse) reap() bool {
	got, err := unix.Wait4(c.pid, nil, unix.WNOHANG|unix.WALL, nil)
	return got == c.pid || err != nil
}

func (c *corpse) Ready(uint32) { c.Expire(nil) }

func (c *corpse) Expire(*loop.Timer) {
	if !c.reap() {
		c.b.loop.After(&c.timer, pollChild)
		return
	}
	if c.pidfd >= 0 {
		c.b.loop.Del(int(c.pidfd))
		unix.Close(int(c.pidfd))
	}
	delete(c.b.corpses, c.pid)
}

// orphanDelay is the time between the two looks of an orphan sweep: longer than
// any start takes, so that a child unknown in both belongs to nobody.
const orphanDelay = 3 * time.Second

// pollChild is how often a child is looked at that has no pidfd, because there
// was no descriptor left to give it one.
const pollChild = 100 * time.Millisecond

// sweepOrphans looks for children that a zygote started and could not report any
// more because it was killed. They run their program in their sandbox, but
// nobody counts them, ends them in time or reaps them. Where casemated is process 1,
// that zygote's inits are among them, and whatever else has lost its parent there.
func (b *Broker) sweepOrphans() {
	if !b.orphans.Armed() {
		b.strange = b.strangers()
		b.loop.After(&b.orphans, orphanDelay)
	}
}

// endOrphans takes the second look.
func (b *Broker) endOrphans() {
	now := b.strangers()
	for pid := range now {
		if b.strange[pid] && b.starting == 0 {
			if nested(pid) {
				kill(pid, unix.SIGKILL)
			}
			b.reapLater(pid)
			delete(now, pid)
		}
	}
	b.strange = now
	if len(now) > 0 { // started since, perhaps by a zygote that has died since
		b.loop.After(&b.orphans, orphanDelay)
	}
}

// nested tells whether a process is in a pid namespace below this one, as every
// program and init is. What else process 1 adopts is not ours to end.
func nested(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return len(strings.Fields(host.Status(string(text))["NSpid"])) > 1
}

// strangers are this process's children that no record names.
func (b *Broker) strangers() map[int]bool {
	out := make(map[int]bool)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return out
	}
	for _, t := range tasks {
		text, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil && !b.known(pid) {
				out[pid] = true
			}
		}
	}
	return out
}

// known tells whether a child has a record.
func (b *Broker) known(pid int) bool {
	return b.sessions[int32(pid)] != nil || b.corpses[pid] != nil || b.helpers[pid]
}

// errForged ends a zygote that names a process it cannot have started.
var errForged = errors.New("the zygote named a process that is not a new child of casemated")

// forged tells whether a reply names no process to take: none is right only where
// the start failed before there was one.
func (b *Broker) forged(r zygote.Reply) bool {
	return (r.Err() == nil || r.PID != 0) && !b.takes(r.PID)
}

// takes tells whether pid is a child of this process, dead or alive, that has no
// record yet. Every pid that a zygote names is asked about: one that was taken
// over may name any, and what has a record is signalled and reaped by its pid.
func (b *Broker) takes(pid int) bool {
	if pid <= 0 || pid > math.MaxInt32 || b.known(pid) {
		return false
	}
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil) == nil
}

// reserve is how many descriptors pidfds leave for accepting: one busy service
// must not use up what its neighbours need to serve at all.
const reserve = 128

// watch opens a pidfd and adds it to the loop, or returns -1 when there is no
// descriptor for it; the child's end is then found by looking.
func (b *Broker) watch(pid int, s loop.Source) int32 {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		b.limitedNote("", "pidfd", "no pidfd for a child, polling for its end", err)
		b.readFileLimit()
		return -1
	}
	// Descriptors are numbered lowest first, so a high number means that few are left.
	if fd < b.maxFiles-reserve {
		// One-shot: a pidfd stays readable for ever once its process has ended.
		if err = b.loop.Add(fd, unix.EPOLLIN|unix.EPOLLONESHOT, s); err == nil {
			return int32(fd)
		}
	}
	unix.Close(fd)
	return -1
}

// readFileLimit notes how many descriptors the process may have.
func (b *Broker) readFileLimit() {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err == nil {
		b.maxFiles = int(min(r.Cur, 1<<30))
	}
}

// kill signals one process. A number below 1 would be a group, or everybody.
func kill(pid int, sig unix.Signal) {
	if pid > 0 {
		_ = unix.Kill(pid, sig) // an error means that it has ended
	}
}
