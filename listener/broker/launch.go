package broker

import (
	"fmt"
	"os"
	"time"

	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// link launches the program of a cell with one end of a socket pair, and gives the other.
func (b *Broker) link(c cell, uid uint32, kind int) (pid, fd int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	// Nobody sends descriptors here, whose close might wait for others (listener.Bury). An error is a kernel before 6.16:
	// there the worker's link buries them, and the compilers have no call that makes or takes a socket.
	_ = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	if pid, err = b.launch(c, uid, pair[1]); err != nil {
		unix.Close(pair[0])
		return 0, -1, err
	}
	return pid, pair[0], nil
}

// launch starts the one program of a cell that runs once: a compiler or a
// worker. It blocks, so it never runs on the loop. fds stay open here.
func (b *Broker) launch(c cell, uid uint32, fds ...int) (pid int, err error) {
	z, err := c.Spawn()
	if err != nil {
		return 0, err
	}
	defer b.retireNow(z)
	if err := z.Send(&zygote.Request{ID: 1, UID: uid, GID: uid, FDs: fds}); err != nil {
		return 0, fmt.Errorf("send to zygote: %w", err)
	}
	if err := zygote.Await(z.FD(), startTimeout); err != nil {
		_ = b.loop.Do(b.sweepOrphans) // what hangs is still a child of ours; an error means that the loop has ended
		return 0, fmt.Errorf("wait for zygote: %w", err)
	}
	reply, err := z.Recv()
	if err != nil {
		return 0, fmt.Errorf("reply of zygote: %w", err)
	}
	forged := false
	err = b.loop.Do(func() {
		if forged = b.forged(reply); forged {
			b.sweepOrphans() // what it did start has no record
		}
	})
	switch {
	case err != nil:
		return 0, err
	case forged:
		return 0, errForged
	}
	if err := reply.Err(); err != nil {
		if reply.PID != 0 {
			b.endChild(reply.PID, graceTime)
		}
		return 0, sandbox.OnKernel(err)
	}
	return reply.PID, nil
}

// endChild reaps a child that ends now, and kills it if it has not within patience. One that
// does not even then (a file system does not answer it) is reaped when it does.
func (b *Broker) endChild(pid int, patience time.Duration) (status unix.WaitStatus, err error) {
	fd, opened := unix.PidfdOpen(pid, 0)
	if err = opened; err == nil {
		defer unix.Close(fd)
		err = zygote.Await(fd, patience)
	}
	if err != nil {
		kill(pid, unix.SIGKILL)
		err = zygote.Await(fd, graceTime) // without a descriptor, in vain
	}
	if err == nil {
		_, err = unix.Wait4(pid, &status, unix.WNOHANG|unix.WALL, nil)
		return status, err
	}
	_ = b.loop.Post(func() { b.reapLater(pid) }) // an error means that this process ends
	if opened != nil {
		err = fmt.Errorf("pidfd_open: %w", opened)
	}
	return status, fmt.Errorf("process %d was killed: %w", pid, sandbox.OnKernel(err))
}

// retireNow ends a zygote outside the loop. It has nothing to lose, and one that will not end is killed.
func (b *Broker) retireNow(z starter) {
	_ = z.Close()
	_, _ = b.endChild(z.PID(), graceTime)
}
