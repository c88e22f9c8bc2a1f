package broker

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStderrHasOnePeer: a service that may send by address, as wait services
// may, reaches no abstract socket of the host through its stderr, on a kernel
// whose Landlock has no scopes either. A datagram pair shows that the attempt works.
func TestStderrHasOnePeer(t *testing.T) {
	name := fmt.Sprintf("@casemate-stderr-%d", os.Getpid())
	canary, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(canary)
	if err := unix.Bind(canary, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	reached := func(fd int) bool {
		_ = unix.Sendto(fd, []byte("x"), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: name})
		_, _ = unix.SendmsgN(fd, []byte("x"), nil, &unix.SockaddrUnix{Name: name}, unix.MSG_NOSIGNAL)
		if unix.Connect(fd, &unix.SockaddrUnix{Name: name}) == nil {
			_, _ = unix.Write(fd, []byte("x"))
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(canary), Events: unix.POLLIN}}, int((50 * time.Millisecond).Milliseconds()))
		return err == nil && n == 1
	}
	pair, err := newStderr()
	if err != nil {
		t.Fatal(err)
	}
	defer pair.close()
	if reached(int(pair.program.Fd())) {
		t.Error("stderr reached an abstract socket of this network namespace")
	}
	control, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(control[0])
	defer unix.Close(control[1])
	if !reached(control[0]) {
		t.Error("a datagram pair did not reach it either: the test proves nothing")
	}
}
