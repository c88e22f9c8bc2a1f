package listener

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// option is one socket option, as setsockopt(2) names it.
type option struct{ level, name int }

// options are those that a program may leave on a socket it was handed: what
// the shipped groups of system calls allow, and what a profile with more could.
// Where one changes another, it stands before it.
var options = []option{
	{unix.SOL_SOCKET, unix.SO_RCVLOWAT}, {unix.SOL_TCP, unix.TCP_WINDOW_CLAMP},
	{unix.SOL_SOCKET, unix.SO_SNDBUF}, {unix.SOL_SOCKET, unix.SO_RCVBUF}, {unix.SOL_SOCKET, unix.SO_BUF_LOCK},
	{unix.SOL_SOCKET, unix.SO_LINGER}, {unix.SOL_SOCKET, unix.SO_RCVTIMEO}, {unix.SOL_SOCKET, unix.SO_SNDTIMEO},
	{unix.SOL_SOCKET, unix.SO_REUSEADDR}, {unix.SOL_SOCKET, unix.SO_REUSEPORT}, {unix.SOL_SOCKET, unix.SO_DONTROUTE},
	{unix.SOL_SOCKET, unix.SO_BROADCAST}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.SOL_SOCKET, unix.SO_OOBINLINE},
	{unix.SOL_SOCKET, unix.SO_NO_CHECK}, {unix.SOL_IP, unix.IP_TOS}, {unix.SOL_SOCKET, unix.SO_PRIORITY}, {unix.SOL_SOCKET, unix.SO_PASSCRED},
	{unix.SOL_SOCKET, unix.SO_PASSSEC}, {unix.SOL_SOCKET, unix.SO_PASSPIDFD}, {unix.SOL_SOCKET, soPassRights},
	{unix.SOL_SOCKET, unix.SO_TIMESTAMP}, {unix.SOL_SOCKET, unix.SO_TIMESTAMPNS}, {unix.SOL_SOCKET, unix.SO_TIMESTAMPING},
	{unix.SOL_SOCKET, unix.SO_MARK}, {unix.SOL_SOCKET, unix.SO_RCVMARK}, {unix.SOL_SOCKET, unix.SO_RXQ_OVFL},
	{unix.SOL_SOCKET, unix.SO_PEEK_OFF}, {unix.SOL_SOCKET, unix.SO_BUSY_POLL}, {unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE},
	{unix.SOL_SOCKET, unix.SO_ZEROCOPY}, {unix.SOL_SOCKET, unix.SO_TXTIME}, {unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX},
	{unix.SOL_SOCKET, unix.SO_LOCK_FILTER},

	{unix.SOL_TCP, unix.TCP_NODELAY}, {unix.SOL_TCP, unix.TCP_CORK}, {unix.SOL_TCP, unix.TCP_KEEPIDLE},
	{unix.SOL_TCP, unix.TCP_KEEPINTVL}, {unix.SOL_TCP, unix.TCP_KEEPCNT}, {unix.SOL_TCP, unix.TCP_SYNCNT},
	{unix.SOL_TCP, unix.TCP_LINGER2}, {unix.SOL_TCP, unix.TCP_DEFER_ACCEPT}, {unix.SOL_TCP, unix.TCP_QUICKACK},
	{unix.SOL_TCP, unix.TCP_USER_TIMEOUT}, {unix.SOL_TCP, unix.TCP_FASTOPEN}, {unix.SOL_TCP, unix.TCP_NOTSENT_LOWAT},
	{unix.SOL_TCP, unix.TCP_CONGESTION}, {unix.SOL_TCP, unix.TCP_SAVE_SYN},

	{unix.SOL_UDP, unix.UDP_ENCAP}, {unix.SOL_UDP, unix.UDP_SEGMENT}, {unix.SOL_UDP, unix.UDP_GRO},

	{unix.SOL_IP, unix.IP_TTL}, {unix.SOL_IP, unix.IP_MINTTL}, {unix.SOL_IP, unix.IP_PKTINFO},
	{unix.SOL_IP, unix.IP_MTU_DISCOVER}, {unix.SOL_IP, unix.IP_RECVERR}, {unix.SOL_IP, unix.IP_RECVTTL}, {unix.SOL_IP, unix.IP_RECVTOS},
	{unix.SOL_IP, unix.IP_RECVORIGDSTADDR}, {unix.SOL_IP, unix.IP_FREEBIND}, {unix.SOL_IP, unix.IP_TRANSPARENT},
	{unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS}, {unix.SOL_IPV6, unix.IPV6_MINHOPCOUNT}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO},
	{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER}, {unix.SOL_IPV6, unix.IPV6_RECVERR}, {unix.SOL_IPV6, unix.IPV6_TCLASS},
	{unix.SOL_IPV6, unix.IPV6_RECVTCLASS}, {unix.SOL_IPV6, unix.IPV6_RECVHOPLIMIT}, {unix.SOL_IPV6, unix.IPV6_TRANSPARENT},
}

// soPassRights is SO_PASSRIGHTS of asm-generic/socket.h (Linux 6.16).
const soPassRights = 83

// getOption returns the bytes of an option, or "" where the socket has none.
func getOption(fd int, o option) string {
	var buf [16]byte
	size := uint32(len(buf))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.name),
		uintptr(unsafe.Pointer(&buf)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return ""
	}
	return string(buf[:min(size, uint32(len(buf)))])
}

// buffer tells whether o is the size of a buffer, which the kernel doubles.
func (o option) buffer() bool {
	return o.level == unix.SOL_SOCKET && (o.name == unix.SO_SNDBUF || o.name == unix.SO_RCVBUF)
}

// reads is what the option reads as when it has been set to n.
func (o option) reads(n uint32) string {
	if o.buffer() {
		n *= 2
	}
	return string(binary.NativeEndian.AppendUint32(nil, n))
}

// put makes the option read as value. Whether that worked is what it reads as, not what the
// call says.
func (o option) put(fd int, value string) error {
	if getOption(fd, o) == value {
		return nil
	}
	given := value
	if o.buffer() && len(value) == 4 {
		given = string(binary.NativeEndian.AppendUint32(nil, binary.NativeEndian.Uint32([]byte(value))/2))
	}
	err := unix.SetsockoptString(fd, o.level, o.name, given)
	switch got := getOption(fd, o); {
	case got == value:
		return nil
	case err != nil:
		return err
	case o.buffer():
		return errors.New("it is more than this host allows (net.core.wmem_max, net.core.rmem_max)")
	}
	return errors.New("the kernel does not take it")
}

// Disconnect is connect(2) with AF_UNSPEC, which x/sys/unix has no Sockaddr for.
// The kernel reads the family only; it asks for sizeof(sa_family_t) at least.
func Disconnect(fd int) error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if errno != 0 {
		return errno
	}
	return nil
}
