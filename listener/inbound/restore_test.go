package inbound

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"casemate/listener"
	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

// waitSpecs are one wait socket of each family.
func waitSpecs(t *testing.T) []listener.Spec {
	dir := t.TempDir()
	specs := []listener.Spec{inet("tcp4", loop4, 0), inet("tcp6", loop6, 0), inet("udp4", loop4, 0), inet("udp6", loop6, 0),
		inet("udp4", netip.IPv4Unspecified(), 0), inet("udp6", netip.IPv6Unspecified(), 0)}
	for _, network := range []string{"unix", "unixgram", "unixpacket"} {
		specs = append(specs, listener.Spec{Endpoint: endpoint.Endpoint{Network: network, Path: dir + "/" + network}, Mode: 0o620, UID: listener.KeepID, GID: listener.KeepID},
			listener.Spec{Endpoint: endpoint.Endpoint{Network: network, Path: fmt.Sprintf("@casemate-restore-%d-%s", unix.Getpid(), network)}, UID: listener.KeepID, GID: listener.KeepID})
	}
	for i := range specs {
		specs[i].Wait = true
	}
	return specs
}

// call sends a client to the socket, so that something is in its queue, and
// returns the client.
func call(t *testing.T, s *Socket) (fd int, err error) {
	t.Helper()
	domain, to := unix.AF_UNIX, unix.Sockaddr(&unix.SockaddrUnix{Name: s.Spec.Path})
	if !s.Spec.Unix() {
		domain = unix.AF_INET
		if strings.HasSuffix(s.Spec.Network, "6") {
			domain = unix.AF_INET6
		}
		addr := s.Spec.Addr
		if addr.Addr().IsUnspecified() {
			addr = netip.AddrPortFrom(map[bool]netip.Addr{true: loop4, false: loop6}[addr.Addr().Is4()], addr.Port())
		}
		to = listener.WithZone(addr, 0)
	}
	if fd, err = unix.Socket(domain, map[string]int{"udp4": unix.SOCK_DGRAM, "udp6": unix.SOCK_DGRAM, "unixgram": unix.SOCK_DGRAM, "unixpacket": unix.SOCK_SEQPACKET, "tcp4": unix.SOCK_STREAM, "tcp6": unix.SOCK_STREAM, "unix": unix.SOCK_STREAM}[s.Spec.Network]|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err = unix.Connect(fd, to); err == unix.EINPROGRESS {
		err = nil
	}
	if err == nil && !s.Spec.Stream() {
		_, err = unix.Write(fd, []byte("x"))
	}
	return fd, err
}

// takeOne takes one client out of the queue.
func takeOne(s *Socket) error {
	if s.Spec.Stream() {
		fd, _, err := unix.Accept4(s.FD, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	_, err := listener.Recv(s.FD, nil)
	return err
}

// TestRestoreKeepsTheQueue: an honest program's socket stays what it is, with
// everybody who waits on it.
func TestRestoreKeepsTheQueue(t *testing.T) {
	for _, spec := range waitSpecs(t) {
		s := mustOpen(t, spec)
		if _, err := call(t, s); err != nil {
			t.Fatalf("%s: %v", spec.Key(), err)
		}
		for range 3 {
			if err := s.Restore(); err != nil {
				t.Errorf("%s: %v", spec.Key(), err)
			}
		}
		if err := takeOne(s); err != nil {
			t.Errorf("%s: the client in the queue: %v", spec.Key(), err)
		}
		if spec.Stream() {
			continue
		}
		if err := takeOne(s); err != unix.EAGAIN {
			t.Errorf("%s: Restore has sent something to itself: %v", spec.Key(), err)
		}
	}
}

// TestRestoreRefusesTheDead does what makes a socket useless for the next
// program: Restore must say so, on every socket on which it has that effect.
func TestRestoreRefusesTheDead(t *testing.T) {
	shut := func(how int) func(*Socket) error {
		return func(s *Socket) error {
			// UDP says ENOTCONN and is shut down all the same (inet_shutdown).
			if err := unix.Shutdown(s.FD, how); err != nil && err != unix.ENOTCONN {
				return err
			}
			return nil
		}
	}
	all := func(listener.Spec) bool { return true }
	gram := func(s listener.Spec) bool { return !s.Stream() }
	for _, tt := range []struct {
		name string
		do   func(*Socket) error
		dead func(listener.Spec) bool // the others must be well
		want error
	}{
		{"SHUT_RD", shut(unix.SHUT_RD), all, nil},
		{"SHUT_WR", shut(unix.SHUT_WR), gram, errShutDown},
		{"SHUT_RDWR", shut(unix.SHUT_RDWR), all, nil},
		{"connect", func(s *Socket) error {
			if s.Spec.Stream() {
				return nil
			}
			peer := s.Spec
			if peer.Path != "" {
				peer.Path += ".peer"
			} else {
				peer.Addr = netip.AddrPortFrom(peer.Addr.Addr(), 0)
			}
			p := mustOpen(t, peer)
			to, err := unix.Getsockname(p.FD)
			if err != nil {
				return err
			}
			return unix.Connect(s.FD, to)
		}, gram, errConnected},
		{"disconnect", func(s *Socket) error {
			if !strings.HasPrefix(s.Spec.Network, "tcp") {
				return nil
			}
			return listener.Disconnect(s.FD)
		}, func(s listener.Spec) bool { return strings.HasPrefix(s.Network, "tcp") }, errNotListen},
		{"filter", func(s *Socket) error {
			deny := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
			if err := unix.SetsockoptSockFprog(s.FD, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &deny}); err != nil {
				return err
			}
			return unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1)
		}, all, nil},
	} {
		for _, spec := range waitSpecs(t) {
			s := mustOpen(t, spec)
			if err := tt.do(s); err != nil {
				t.Errorf("%s on %s: %v", tt.name, spec.Key(), err)
			}
			err := s.Restore()
			if dead := tt.dead(spec); dead != (err != nil) || dead && tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s on %s: %v", tt.name, spec.Key(), err)
			}
			s.Close()
		}
	}
}

