package listener

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// disconnect is connect(2) with AF_UNSPEC, which x/sys/unix has no Sockaddr for.
// The kernel reads the family only; it asks for sizeof(sa_family_t) at least.
func disconnect(fd int) error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if errno != 0 {
		return errno
	}
	return nil
}
