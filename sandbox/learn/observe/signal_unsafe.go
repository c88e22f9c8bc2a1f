package observe

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sigaction is the kernel's struct of rt_sigaction(2).
type sigaction struct {
	handler, flags, restorer, mask uint64
}

const saNocldstop, saRestart = 0x1, 0x10000000

// interruptible makes a signal end a call that waits, which Go's handler would start again.
func interruptible(sig unix.Signal) error {
	return change(sig, func(a *sigaction) { a.flags &^= saRestart })
}

// unheard keeps the kernel from sending SIGCHLD for every stop of what is traced: the
// tracer waits for it, and Go's handler would run each time for nothing.
func unheard() error {
	return change(unix.SIGCHLD, func(a *sigaction) { a.flags |= saNocldstop })
}

// change changes the flags of a signal's handler, which stays Go's.
func change(sig unix.Signal, how func(*sigaction)) error {
	var a sigaction
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&a)), 8, 0, 0); e != 0 {
		return e
	}
	how(&a)
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&a)), 0, 8, 0, 0); e != 0 {
		return e
	}
	return nil
}
