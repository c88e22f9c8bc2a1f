package listener

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Accept takes one connection from a listener. The new descriptor is
// close-on-exec and blocking (Linux does not pass O_NONBLOCK on), ready for a
// child.
//
// An empty queue of a non-blocking listener is unix.EAGAIN. Other errors wrap
// the errno; Temporary and Exhausted sort them.
func Accept(fd int) (conn int, p Peer, err error) {
	conn, sa, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	if err != nil {
		if err == unix.EAGAIN {
			return -1, Peer{}, err
		}
		return -1, Peer{}, fmt.Errorf("accept: %w", err)
	}
	if _, ok := sa.(*unix.SockaddrUnix); ok {
		if p, err = Credentials(conn); err != nil {
			unix.Close(conn)
			return -1, Peer{}, fmt.Errorf("accept: %w", err)
		}
		return conn, p, nil
	}
	return conn, inetPeer(conn, sa), nil
}

// Temporary says that an error of Accept concerns only the one connection that
// was not accepted: accept again. accept(2) asks to treat the network errors
// that were pending on the new socket so; EPERM is a firewall rule.
func Temporary(err error) bool {
	return is(err, unix.ECONNABORTED, unix.EINTR, unix.EPROTO, unix.EPERM,
		unix.ENETDOWN, unix.ENETUNREACH, unix.ENONET, unix.ENOPROTOOPT,
		unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ETIMEDOUT, unix.ENOTCONN)
}

// Exhausted says that the process or the system ran out of something. The
// connection stays queued, so the listener must leave the poll set for a while
// or the loop spins.
func Exhausted(err error) bool {
	return is(err, unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM)
}

func is(err error, codes ...unix.Errno) bool {
	var errno unix.Errno
	return errors.As(err, &errno) && slices.Contains(codes, errno)
}

// Refuse ends a connection nobody will serve, and closes conn: the peer gets a
// reset, and the kernel keeps no TIME_WAIT for it.
func Refuse(conn int) {
	// Nothing here can be reported to anyone: the peer may be gone at any step,
	// and the close that matters cannot fail in a way that leaves conn open.
	_ = unix.SetsockoptLinger(conn, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	letGo(conn)
}

// Say writes a line to a connection as far as it fits without waiting; the
// caller brings its line end. A peer that is gone has no use for the error.
func Say(conn int, line string) {
	_ = unix.Sendto(conn, []byte(line), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}
