package inbound

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"casemate/listener"

	"golang.org/x/sys/unix"
)

// udpPeer is one client of a udp socket.
type udpPeer struct {
	t *testing.T
	c *net.UDPConn
}

func newPeer(t *testing.T, s *Socket) udpPeer {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.Spec.Addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return udpPeer{t, c}
}

func (p udpPeer) send(text string) {
	p.t.Helper()
	if _, err := p.c.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p udpPeer) addr() netip.AddrPort {
	a := p.c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func TestPeekSource(t *testing.T) {
	for _, spec := range []listener.Spec{inet("udp4", loop4, 0), inet("udp6", loop6, 0)} {
		s := mustOpen(t, spec)
		if _, err := PeekSource(s.FD); err != unix.EAGAIN {
			t.Fatalf("empty queue: %v, want EAGAIN", err)
		}
		for _, text := range []string{"hello", ""} {
			p := newPeer(t, s)
			p.send(text)
			waitReadable(t, s.FD)
			for range 2 {
				got, err := PeekSource(s.FD)
				if err != nil || got.Addr != p.addr() {
					t.Fatalf("%q: source %v, %v, want %v", text, got, err, p.addr())
				}
			}
			if err := DropDatagram(s.FD); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPeekKnowsTheAddressAsked(t *testing.T) {
	s := mustOpen(t, inet("udp4", netip.IPv4Unspecified(), 0))
	asked := netip.MustParseAddr("127.0.0.77")
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(asked, s.Spec.Addr.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	waitReadable(t, s.FD)
	h, err := peek(s.FD)
	if err != nil || h.local != asked || h.length != 1 || h.index == 0 {
		t.Errorf("head %+v, %v, want local %v", h, err, asked)
	}
}

func TestDropDatagramEatsExactlyOne(t *testing.T) {
	s := mustOpen(t, inet("udp4", loop4, 0))
	p := newPeer(t, s)
	for _, text := range []string{"one", "", "three"} {
		p.send(text)
	}
	for range 2 {
		waitReadable(t, s.FD)
		if err := DropDatagram(s.FD); err != nil {
			t.Fatal(err)
		}
	}
	waitReadable(t, s.FD)
	buf := make([]byte, 16)
	n, _, err := unix.Recvfrom(s.FD, buf, unix.MSG_DONTWAIT)
	if err != nil || string(buf[:n]) != "three" {
		t.Errorf("left %q, %v", buf[:n], err)
	}
	if err := DropDatagram(s.FD); err != unix.EAGAIN {
		t.Errorf("empty queue: %v, want EAGAIN", err)
	}
}

// passRights is SO_PASSRIGHTS of asm-generic/socket.h (Linux 6.16).
const passRights = 83

// A sender's descriptors must not appear in the process that only looks.
func TestPeekUnixgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := mustOpen(t, unixSpec("unixgram", path))
	_ = unix.SetsockoptInt(s.FD, unix.SOL_SOCKET, passRights, 1) // as on kernels that have no such option
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	rights := unix.UnixRights(0, 1, 2, 0, 1, 2)
	if err := unix.Sendmsg(c, []byte("x"), rights, &unix.SockaddrUnix{Name: path}, 0); err != nil {
		t.Fatal(err)
	}
	before := openFDs(t)
	p, err := PeekSource(s.FD)
	want := Peer{Unix: true, PID: uint32(os.Getpid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	if err != nil || p != want {
		t.Errorf("peer %+v, %v, want %+v", p, err, want)
	}
	if err := DropDatagram(s.FD); err != nil {
		t.Fatal(err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
