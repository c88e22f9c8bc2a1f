package listener

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

var loop4, loop6 = netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()

func inet(network string, ip netip.Addr, port uint16) Spec {
	return Spec{Endpoint: endpoint.Endpoint{Network: network, Addr: netip.AddrPortFrom(ip, port)}}
}

func mustOpen(t *testing.T, s Spec) *Socket {
	t.Helper()
	sock, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Path == "" && s.Addr.Port() == 0 { // as of no policy's
		if sock.Spec.Addr, err = LocalAddr(sock.FD); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := sock.Close(); err != nil {
			t.Error(err)
		}
	})
	return sock
}

// waitReadable blocks until fd has something, as the broker's epoll does.
func waitReadable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int((30 * time.Second).Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 || err != nil {
			t.Fatal("nothing arrived: ", err)
		}
		return
	}
}

func nonblocking(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

func closeOnExec(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC != 0
}
