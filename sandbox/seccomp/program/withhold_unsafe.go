package program

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Withheld are the calls that casemated takes from itself and so from all that
// it starts. They change the kernel, the machine or its clock, go past the tree of
// directories, or watch everything: each needs a capability that no service can have,
// or is gone from Linux. What a profile may grant cannot be among them, since a filter
// is inherited: that is why this is a list of what is denied; withheldHere are those of one architecture.
var Withheld = append([]int{
	unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_BPF,
	unix.SYS_PERF_EVENT_OPEN, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT,
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_NFSSERVCTL,
}, withheldHere...)

// Withholding is the program. It reads no argument, so the kernel remembers its
// answers and evaluates it for no call that it lets through (Linux 5.11).
func Withholding() []unix.SockFilter {
	const x32 = 1 << 30 // __X32_SYSCALL_BIT
	prog := append(slices.Clone(front), op(opJGE, 0, 1, x32), op(opRet, 0, 0, retErrno|uint32(unix.ENOSYS)))
	for _, nr := range Withheld {
		prog = append(prog, op(opJEQ, 0, 1, uint32(nr)), op(opRet, 0, 0, retErrno|uint32(unix.EPERM)))
	}
	return append(prog, op(opRet, 0, 0, unix.SECCOMP_RET_ALLOW))
}

// Withhold takes the withheld calls, calls of other architectures, and what an
// executed program could gain (no_new_privs) from every thread of this process and
// from all that it will start, for good.
func Withhold() error {
	prog := Withholding()
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	runtime.LockOSThread() // the other threads take both from this one
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("withhold: no_new_privs", err)
	}
	stray, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	switch {
	case errno != 0:
		return os.NewSyscallError("withhold: seccomp", errno)
	case stray != 0:
		return fmt.Errorf("withhold: seccomp: thread %d has a filter of its own", stray)
	}
	return nil
}
