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

// The C side's own numbers, for the test that holds both sides equal.
var cSizes = struct{ plan, gate, requestHead, reply, marks, brokerCaps, initFlags, fdCount, fdPlan uint64 }{
	C.sizeof_struct_plan, C.GATE, C.REQUEST_HEAD, C.sizeof_struct_reply, C.MARKS_SIZE, C.BROKER_CAPS, C.INIT_FLAGS, C.FD_COUNT, C.FD_PLAN,
}

var cSteps = int(C.STEP_NICE) + 1

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
