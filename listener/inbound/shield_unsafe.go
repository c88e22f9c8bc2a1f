package inbound

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Unshield takes a filter off: off a listener, or off a connection that has it from its listener, where each segment would run it. A
// socket without one is unix.ENOENT.
func Unshield(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) }

// Filtered tells whether a socket has exactly this filter of classic BPF, in struct sock_filter, or none where there is no program
// (SO_GET_FILTER, Linux 3.8).
func Filtered(fd int, program []byte) bool {
	const each = unix.SizeofSockFilter
	has := make([]byte, len(program)+each)[:len(program)]
	n := uint32(len(program) / each) // of instructions, where the kernel asks for a length; without one it tells theirs
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER, uintptr(unsafe.Pointer(unsafe.SliceData(has))), uintptr(unsafe.Pointer(&n)), 0)
	return errno == 0 && int(n) == len(program)/each && bytes.Equal(has, program)
}

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
