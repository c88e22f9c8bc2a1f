package wire

import (
	"os"

	"golang.org/x/sys/unix"
)

// Store puts PipesAtOnce descriptors into the queue of a new socket, which holds them by
// itself. Both stay open; Peek gets them as often as it is asked.
func Store(fds []int) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	err = unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fds...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	unix.Close(pair[0])
	if err != nil {
		unix.Close(pair[1])
		return -1, os.NewSyscallError("sendmsg", err)
	}
	return pair[1], nil
}

// Peek returns new descriptors of what Store has put into a socket.
func Peek(store int) ([]int, error) {
	oob := make([]byte, unix.CmsgSpace(4*PipesAtOnce))
	_, n, _, _, err := unix.Recvmsg(store, make([]byte, 1), oob, unix.MSG_PEEK|unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		return nil, &Error{"store", n}
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err == nil && len(fds) != PipesAtOnce {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, os.NewSyscallError("recvmsg", unix.EMFILE) // the kernel gives as many as fit
	}
	return fds, err
}
