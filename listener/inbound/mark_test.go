package inbound

import (
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"casemate/listener"

	"golang.org/x/sys/unix"
)

// TestMarkOfListener: a mark knows those who wait from others who came in their place, also
// where some have hung up or were reset, and none of a listener next to it.
func TestMarkOfListener(t *testing.T) {
	unspecified := inet("tcp6", netip.IPv6Unspecified(), 0)
	for _, spec := range []listener.Spec{inet("tcp4", loop4, 0), inet("tcp6", loop6, 0), unspecified, unixSpec("unix", filepath.Join(t.TempDir(), "s")), unixSpec("unixpacket", filepath.Join(t.TempDir(), "s"))} {
		s := mustOpen(t, spec)
		mark := func() Mark {
			t.Helper()
			m, err := MarkHead(s, true, true)
			if err != nil {
				t.Fatal(spec.Network, err)
			}
			return m
		}
		queued := func(n int) Mark {
			t.Helper()
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				if m := mark(); len(m.queue) == n || time.Now().After(end) {
					if len(m.queue) != n {
						t.Fatalf("%s: %d wait, want %d", spec.Network, len(m.queue), n)
					}
					return m
				}
			}
		}
		comes := func(at string) net.Conn {
			t.Helper()
			to := s.Spec.Path
			if to == "" {
				to = netip.AddrPortFrom(netip.MustParseAddr(at), s.Spec.Addr.Port()).String()
			}
			c, err := net.Dial(spec.Network, to)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return c
		}
		taken := func() {
			t.Helper()
			fd, _, err := Accept(s.FD)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
		}
		host := map[string]string{"tcp4": "127.0.0.1"}[spec.Network]
		if host == "" {
			host = "::1"
		}
		none := queued(0)
		if none.Left(none) {
			t.Errorf("%s: something was left of nothing", spec.Network)
		}
		first := comes(host)
		one := queued(1)
		second := comes(host)
		two := queued(2)
		if !one.Left(one) || !one.Left(two) || two.Left(one) {
			t.Errorf("%s: who waits as before was taken, or the other way round", spec.Network)
		}
		taken()
		if last := queued(1); one.Left(last) {
			t.Errorf("%s: another one is taken for the one before", spec.Network)
		}
		taken()
		first.Close() // both in a file
		second.Close()
		queued(0)
		dead := comes(host)
		queued(1)
		if tcp, ok := dead.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		dead.Close()
		gone := queued(0)
		if gone.length != 1 || !gone.Left(gone) {
			t.Errorf("%s: who was reset has left the queue: %+v", spec.Network, gone)
		}
		comes(host)
		if both := queued(1); gone.Left(both) {
			t.Errorf("%s: who came may be the first of the queue", spec.Network)
		}
	}
}
