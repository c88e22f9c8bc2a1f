package warden

import (
	"cmp"
	"fmt"
	"os"
	"syscall"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// StartTimeout bounds one start, from the request to the zygote's reply. It takes
// about a millisecond, and for ever where a program is executed from a network file
// system that does not answer, or the zygote was stopped.
const StartTimeout = 5 * time.Second

// graceTime is how long a helper has to end by itself.
const graceTime = 2 * time.Second

// Spawn starts a cell's zygote, which has a record from then on. It blocks.
func (w *Warden) Spawn(c Cell) (z Starter, err error) {
	if err = w.loop.Do(func() { w.starting++ }); err != nil {
		return nil, err
	}
	defer func() {
		_ = w.loop.Do(func() { // an error means that the loop has ended
			if w.starting--; z != nil {
				w.hold(z.PID())
			}
		})
	}()
	return c.Spawn()
}

// Link launches the program of a cell with one end of a socket pair, and gives the other. It blocks.
func (w *Warden) Link(c Cell, uid uint32, kind int) (pid, fd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	// Nobody sends descriptors here, whose close might wait for others (listener.Bury). An error is a kernel before 6.16:
	// there the worker's link buries them, and the compilers have no call that makes or takes a socket.
	_ = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	if pid, err = w.launch(c, uid, pair[1]); err != nil {
		unix.Close(pair[0])
		return 0, -1, err
	}
	return pid, pair[0], nil
}

// launch starts the one program of a cell that runs once, a compiler or a worker, which
// then has a record. It blocks. fds stay open here.
func (w *Warden) launch(c Cell, uid uint32, fds ...int) (pid int, err error) {
	z, err := w.Spawn(c)
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = w.endChild(z.PID(), graceTime) }()
	defer z.Close()
	if err := z.Send(&zygote.Request{ID: 1, UID: uid, GID: uid, FDs: fds}); err != nil {
		return 0, fmt.Errorf("send to zygote: %w", err)
	}
	if err := zygote.Await(z.FD(), StartTimeout); err != nil {
		_ = w.loop.Do(w.Sweep) // what hangs is still a child of ours; an error means that the loop has ended
		return 0, fmt.Errorf("wait for zygote: %w", err)
	}
	reply, err := z.Recv()
	if err != nil {
		return 0, fmt.Errorf("reply of zygote: %w", err)
	}
	derr := w.loop.Do(func() {
		err = sandbox.OnKernel(reply.Err())
		if err == nil && w.stray(reply.PID) {
			w.hold(reply.PID)
		} else if (err == nil || reply.PID != 0) && !w.Take(reply.PID, nil, nil) {
			w.Sweep() // what it did start has no record
			err = ErrForged
		}
	})
	return reply.PID, cmp.Or(derr, err)
}

// endChild is the end of a child with a record, which is killed if it has not ended within patience. One that
// does not even then (a file system does not answer it) is reaped when it does. It blocks.
func (w *Warden) endChild(pid int, patience time.Duration) (syscall.WaitStatus, error) {
	ended := make(chan Exit, 1)
	_ = w.loop.Post(func() { w.bury(pid, func(e Exit) { ended <- e }) }) // an error means that this process ends
	for _, wait := range []time.Duration{patience, graceTime} {
		select {
		case e := <-ended:
			return e.Status, nil
		case <-time.After(wait):
			_ = w.loop.Post(func() { w.Kill(pid, unix.SIGKILL) })
		}
	}
	return 0, fmt.Errorf("process %d was killed: %w", pid, sandbox.OnKernel(unix.ETIMEDOUT))
}
