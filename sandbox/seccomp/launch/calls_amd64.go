package launch

import (
	"casemate/sandbox/seccomp/filter"

	"golang.org/x/sys/unix"
)

// hangUp is the call by which a launch looks whether the broker has hung up (call_amd64.h).
var hangUp = call(unix.SYS_POLL)

// vdso are the calls that put the kernel's code at an address of their own: ARCH_MAP_VDSO_*.
var vdso = []filter.Rule{call(unix.SYS_ARCH_PRCTL, masked(0, ^uint32(0xfff), 0x2000))}
