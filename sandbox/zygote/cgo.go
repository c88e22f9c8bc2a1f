//go:build cgo

package zygote

// #cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter -Werror
// #define _GNU_SOURCE
// #include <sched.h>
// #include <signal.h>
// #include "zygote.h"
import "C"

import (
	"os"
	"syscall"
)

// forkExec is casemate_spawn.
func forkExec(from []int32) (pid int, err error) {
	if r := int(C.casemate_spawn((*C.int32_t)(&from[0]), C.uint(len(from)))); r < 0 {
		return 0, os.NewSyscallError("clone", syscall.Errno(-r))
	} else {
		return r, nil
	}
}

// QuietChildren puts SIGCHLD back to its default, which the kernel does not even
// deliver. The Go runtime handles it for programs that ask; a process that
// learns of ended children by pidfd or wait(2) would only be woken once more
// for each.
func QuietChildren() { C.casemate_quiet_children() }
