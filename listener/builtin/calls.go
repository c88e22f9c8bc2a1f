package builtin

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// give sends some of b (up to chunk bytes, or more) without waiting. The calls of this file never block, and the
// runtime is not told of them: where it is, its monitor thread takes the one processor away from each that lasts, and samples every 20 us.
func give(fd int, b []byte, flags int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags|unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// take reads what is there, up to len(b) bytes; 0 is the client's end.
func take(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// admit takes a connection off a listener that does not wait.
func admit(fd int, from *unix.RawSockaddrAny) (int, error) {
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// finish tells the client that no more will come.
func finish(fd int) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0); errno != 0 {
		return errno
	}
	return nil
}

// drop closes a socket.
func drop(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// addressOf is an address of IP as the kernel has written it, with the number of its zone; the zero one is of no other family.
func addressOf(sa unsafe.Pointer) (addr netip.AddrPort, zone uint32) {
	switch sa6 := (*unix.RawSockaddrInet6)(sa); sa6.Family {
	case unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(sa)
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), inOrder(&four.Port)), 0
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa6.Addr), inOrder(&sa6.Port)), sa6.Scope_id
	}
	return addr, 0
}

// inOrder is a port in network order.
func inOrder(port *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(port))[:])
}
