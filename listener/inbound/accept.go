// Package inbound is what comes in at a listener's sockets: accepting and refusing
// connections, what the kernel tells about them, looking at datagrams, and giving a
// datagram peer a socket of its own. It takes no rights: root, which opens the
// sockets, does not link it.
//
// It reads no byte a client sent: accepting and looking at datagrams yields
// addresses and lengths only.
package inbound

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"casemate/listener"

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
	if vm, ok := sa.(*unix.SockaddrVM); ok {
		return conn, Peer{VM: true, CID: vm.CID, Port: vm.Port}, nil
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

// Prioritize gives conn the priority of the listener it was accepted from, which it did not take over.
func Prioritize(s *Socket, conn int) error {
	n := s.Spec.Settings[listener.Priority]
	if n == 0 {
		return nil
	}
	return os.NewSyscallError("setsockopt SO_PRIORITY", unix.SetsockoptInt(conn, unix.SOL_SOCKET, unix.SO_PRIORITY, int(n)))
}

// Refuse ends a connection nobody will serve, and closes conn: the peer gets a
// reset, and the kernel keeps no TIME_WAIT for it.
func Refuse(conn int) {
	// Nothing here can be reported to anyone: the peer may be gone at any step,
	// and the close that matters cannot fail in a way that leaves conn open.
	_ = unix.SetsockoptLinger(conn, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
	listener.Close(conn)
}

// Say sends a text to a connection without waiting, as it is and as far as it fits; false is not all
// of it. A peer that is gone has no use for any.
func Say(conn int, text string) bool {
	if text == "" {
		return true
	}
	n, err := unix.SendmsgN(conn, []byte(text), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return n == len(text) || err != nil && err != unix.EAGAIN && !Exhausted(err)
}

// Handed takes a connection that a worker hands over, with the number that comes with it. Who is at the other end is
// asked of the socket; it is made blocking again, and to close at once, as Accept gives it. EAGAIN is nothing there, io.EOF the worker's end,
// ENOTCONN a client that is lost; after any other error nothing that it sends is to be believed.
func Handed(fd int) (which int, conn int, p Peer, err error) {
	text, oob := make([]byte, 2), make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := unix.Recvmsg(fd, text, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, -1, p, err
	}
	var fds []int
	msgs, _ := unix.ParseSocketControlMessage(oob[:oobn]) // the kernel's own
	for i := range msgs {
		some, _ := unix.ParseUnixRights(&msgs[i])
		fds = append(fds, some...)
	}
	lost := flags&unix.MSG_CTRUNC != 0 // no descriptor was left for it
	if err = errors.New("a message that is not one number with one connected socket"); n == 0 && len(fds) == 0 {
		err = io.EOF
	} else if n == 1 && len(fds) == 1 {
		kind, _ := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_TYPE)
		sa, _ := unix.Getpeername(fds[0])
		if p = inetPeer(fds[0], sa); p.Addr.IsValid() && kind == unix.SOCK_STREAM && unix.SetNonblock(fds[0], false) == nil {
			_ = unix.SetsockoptLinger(fds[0], unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{}) // never fails for tcp
			return int(text[0]), fds[0], p, nil
		}
		lost = kind == unix.SOCK_STREAM // its client has gone meanwhile
	}
	for _, one := range fds {
		if lost {
			listener.Close(one)
		} else {
			listener.Bury(one) // whatever it is
		}
	}
	if lost {
		err = unix.ENOTCONN
	}
	return 0, -1, p, err
}

// Begin begins a tcp connection and returns its socket, which does not wait: the
// connection comes to be, or fails, in whoever gets it.
func Begin(to netip.AddrPort) (int, error) {
	family, sa := unix.AF_INET, listener.WithZone(to, 0)
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

// Abrupt tells whether whoever had the socket wants its close to be a reset: that is what
// SO_LINGER without a time is for (tcp(7)).
func Abrupt(fd int) bool {
	l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	return err == nil && l.Onoff != 0 && l.Linger == 0
}
