package listener

import (
	"errors"
	"sync"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// The last close of a tcp socket waits for as long as its SO_LINGER says
// (socket(7)). A program sets that on the socket it is given, and a client of a unix
// socket on sockets that it sends along (unix(7), SCM_RIGHTS): they are closed with the
// queue they lie in. Nobody who closes here may wait for what others say.

// refusesRights tells whether the kernel can keep descriptors out of a socket's
// queue (SO_PASSRIGHTS, Linux 6.16).
var refusesRights = sync.OnceValue(func() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, soPassRights, 0) == nil
})

// Close closes a socket that a program or a client had a hand in, and never waits.
// Of a connection nobody reads any more, however else it is held.
func Close(fd int) {
	if l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER); err == nil && l.Onoff != 0 && l.Linger != 0 {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	}
	if mayHoldRights(fd) {
		Bury(fd)
	} else {
		unix.Close(fd)
	}
}

// mayHoldRights tells whether descriptors may lie in the socket's queue.
func mayHoldRights(fd int) bool {
	if refusesRights() {
		return false
	}
	if family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || family != unix.AF_UNIX {
		return false
	}
	kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	listens, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if kind != unix.SOCK_STREAM || listens != 0 {
		return true
	}
	_ = unix.Shutdown(fd, unix.SHUT_RD) // from here on nothing is queued
	return Unread(fd) > 0               // a descriptor takes a byte of a stream along
}

// Unread is how many bytes of a stream nobody has read.
func Unread(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCINQ) // 0 with an error
	return n
}

// Recv takes one message off a socket, of which more than p holds is lost, and buries the
// descriptors that came along. n is its whole length. It never waits: nothing there is unix.EAGAIN.
func Recv(fd int, p []byte) (n int, err error) {
	room := maxRights
	if refusesRights() {
		room = 0
	}
	n, fds, _, err := receive(fd, p, room, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	for _, fd := range fds {
		Bury(fd)
	}
	return n, err
}

// errCut is of a message that is longer than its buffer, or with descriptors for which there is no room.
var errCut = errors.New("a message that is cut off")

// RecvRights waits for one message, and takes the descriptors that come along: they are the caller's also with an error.
func RecvRights(fd int, p []byte) (n int, fds []int, err error) {
	n, fds, flags, err := receive(fd, p, maxRights, 0)
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errCut
	}
	return n, fds, err
}

// maxRights is how many descriptors one message may carry (SCM_MAX_FD).
const maxRights = 253

// receive takes one message, with as many descriptors as there is room for.
func receive(fd int, p []byte, room, how int) (n int, fds []int, flags int, err error) {
	var rights []byte
	if room > 0 {
		rights = make([]byte, unix.CmsgSpace(4*room))
	}
	got := 0
	for again := true; again; again = err == unix.EINTR {
		n, got, flags, _, err = unix.Recvmsg(fd, p, rights, how|unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return 0, nil, 0, err
	}
	msgs, _ := unix.ParseSocketControlMessage(rights[:got]) // which the kernel makes
	for i := range msgs {
		some, _ := unix.ParseUnixRights(&msgs[i])
		fds = append(fds, some...)
	}
	return n, fds, flags, nil
}

// Undertake closes descriptors in a process that exits, in which the kernel never
// lingers (inet_release). Whoever can start processes sets it; without it they
// are closed on a thread that may have to wait.
var Undertake = func(fds []int) error {
	for _, fd := range fds {
		unix.Close(fd)
	}
	return nil
}

const buryAgain = 100 * time.Millisecond

// graves are the descriptors that wait for that.
var graves struct {
	sync.Mutex
	fds  []int
	busy bool
}

// Bury closes whatever somebody else had a hand in, with the descriptors in its queue, and never waits.
func Bury(fd int) {
	graves.Lock()
	defer graves.Unlock()
	graves.fds = append(graves.fds, fd)
	if !graves.busy {
		graves.busy = true
		panics.Go(func() error { bury(); return nil }, func(error) {})
	}
}

// bury buries until there is nothing left. Without a process, they wait.
func bury() {
	for {
		graves.Lock()
		batch := graves.fds
		graves.fds, graves.busy = nil, len(batch) > 0
		graves.Unlock()
		if len(batch) == 0 {
			return
		}
		for Undertake(batch) != nil {
			time.Sleep(buryAgain)
		}
	}
}
