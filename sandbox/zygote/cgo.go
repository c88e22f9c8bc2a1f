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
	if r := int(C.casemate_spawn((*C.int32_t)(&from[0]), C.uint(len(from)))); r < 0 {
		return 0, os.NewSyscallError("clone", syscall.Errno(-r))
	} else {
		return r, nil
	}
}

var mapping sync.Mutex // of casemate_userns

// Mapped gives a user namespace for an id-mapped mount (mount_setattr(2)) that shows files of id's as
// those of uid and gid, and has them written as id's. It takes a tenth of a millisecond; the caller closes it.
func Mapped(id, uid, gid uint32) (fd int, err error) {
	mapping.Lock()
	defer mapping.Unlock()
	pid := int(C.casemate_userns())
	if pid < 0 {
		return -1, os.NewSyscallError("clone", syscall.Errno(-pid))
	}
	defer func() { unix.Kill(pid, unix.SIGKILL); reap(pid) }()
	if err := mapIDs(pid, id, uid, gid, 1); err != nil {
		return -1, err
	}
	if fd, err = unix.Open(fmt.Sprintf("/proc/%d/ns/user", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return -1, fmt.Errorf("open user namespace: %w", err)
	}
	return fd, nil
}

// QuietChildren puts SIGCHLD back to its default, which the kernel does not even
// deliver. The Go runtime handles it for programs that ask; a process that
// learns of ended children by pidfd or wait(2) would only be woken once more
// for each.
func QuietChildren() { C.casemate_quiet_children() }
