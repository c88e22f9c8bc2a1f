//go:build cgo

package zygote

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// fdPlan is FD_PLAN of zygote.h, the first descriptor that is not /dev/null, and maxSlots how many
// follow: the plan, the control socket, a namespace, a cgroup, a ruleset, a program.
const fdPlan, maxSlots = 3, 6

// readyTimeout bounds entering a sandbox. It takes about a millisecond.
const readyTimeout = 10 * time.Second

// buryTimeout bounds the end of a zygote that was killed, which takes no time
// unless it hangs in the kernel, as on a file system that does not answer.
const buryTimeout = 2 * time.Second

// spawner is the one OS thread that forks zygotes. PR_SET_PDEATHSIG fires when
// the parent thread ends (prctl(2)), and CLONE_PARENT makes every service a
// child of this thread, so it must live as long as the process.
var spawner struct {
	once sync.Once
	jobs chan func()
	// slots are low numbers of this process's, of /dev/null but while a zygote is started: what
	// it gets lies there, so that its table need not be copied as far as the highest.
	slots []int32
}

// onSpawner runs f there. A panic is f's error and does not end the thread.
func onSpawner(f func() error) error {
	spawner.once.Do(func() {
		spawner.jobs = make(chan func())
		panics.Go(func() error {
			runtime.LockOSThread()
			for job := range spawner.jobs {
				job()
			}
			return nil
		}, func(error) {})
	})
	done := make(chan error)
	spawner.jobs <- func() { done <- panics.Try(f) }
	return <-done
}

// Spawn starts a zygote and waits until it has entered its sandbox. An error
// names the step that failed; then nothing is left running but what it says so of.
func Spawn(p *Plan) (*Zygote, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	z := &Zygote{sock: pair[0], listener: -1, mem: -1}
	err = z.fork(p, pair[1])
	unix.Close(pair[1])
	if err != nil {
		z.Close()
		return nil, fmt.Errorf("start zygote: %w", err)
	}
	if err := z.awaitReady(p, readyTimeout); err != nil {
		z.Close()
		return nil, fmt.Errorf("enter sandbox: %w", errors.Join(err, bury(z.pid, buryTimeout)))
	}
	return z, nil
}

// fork runs /proc/self/exe under the zygote's name with marks and plan on fd 3, the
// control socket on fd 4 and the plan's descriptors from 5 on.
func (z *Zygote) fork(p *Plan, ctl int) error {
	moved := *p
	files := []int{0, ctl} // and the plan itself in place of 0
	for _, fd := range []*int32{&moved.Mnt, &moved.CgroupProcs, &moved.Landlock, &moved.Exec} {
		if *fd >= 0 {
			files = append(files, int(*fd))
			*fd = int32(fdPlan + len(files) - 1)
		}
	}
	mem, err := moved.memfd()
	if err != nil {
		return err
	}
	z.mem, files[0] = mem, mem
	return onSpawner(func() (err error) {
		z.pid, err = born(files)
		return err
	})
}

// born gives a new zygote /dev/null as 0 to 2, and files from fdPlan on.
func born(files []int) (pid int, err error) {
	for len(spawner.slots) <= maxSlots {
		fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, &os.PathError{Op: "open", Path: "/dev/null", Err: err}
		}
		slot, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, fdPlan+maxSlots)
		unix.Close(fd)
		if err != nil {
			return 0, os.NewSyscallError("fcntl", err)
		}
		spawner.slots = append(spawner.slots, int32(slot))
	}
	null, slots := spawner.slots[0], spawner.slots[1:len(files)+1]
	for i, slot := range slots {
		defer func() { _ = unix.Dup3(int(null), int(slot), unix.O_CLOEXEC) }() // onto a number that is ours: it cannot fail
		if err := unix.Dup3(files[i], int(slot), unix.O_CLOEXEC); err != nil {
			return 0, os.NewSyscallError("dup3", err)
		}
	}
	// Whoever opens what no child may hold, be it until its exec, holds the other side of this lock.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	return forkExec(append([]int32{null, null, null}, slots...))
}

// memfd holds the marks and the encoded plan, which the zygote copies: whom it is handed to gets this file, for the marks.
func (p *Plan) memfd() (int, error) {
	b, err := p.encode()
	if err != nil {
		return -1, fmt.Errorf("encode plan: %w", err)
	}
	fd, err := unix.MemfdCreate("casemate-plan", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if _, err = unix.Pwrite(fd, b, MarksSize); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("write plan: %w", err)
	}
	return fd, nil
}

// writeMaps gives the zygote's user namespace its ids, one to one, and lets it go on.
func (z *Zygote) writeMaps(p *Plan) error {
	if err := mapIDs(z.pid, p.UIDBase, p.UIDBase, p.UIDBase, p.UIDCount); err != nil {
		return err
	}
	return os.NewSyscallError("map user namespace", unix.Sendto(z.sock, []byte{1}, unix.MSG_NOSIGNAL, nil))
}

// mapIDs writes the maps of a process's user namespace: inside ids count from base, outside from uid and gid.
func mapIDs(pid int, base, uid, gid, count uint32) error {
	for name, to := range map[string]uint32{"uid_map": uid, "gid_map": gid} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, name), fmt.Appendf(nil, "%d %d %d\n", base, to, count), 0); err != nil {
			return fmt.Errorf("map user namespace: %w", err)
		}
	}
	return nil
}

// bury kills a child and reaps it; one that does not end in time is reaped when it does.
func bury(pid int, timeout time.Duration) error {
	unix.Kill(pid, unix.SIGKILL)
	err := panics.Within(timeout, func() error { reap(pid); return nil })
	return os.NewSyscallError(fmt.Sprintf("end of process %d, which was killed", pid), err)
}

// reap takes one ended child; an interrupted wait is taken up again.
func reap(pid int) {
	for err := error(unix.EINTR); errors.Is(err, unix.EINTR); {
		_, err = unix.Wait4(pid, nil, unix.WALL, nil)
	}
}
