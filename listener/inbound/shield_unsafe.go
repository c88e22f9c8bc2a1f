package inbound

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Unshield takes a filter off: off a listener, or off a connection that has it from its listener, where each segment would run it. A
// socket without one is unix.ENOENT.
func Unshield(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }

// Drops is how many packets the kernel has dropped at a socket so far, by its filter or because a queue was full
// (SK_MEMINFO_DROPS of SO_MEMINFO, Linux 4.12). It wraps.
func Drops(fd int) (uint32, error) {
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return info[8], nil
}
