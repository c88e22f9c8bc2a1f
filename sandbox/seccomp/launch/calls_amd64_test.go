package launch

import "golang.org/x/sys/unix"

var onceHere = []onceCase{
	{"the vdso's features", call(unix.SYS_ARCH_PRCTL, eq(0, 0x3001)), true},
	{"arch_prctl", call(unix.SYS_ARCH_PRCTL), false},
	{"ARCH_MAP_VDSO_64", call(unix.SYS_ARCH_PRCTL, eq(0, 0x2003)), false},
}
