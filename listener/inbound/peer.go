package inbound

import (
	"fmt"
	"net/netip"
	"os"

	"casemate/listener"

	"golang.org/x/sys/unix"
)

// Local returns the local address and port of an IP socket, unmapped and
// without zone; the zero AddrPort for a unix socket.
func Local(fd int) (netip.AddrPort, error) {
	addr, err := listener.LocalAddr(fd)
	return netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port()), os.NewSyscallError("getsockname", err)
}

// Credentials is SO_PEERCRED of a connected unix socket.
func Credentials(fd int) (listener.Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return listener.Peer{}, fmt.Errorf("getsockopt SO_PEERCRED: %w", err)
	}
	return listener.Peer{Unix: true, PID: uint32(c.Pid), UID: c.Uid, GID: c.Gid}, nil
}
