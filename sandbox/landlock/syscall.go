package landlock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls are made here and not by go-landlock's landlock/syscall: importing
// that package also links libcap's psx, C code that makes every thread of a
// process perform a system call. The privileged binary must have no way to
// confine itself by mistake. Structures and numbers are those of
// include/uapi/linux/landlock.h.

// rulePort is LANDLOCK_RULE_NET_PORT, which x/sys lacks.
const rulePort = 2

// portAttr is struct landlock_net_port_attr.
type portAttr struct {
	access uint64
	port   uint64
}

// create makes a ruleset. The kernel makes the descriptor close-on-exec. A
// kernel older than the structure accepts it as long as the tail is zero.
func create(attr *unix.LandlockRulesetAttr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func addRule[T unix.LandlockPathBeneathAttr | portAttr](ruleset int, kind uintptr, attr *T) error {
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), kind, uintptr(unsafe.Pointer(attr)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
