package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ConnectTime is how long the target may take to answer: three times a SYN (1, 2, 4 s)
// and what its answer takes.
const ConnectTime = 10 * time.Second

// Dial connects to the unix socket at path.
func Dial(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	for until := time.Now().Add(ConnectTime); ; time.Sleep(10 * time.Millisecond) {
		// EAGAIN is a full backlog, and nothing tells when it is not full any more.
		if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EAGAIN) || time.Now().After(until) {
			unix.Close(fd)
			return -1, err
		}
	}
}

// ErrLeft is Await's error when the client has gone before the target has answered.
var ErrLeft = errors.New("the client has gone")

// Await waits until a connection that was begun is there, for no longer than patience.
func Await(target, client int, patience time.Duration) error {
	until := time.Now().Add(patience)
	for {
		left := time.Until(until)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		fds := []unix.PollFd{{Fd: int32(target), Events: unix.POLLOUT}, {Fd: int32(client)}}
		_, err := unix.Poll(fds, int(left.Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("poll: %w", err)
		case fds[0].Revents != 0:
			n, err := unix.GetsockoptInt(target, unix.SOL_SOCKET, unix.SO_ERROR)
			if err == nil && n != 0 {
				err = unix.Errno(n)
			}
			return err
		case fds[1].Revents != 0:
			return ErrLeft
		}
	}
}

// Introduce sends the target the PROXY header of that version about the client, on a
// connection on which nothing was sent yet. Of a tcp connection that the client has reset the kernel
// does not tell any more whose it was: that is ErrLeft, since a header that names nobody
// would have the target take what the client said for the relay's own words.
func Introduce(target, client int, version string) error {
	from, err := unix.Getpeername(client)
	if err != nil {
		return ErrLeft
	}
	header, err := Header(version, end(from, nil), end(unix.Getsockname(client)))
	if err != nil {
		return err
	}
	n, err := unix.Write(target, header)
	if err == nil && n < len(header) {
		err = errors.New("the header was not taken whole") // a new connection has room for kilobytes
	}
	return err
}

// end is an IP address of one end of a connection, the zero AddrPort of others.
func end(sa unix.Sockaddr, err error) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
