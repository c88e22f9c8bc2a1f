package listener

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

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
			Close(one)
		} else {
			Bury(one) // whatever it is
		}
	}
	if lost {
		err = unix.ENOTCONN
	}
	return 0, -1, p, err
}
