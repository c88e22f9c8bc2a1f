//go:build cgo

package zygote

// #cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter -Werror
// #define _GNU_SOURCE
// #include <sched.h>
// #include <signal.h>
// #include "zygote.h"
import "C"

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// forkExec is casemate_spawn.
func forkExec(from []int32) (pid int, err error) {
	if pid = int(C.casemate_spawn((*C.int32_t)(&from[0]), C.uint(len(from)))); pid < 0 {
		return 0, os.NewSyscallError("clone", syscall.Errno(-pid))
	}
	return pid, nil
}

// resting is held while there is a process of casemate_rests, of each kind.
var resting [2]sync.Mutex

// rest has f do something with a process that does nothing, in a user namespace of its own, or with
// copies of all descriptors: without an error, that has ended. With one, f was not called or has failed.
func rest(user int, f func(pid int) error) error {
	resting[user].Lock()
	defer resting[user].Unlock()
	syscall.ForkLock.Lock() // as in born
	pid := int(C.casemate_rests(C.int(user)))
	syscall.ForkLock.Unlock()
	if pid < 0 {
		return os.NewSyscallError("clone", syscall.Errno(-pid))
	}
	defer func() { unix.Kill(pid, unix.SIGKILL); reap(pid) }()
	return f(pid)
}

// Mapped gives a user namespace for an id-mapped mount (mount_setattr(2)) that shows files of id's as
// those of uid and gid, and has them written as id's. It takes a tenth of a millisecond; the caller closes it.
func Mapped(id, uid, gid uint32) (fd int, err error) {
	fd = -1
	err = rest(1, func(pid int) error {
		if err := mapIDs(pid, id, uid, gid, 1); err != nil {
			return err
		}
		fd, err = unix.Open(fmt.Sprintf("/proc/%d/ns/user", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return os.NewSyscallError("open user namespace", err)
	})
	return fd, err
}

// Undertake closes descriptors so that the last one is closed by a process that exits. With an error all
// are still open.
func Undertake(fds []int) error {
	return rest(0, func(int) error {
		for _, fd := range fds {
			unix.Close(fd) // that process has it
		}
		return nil
	})
}

// QuietChildren puts SIGCHLD back to its default, which the kernel does not even
// deliver. The Go runtime handles it for programs that ask; a process that
// learns of ended children by pidfd or wait(2) would only be woken once more
// for each.
func QuietChildren() { C.casemate_quiet_children() }
