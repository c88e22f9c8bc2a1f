package program

import "golang.org/x/sys/unix"

var withheldHere = []int{unix.SYS_CREATE_MODULE, unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_USELIB, unix.SYS__SYSCTL}
