package inbound

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"casemate/listener"
	"casemate/listener/endpoint"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

var loop4, loop6 = netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()

func inet(network string, ip netip.Addr, port uint16) listener.Spec {
	return listener.Spec{Endpoint: endpoint.Endpoint{Network: network, Addr: netip.AddrPortFrom(ip, port)}}
}

// near is an Owner in the same process.
type near struct{ *listener.Socket }

func (n near) Spent() { listener.Close(n.FD) }

func (n near) Sibling(to listener.Spec) (*Socket, error) {
	s, err := n.Socket.Sibling(to)
	if err != nil {
		return nil, err
	}
	return nearby(s)
}

func nearby(s *listener.Socket) (*Socket, error) {
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	return &Socket{FD: fd, Spec: s.Spec, Owner: near{s}}, err
}

func mustOpen(t *testing.T, s listener.Spec) *Socket {
	t.Helper()
	of, err := listener.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Path == "" && s.Addr.Port() == 0 { // as of no policy's
		if of.Spec.Addr, err = listener.LocalAddr(of.FD); err != nil {
			t.Fatal(err)
		}
	}
	sock, err := nearby(of)
	if err != nil {
		t.Fatal(err)
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
	if !readable(t, fd, 30*time.Second) {
		t.Fatal("nothing arrived")
	}
}

func readable(t *testing.T, fd int, d time.Duration) bool {
	t.Helper()
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(d.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
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

// ownNetwork moves the test's thread into a fresh network namespace whose
// loopback interface carries the given addresses. The thread ends with the test.
func ownNetwork(t *testing.T, addrs ...string) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the runtime then drops the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			need.Root(t, "a network namespace of its own")
		}
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	up := func(name string, request uint, set func(*unix.Ifreq) error) {
		t.Helper()
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := set(ifr); err != nil {
			t.Fatal(err)
		}
		if err := unix.IoctlIfreq(fd, request, ifr); err != nil {
			t.Fatal(name, err)
		}
	}
	up("lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil })
	for i, a := range addrs {
		if netip.MustParseAddr(a).Is6() {
			addInet6(t, netip.MustParseAddr(a))
			continue
		}
		ip := netip.MustParseAddr(a).As4()
		up(fmt.Sprintf("lo:%d", i+1), unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) })
	}
}

// addInet6 adds an address to lo: RTM_NEWADDR is the ioctl-free way, and the
// message is small enough to write out.
func addInet6(t *testing.T, addr netip.Addr) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	ip := addr.As16()
	const lo = 1 // the first interface of a namespace
	m := binary.NativeEndian.AppendUint32(nil, 16+8+20)
	m = binary.NativeEndian.AppendUint16(m, unix.RTM_NEWADDR)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	m = append(m, make([]byte, 8)...)                         // sequence and port
	m = append(m, unix.AF_INET6, 128, unix.IFA_F_NODAD, 0)    // family, prefix length, flags, scope
	m = binary.NativeEndian.AppendUint32(m, lo)               // interface
	m = binary.NativeEndian.AppendUint16(m, 20)               // attribute length
	m = binary.NativeEndian.AppendUint16(m, unix.IFA_ADDRESS) // attribute type
	if err := unix.Sendto(fd, append(m, ip[:]...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 256)
	n, _, err := unix.Recvfrom(fd, ack, 0)
	if err != nil || n < 20 {
		t.Fatal(n, err)
	}
	if errno := int32(binary.NativeEndian.Uint32(ack[16:])); errno != 0 {
		t.Fatal("RTM_NEWADDR: ", unix.Errno(-errno))
	}
	// The kernel makes the address usable from a work queue: try until a datagram
	// to it arrives.
	s := mustOpen(t, inet("udp6", netip.IPv6Unspecified(), 0))
	to := &unix.SockaddrInet6{Port: int(s.Spec.Addr.Port()), Addr: ip}
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := unix.Sendto(s.FD, []byte("x"), 0, to)
		if err == nil && readable(t, s.FD, 20*time.Millisecond) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not usable: %v", addr, err)
		}
	}
}

func unixSpec(network, path string) listener.Spec {
	return listener.Spec{Endpoint: endpoint.Endpoint{Network: network, Path: path}, Mode: 0o620, UID: listener.KeepID, GID: listener.KeepID}
}
