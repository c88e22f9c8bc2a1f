package zygote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Zygote is the broker's handle on one running zygote process. It is not safe
// for concurrent use: the broker's event loop owns it.
type Zygote struct {
	pid  int
	sock int
	buf  []byte
	mem  int // the file of the marks that it shares (far.starter)
	// listener of its filter, until it is taken; -1 = none
	listener int
}

// Request asks for one start of the plan's command.
type Request struct {
	// ID comes back in the Reply; it is neither 0 nor the highest number.
	ID uint64
	// UID and GID are used by plans with Dynamic set.
	UID, GID uint32
	// FDs are the client's socket, or all sockets of a wait service, and last the
	// program's stderr and stdout, its /dev/log and its state directory where the plan has them. They stay open here.
	FDs []int
	// Env holds the peer's facts, added to the plan's environment.
	Env []string
}

// Reply tells the outcome of a Request. With Errno 0 the process PID runs its
// own program; it is a child of this process: reap it with waitid(2). With
// another Errno nothing runs and Step names what failed; a PID is then the
// child that failed, which must be reaped all the same.
type Reply struct {
	ID    uint64
	PID   int
	Init  int // process 1 of its namespace, where that is an init; else 0
	Step  string
	Errno syscall.Errno
}

// Err is nil when the process runs.
func (r Reply) Err() error {
	if r.Errno == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", r.Step, r.Errno)
}

// FD is the descriptor to poll: readable when a Reply waits or the zygote is gone.
func (z *Zygote) FD() int { return z.sock }

// TakeListener gives the listener of the zygote's filter (seccomp_unotify(2)) away, once: it is
// the caller's to close. -1 is none: this host has none to give, or the plan asks for none.
func (z *Zygote) TakeListener() int {
	fd := z.listener
	z.listener = -1
	return fd
}

// HandOver gives the zygote away, to a process that takes it over: what of it is polled, the file of its marks
// and its listener, or -1. The process stays this one's child, and z is spent.
func (z *Zygote) HandOver() [3]int { return [3]int{z.sock, z.mem, z.TakeListener()} }

// Taken is a zygote that another process has handed over, but for its marks.
func Taken(pid int, fds [3]int) *Zygote {
	return &Zygote{pid: pid, sock: fds[0], mem: -1, listener: fds[2]}
}

// PID is the zygote's process id; it is a child of this process.
func (z *Zygote) PID() int { return z.pid }

// Send queues a request without blocking. It fails with EAGAIN while the
// zygote's queue is full and EPIPE or ECONNREFUSED when it is gone.
func (z *Zygote) Send(r *Request) error {
	n := 0
	for _, e := range r.Env {
		n += len(e) + 1
	}
	if n > maxEnvLen || len(r.FDs) == 0 || len(r.FDs) > MaxFDs {
		return fmt.Errorf("request to zygote: %d bytes of environment and %d descriptors: %w", n, len(r.FDs), syscall.E2BIG)
	}
	b := binary.NativeEndian.AppendUint64(z.buf[:0], r.ID)
	for _, v := range [...]uint32{r.UID, r.GID, uint32(len(r.FDs)), uint32(n)} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	for _, e := range r.Env {
		b = append(append(b, e...), 0)
	}
	z.buf = b
	return unix.Sendmsg(z.sock, b, unix.UnixRights(r.FDs...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Recv takes one reply without blocking: EAGAIN when there is none, io.EOF when
// the zygote is gone. A reply to no request (ID 0) is the zygote failing: the
// error names the step.
func (z *Zygote) Recv() (Reply, error) {
	return z.recv(nil)
}

// recv also takes the one descriptor that a reply may bring, where there is room for it.
func (z *Zygote) recv(rights []byte) (Reply, error) {
	var b [ReplySize]byte
	n, got, _, _, err := unix.Recvmsg(z.sock, b[:], rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	switch {
	case err != nil:
		return Reply{}, err
	case n == 0:
		return Reply{}, io.EOF
	case got == unix.CmsgSpace(4):
		z.listener = int(int32(binary.NativeEndian.Uint32(rights[unix.CmsgLen(0):])))
	}
	return DecodeReply(b[:n])
}

// DecodeReply takes a reply, or a mark, apart.
func DecodeReply(b []byte) (Reply, error) {
	if len(b) != ReplySize {
		return Reply{}, fmt.Errorf("reply of zygote: %d bytes, want %d", len(b), ReplySize)
	}
	e := binary.NativeEndian
	return Reply{
		ID:    e.Uint64(b),
		PID:   int(int32(e.Uint32(b[8:]))),
		Step:  stepName(e.Uint32(b[12:])),
		Errno: syscall.Errno(e.Uint32(b[16:])),
		Init:  int(int32(e.Uint32(b[20:]))),
	}, nil
}

// awaitReady waits for the zygote to have entered its sandbox, answering its
// wish for id maps on the way. timeout bounds the whole of it.
func (z *Zygote) awaitReady(p *Plan, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		if err := Await(z.sock, time.Until(deadline)); err != nil {
			return fmt.Errorf("zygote did not enter its sandbox within %v: %w", timeout, err)
		}
		r, err := z.recv(make([]byte, unix.CmsgSpace(4)))
		switch {
		case errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, io.EOF):
			return errors.New("zygote ended before it was ready")
		case err != nil:
			return err
		case r.Errno != 0:
			return r.Err()
		case r.ID == replyMap:
			if err := z.writeMaps(p); err != nil {
				return err
			}
		case r.ID == replyReady:
			return nil
		}
	}
}

// Await waits until fd is readable or at its end, or fails with ETIMEDOUT after d.
func Await(fd int, d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Close lets the zygote end: it exits when its socket closes. Children that it
// started go on. The caller still reaps PID.
func (z *Zygote) Close() error {
	if z.listener >= 0 {
		unix.Close(z.listener)
	}
	err := errors.Join(unix.Close(z.sock), unix.Close(z.mem))
	z.sock = -1
	return err
}
