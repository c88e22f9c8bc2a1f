package listener

import (
	"casemate/listener/endpoint"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenBothFamiliesOnOnePort(t *testing.T) {
	for _, proto := range []string{"tcp", "udp"} {
		four := mustOpen(t, inet(proto+"4", netip.IPv4Unspecified(), 0))
		port := four.Spec.Addr.Port()
		if port == 0 {
			t.Fatal("the chosen port is not in the Spec")
		}
		six := mustOpen(t, inet(proto+"6", netip.IPv6Unspecified(), port))
		only, err := unix.GetsockoptInt(six.FD, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		if err != nil || only != 1 {
			t.Errorf("%s: IPV6_V6ONLY = %d, %v", proto, only, err)
		}
	}
}

func TestOpenBusyPort(t *testing.T) {
	for _, network := range []string{"tcp4", "udp4"} {
		first := mustOpen(t, inet(network, loop4, 0))
		_, err := Open(first.Spec)
		want := fmt.Sprintf("bind %s/%s: address already in use", network, first.Spec.Addr)
		if err == nil || err.Error() != want || !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("second Open: %v, want %s", err, want)
		}
	}
}

func TestOpenFlags(t *testing.T) {
	tests := []struct {
		spec     Spec
		nonblock bool
	}{
		{inet("tcp4", loop4, 0), true},
		{inet("tcp6", loop6, 0), true},
		{Spec{Endpoint: endpoint.Endpoint{Network: "tcp4", Addr: netip.AddrPortFrom(loop4, 0)}, Wait: true}, false},
		{inet("udp4", loop4, 0), false},
		{Spec{Endpoint: endpoint.Endpoint{Network: "udp6", Addr: netip.AddrPortFrom(loop6, 0)}, Wait: true}, false},
	}
	for _, tt := range tests {
		s := mustOpen(t, tt.spec)
		if got := nonblocking(t, s.FD); got != tt.nonblock {
			t.Errorf("%s wait=%v: O_NONBLOCK = %v", s.Spec.Key(), tt.spec.Wait, got)
		}
		if !closeOnExec(t, s.FD) {
			t.Errorf("%s: not close-on-exec", s.Spec.Key())
		}
		proto, err := unix.GetsockoptInt(s.FD, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err != nil || (s.Spec.Stream() && proto != unix.IPPROTO_TCP) {
			t.Errorf("%s: protocol %d, %v: want plain TCP", s.Spec.Key(), proto, err)
		}
	}
}

func TestOpenRefusesNonsense(t *testing.T) {
	for _, s := range []Spec{
		{Endpoint: endpoint.Endpoint{Network: "sctp4"}},
		{Endpoint: endpoint.Endpoint{Network: "tcp4"}},
		inet("tcp4", loop6, 0),
		inet("udp6", loop4, 0),
		inet("tcp6", netip.MustParseAddr("fe80::1%no-such-if"), 0),
	} {
		if sock, err := Open(s); err == nil {
			sock.Close()
			t.Errorf("Open(%+v) worked", s)
		}
	}
}

// The kernel reports a listener's queue limit in tcp_info's sacked field.
func TestBacklogZeroIsSomaxconn(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ backlog, want int }{{0, most}, {3, 3}} {
		s := inet("tcp4", loop4, 0)
		s.Backlog = tt.backlog
		sock := mustOpen(t, s)
		info, err := unix.GetsockoptTCPInfo(sock.FD, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		if int(info.Sacked) != tt.want {
			t.Errorf("backlog %d: kernel has %d, want %d", tt.backlog, info.Sacked, tt.want)
		}
	}
}

func TestReconfigure(t *testing.T) {
	s := mustOpen(t, inet("tcp4", loop4, 0))
	to := s.Spec
	to.Wait, to.Backlog = true, 7
	if err := s.Reconfigure(to); err != nil {
		t.Fatal(err)
	}
	if nonblocking(t, s.FD) {
		t.Error("wait listener is non-blocking")
	}
	if info, err := unix.GetsockoptTCPInfo(s.FD, unix.IPPROTO_TCP, unix.TCP_INFO); err != nil || info.Sacked != 7 {
		t.Errorf("backlog %v, %v", info, err)
	}
	to.Network = "tcp6"
	if err := s.Reconfigure(to); err == nil || !strings.HasPrefix(err.Error(), "reconfigure ") {
		t.Errorf("another address: %v", err)
	}
}

// A Go program that had a wait socket leaves it non-blocking.
func TestRestoreBlocking(t *testing.T) {
	for _, network := range []string{"tcp4", "udp4"} {
		s := mustOpen(t, Spec{Endpoint: endpoint.Endpoint{Network: network, Addr: netip.AddrPortFrom(loop4, 0)}, Wait: true})
		if err := unix.SetNonblock(s.FD, true); err != nil {
			t.Fatal(err)
		}
		if err := s.Restore(); err != nil || nonblocking(t, s.FD) {
			t.Errorf("%s: still non-blocking, %v", network, err)
		}
		if err := unix.SetNonblock(s.FD, true); err != nil {
			t.Fatal(err)
		}
		if err := s.Reconfigure(s.Spec); err != nil || nonblocking(t, s.FD) {
			t.Errorf("%s: still non-blocking after Reconfigure, %v", network, err)
		}
	}
}

func TestCloseTwiceAndRebind(t *testing.T) {
	s := mustOpen(t, inet("tcp4", loop4, 0))
	c, err := net.Dial("tcp", s.Spec.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	spec := s.Spec
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustOpen(t, spec)
}
