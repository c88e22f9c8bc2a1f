package seccomp

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// withheld are the calls that casemated takes from itself and so from all that
// it starts. They change the kernel, the machine or its clock, go past the tree of
// directories, or watch everything: each needs a capability that no service can have,
// or is gone from Linux. What a profile may grant cannot be among them, since a filter
// is inherited: that is why this is a list of what is denied.
var withheld = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range []string{"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
		"bpf", "perf_event_open", "open_by_handle_at", "lookup_dcookie", "reboot", "swapon", "swapoff", "acct",
		"settimeofday", "clock_settime", "iopl", "ioperm", "uselib", "nfsservctl", "_sysctl"} {
		m[name] = true
	}
	return m
}()

// Withheld gives the calls that no profile can have, sorted.
func Withheld() []string { return slices.Sorted(maps.Keys(withheld)) }

// withholding is the program. It reads no argument, so the kernel remembers its
// answers and evaluates it for no call that it lets through (Linux 5.11).
func withholding() []instruction {
	prog := stub(nil, nil)[:4]
	prog = append(prog, instruction{opJGE, 0, 1, x32}, instruction{opRet, 0, 0, retErrno | errnoENOSYS})
	for _, name := range Withheld() {
		prog = append(prog, instruction{opJEQ, 0, 1, uint32(byName[name])}, instruction{opRet, 0, 0, retErrno | errnoEPERM})
	}
	return append(prog, instruction{opRet, 0, 0, retAllow})
}

// Withhold takes the withheld calls, calls of other architectures, and what an
// executed program could gain (no_new_privs) from every thread of this process and
// from all that it will start, for good.
func Withhold() error {
	prog := encode(withholding())
	fprog := unix.SockFprog{Len: uint16(len(prog) / instructionSize), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
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
