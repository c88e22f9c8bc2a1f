//go:build cgo

package zygote

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// undertaker is argv[0] of a process that holds what it was given until its
// standard input ends, and exits (UNDERTAKER_ARGV0 in zygote.h).
const undertaker = "casemate-undertaker"

// Undertake closes descriptors so that the last one is closed by a process that
// exits. With an error all are still open.
func Undertake(fds []int) error {
	var end [2]int
	if err := unix.Pipe2(end[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	files := []uintptr{uintptr(end[0])}
	for _, fd := range fds {
		files = append(files, uintptr(fd))
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{undertaker}, &syscall.ProcAttr{Files: files})
	unix.Close(end[0])
	if err == nil {
		for _, fd := range fds {
			unix.Close(fd) // the undertaker has it
		}
	}
	unix.Close(end[1])
	if err != nil {
		return os.NewSyscallError("fork", err)
	}
	reap(pid)
	return nil
}
