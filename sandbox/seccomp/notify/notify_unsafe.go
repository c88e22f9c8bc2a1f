// Package notify reads and answers the listener of a filter (seccomp_unotify(2)): it denies. What
// runs as root does not link it.
package notify

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is struct seccomp_notif (linux/seccomp.h): a call that waits for an answer.
type Call struct {
	ID    uint64
	PID   int32 // of the thread, as this process's pid namespace knows it
	Flags uint32
	Nr    int32
	Arch  uint32
	IP    uint64
	Args  [6]uint64
}

// response is struct seccomp_notif_resp. Flags would let the call happen (SECCOMP_USER_NOTIF_FLAG_CONTINUE),
// and are never set: what a filter denies is denied.
type response struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

// Receive takes one call. ENOENT is one whose caller was killed meanwhile.
func Receive(fd int) (c Call, err error) {
	err = ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c))
	return c, err
}

// Deny has it fail with an error.
func Deny(fd int, id uint64, with unix.Errno) error {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&response{ID: id, Error: -int32(with)}))
}

// Waits tells whether the caller is still there.
func Waits(fd int, id uint64) bool {
	return ioctl(fd, unix.SECCOMP_IOCTL_NOTIF_ID_VALID, unsafe.Pointer(&id)) == nil
}

func ioctl(fd int, request uint, at unsafe.Pointer) error {
	for {
		switch _, _, errno := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(at)); errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