// TestRestoreBacklog: a program may cut its listener's queue to nothing.
func TestRestoreBacklog(t *testing.T) {
	for _, spec := range waitSpecs(t) {
		if !spec.Unix() || !spec.Stream() { // TCP lets a client wait beyond the backlog, unix says EAGAIN
			continue
		}
		s := mustOpen(t, spec)
		if err := unix.Listen(s.FD, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Restore(); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if _, err := call(t, s); err != nil {
				t.Errorf("%s: client %d: %v", spec.Key(), i, err)
			}
		}
	}
}

// TestRestoreFlags: status flags belong to the socket, not to who set them.
func TestRestoreFlags(t *testing.T) {
	for _, spec := range waitSpecs(t) {
		s := mustOpen(t, spec)
		was, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFL, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(s.FD), unix.F_SETFL, unix.O_NONBLOCK|unix.O_ASYNC|unix.O_APPEND); err != nil {
			t.Fatal(err)
		}
		if err := s.Restore(); err != nil {
			t.Fatal(err)
		}
		if got, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFL, 0); err != nil || got != was {
			t.Errorf("%s: flags %#x, were %#x, %v", spec.Key(), got, was, err)
		}
	}
}

// TestRestorePending: a datagram begun with MSG_MORE must not carry the next
// program's answer to the last one's peer.
func TestRestorePending(t *testing.T) {
	for _, network := range []string{"udp4", "udp6"} {
		ip := map[string]netip.Addr{"udp4": loop4, "udp6": loop6}[network]
		spec := inet(network, ip, 0)
		spec.Wait = true
		s, first, second := mustOpen(t, spec), mustOpen(t, inet(network, ip, 0)), mustOpen(t, inet(network, ip, 0))
		send := func(to *Socket, text string, flags int) {
			t.Helper()
			sa, err := unix.Getsockname(to.FD)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Sendto(s.FD, []byte(text), flags, sa); err != nil {
				t.Fatal(err)
			}
		}
		send(first, "half", unix.MSG_MORE)
		if err := s.Restore(); err != nil {
			t.Fatal(err)
		}
		send(second, "answer", 0)
		for to, want := range map[*Socket]string{first: "half", second: "answer"} {
			waitReadable(t, to.FD)
			buf := make([]byte, 64)
			n, _, err := unix.Recvfrom(to.FD, buf, unix.MSG_DONTWAIT)
			if err != nil || string(buf[:n]) != want {
				t.Errorf("%s: %q, %v, want %q", network, buf[:max(n, 0)], err, want)
			}
		}
	}
}
