package loop

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// busyWait is how long a loop that has just had work waits for more without giving its processor back to the Go scheduler.
const busyWait = 5 // ms

// epollWait is epoll_wait(2), in two ways. Idle, it is an ordinary blocking system call. Under load that would cost more than everything
// the loop does: with every wait the scheduler's monitor thread wakes up, takes the processor away and starts sampling every 20 us
// (measured: two thirds of the broker's time at 1,300 connections a second). So a wait that follows work is first tried for a moment as a raw
// call, during which the scheduler takes the loop's goroutine for running. A garbage collection that begins meanwhile interrupts it by signal: EINTR.
func epollWait(ep int, events []unix.EpollEvent, timeout int, busy bool) (int, error) {
	if busy && timeout != 0 {
		short := int(min(uint(timeout), busyWait)) // -1 is for ever, and a large number here
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), uintptr(short), 0, 0)
		if errno != 0 {
			return 0, errno
		}
		if n > 0 || timeout == short {
			return int(n), nil
		}
		if timeout > 0 {
			timeout -= short
		}
	}
	return unix.EpollWait(ep, events, timeout)
}
