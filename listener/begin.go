package listener

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Begin begins a tcp connection and returns its socket, which does not wait: the
// connection comes to be, or fails, in whoever gets it.
func Begin(to netip.AddrPort) (int, error) {
	family, sa := unix.AF_INET, withZone(to, 0)
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
