package inbound

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/listener"

	"golang.org/x/sys/unix"
)

// drain reads want datagrams from fd, waiting for late ones (under load the kernel
// delivers loopback traffic from a thread of its own), and then whatever else is there.
func drain(t *testing.T, fd, want int) (texts []string, from []netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 64)
	for {
		if len(texts) < want {
			readable(t, fd, 30*time.Second)
		}
		n, sa, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return texts, from
		}
		if err != nil {
			t.Fatal(err)
		}
		a := inetPeer(fd, sa).Addr
		texts, from = append(texts, string(buf[:n])), append(from, a)
	}
}

func mustSplit(t *testing.T, s *Socket) (int, *Socket) {
	t.Helper()
	waitReadable(t, s.FD)
	p, err := PeekSource(s.FD)
	if err != nil {
		t.Fatal(err)
	}
	child, next, err := SplitPeer(s, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(child); next.Close() })
	if s.FD != -1 || next.Spec != s.Spec {
		t.Fatalf("s.FD = %d, spec %+v", s.FD, next.Spec)
	}
	if nonblocking(t, child) || nonblocking(t, next.FD) || !closeOnExec(t, child) {
		t.Fatal("wrong descriptor flags")
	}
	return child, next
}

func TestSplitPeerEachTheirOwn(t *testing.T) {
	for _, spec := range []listener.Spec{
		inet("udp4", loop4, 0), inet("udp6", loop6, 0),
		inet("udp4", netip.IPv4Unspecified(), 0), inet("udp6", netip.IPv6Unspecified(), 0),
	} {
		t.Run(spec.Key(), func(t *testing.T) {
			s := mustOpen(t, spec)
			a, b := newPeer(t, s), newPeer(t, s)
			a.send("a1")
			a.send("")
			childA, s := mustSplit(t, s)
			b.send("b1")
			childB, s := mustSplit(t, s)
			a.send("a2")
			b.send("b2")
			c := newPeer(t, s)
			c.send("c1")
			for _, tt := range []struct {
				fd   int
				peer udpPeer
				want []string
			}{{childA, a, []string{"a1", "", "a2"}}, {childB, b, []string{"b1", "b2"}}, {s.FD, c, []string{"c1"}}} {
				texts, from := drain(t, tt.fd, len(tt.want))
				if !slices.Equal(texts, tt.want) {
					t.Errorf("got %q, want %q", texts, tt.want)
				}
				for _, f := range from {
					if f != tt.peer.addr() {
						t.Errorf("datagram from %v in the socket of %v", f, tt.peer.addr())
					}
				}
			}
			if _, err := unix.Write(childB, []byte("hi b")); err != nil {
				t.Fatal(err)
			}
			expect(t, b, "hi b")
		})
	}
}

func expect(t *testing.T, p udpPeer, want string) {
	t.Helper()
	if err := p.c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := p.c.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Errorf("answer %q, %v, want %q", buf[:n], err, want)
	}
}

// On a wildcard socket the answer must come from the address the peer asked, and
// the peer's later datagrams to that address must reach the child. The host has
// three addresses in a network namespace of its own, where the preferred source
// is another one.
func TestSplitPeerAnswersFromTheAddressAsked(t *testing.T) {
	// All three are in one subnet: the second and third are secondary addresses.
	ownNetwork(t, "192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "2001:db8::3")
	four := mustOpen(t, inet("udp4", netip.IPv4Unspecified(), 0))
	six := mustOpen(t, inet("udp6", netip.IPv6Unspecified(), 0))
	for _, ip := range []string{
		"192.0.2.1", "192.0.2.2", "192.0.2.3", "127.0.0.1", "127.0.0.77",
		"2001:db8::1", "2001:db8::2", "2001:db8::3", "::1",
	} {
		addr, s, from := netip.MustParseAddr(ip), four, inet("udp4", netip.MustParseAddr("127.0.0.9"), 0)
		if addr.Is6() {
			s, from = six, inet("udp6", loop6, 0)
		}
		asked := netip.AddrPortFrom(addr, s.Spec.Addr.Port())
		client := mustOpen(t, from)
		// A connected client sees only answers from the address it asked.
		if err := unix.Connect(client.FD, listener.WithZone(asked, 0)); err != nil {
			t.Fatal(err)
		}
		write := func(fd int, text string) {
			t.Helper()
			if _, err := unix.Write(fd, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		write(client.FD, "one")
		child, next := mustSplit(t, s)
		if addr.Is6() {
			six = next
		} else {
			four = next
		}
		if local, err := Local(child); err != nil || local != asked {
			t.Errorf("the child's address is %v, %v, want %v", local, err, asked)
		}
		write(client.FD, "two")
		if texts, _ := drain(t, child, 2); !slices.Equal(texts, []string{"one", "two"}) {
			t.Errorf("child got %q", texts)
		}
		write(child, "yes")
		if texts, _ := drain(t, client.FD, 1); !slices.Equal(texts, []string{"yes"}) {
			t.Errorf("client of %s got %q", ip, texts)
		}
	}
}

// Whatever order two peers' datagrams queue up in, no child ever holds a
// foreign one, and the loop the broker runs ends with both served or dropped.
func TestSplitPeerContention(t *testing.T) {
	orders := []string{"aB", "abA", "aab", "abab", "AB", "AAB", "ABAB", "aAbB", "AaBb", "aAAB", "aABBa", "AAAB", "BBBA", "aBaBaB"}
	for _, order := range orders {
		t.Run(order, func(t *testing.T) {
			s := mustOpen(t, inet("udp4", loop4, 0))
			peers := map[byte]udpPeer{'a': newPeer(t, s), 'b': newPeer(t, s)}
			for i := range len(order) {
				// A capital letter is a zero-length datagram of that peer.
				text := order[i : i+1]
				if order[i] < 'a' {
					text = ""
				}
				before := queued(t, s)
				peers[order[i]|0x20].send(text)
				for queued(t, s) == before {
					runtime.Gosched()
				}
			}
			children, dropped := serve(t, s, len(order))
			got := 0
			for peer, fd := range children {
				texts, from := drain(t, fd, 0)
				got += len(texts)
				for i, f := range from {
					if f != peer {
						t.Errorf("child of %v holds %q from %v", peer, texts[i], f)
					}
				}
			}
			if got+dropped != len(order) {
				t.Errorf("%d served and %d dropped of %d", got, dropped, len(order))
			}
			if len(children) == 0 {
				t.Error("nobody was served")
			}
		})
	}
}

// queued is the memory of the datagrams in a v4 socket's queue, from the fifth
// column (tx_queue:rx_queue) of the thread's network namespace's udp table.
func queued(t *testing.T, s *Socket) string {
	t.Helper()
	port := fmt.Sprintf(":%04X", s.Spec.Addr.Port())
	for range 100 { // a look may miss one while others come and go
		table, err := os.ReadFile("/proc/thread-self/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			if f := strings.Fields(line); len(f) > 4 && strings.HasSuffix(f[1], port) {
				return f[4]
			}
		}
	}
	t.Fatal("the socket is not in the kernel's table")
	return ""
}

// Whatever way a split ends, only the sockets it hands out are open afterwards.
func TestSplitPeerLeaksNothing(t *testing.T) {
	s := mustOpen(t, inet("udp4", loop4, 0))
	a, b := newPeer(t, s), newPeer(t, s)
	before := openFDs(t)
	for range 50 {
		a.send("a")
		b.send("b")
		for range 2 {
			waitReadable(t, s.FD)
			p, err := PeekSource(s.FD)
			if err != nil {
				t.Fatal(err)
			}
			child, next, err := SplitPeer(s, p)
			if err != nil {
				if err := DropDatagram(s.FD); err != nil {
					t.Fatal(err)
				}
				continue
			}
			// The peer's later datagrams are to come to the next socket again.
			unix.Close(child)
			s = next
		}
	}
	defer s.Close()
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// serve is the broker's loop until the socket is empty.
func serve(t *testing.T, s *Socket, limit int) (children map[netip.AddrPort]int, dropped int) {
	t.Helper()
	children = map[netip.AddrPort]int{}
	for range limit + 1 {
		p, err := PeekSource(s.FD)
		if err == unix.EAGAIN {
			return children, dropped
		}
		if err != nil {
			t.Fatal(err)
		}
		child, next, err := SplitPeer(s, p)
		if err != nil {
			if !errors.Is(err, ErrContended) {
				t.Fatal(err)
			}
			if err := DropDatagram(s.FD); err != nil {
				t.Fatal(err)
			}
			dropped++
			continue
		}
		t.Cleanup(func() { unix.Close(child); next.Close() })
		children[p.Addr], s = child, next
	}
	t.Fatal("the loop does not end")
	return nil, 0
}

// Many clients send from their own goroutines while one socket is split again
// and again: the walks race with real arrivals.
func TestSplitPeerUnderLoad(t *testing.T) {
	s := mustOpen(t, inet("udp4", netip.IPv4Unspecified(), 0))
	port := s.Spec.Addr.Port()
	stop := make(chan struct{})
	done := make(chan struct{})
	const clients = 8
	for range clients {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(loop4, port)))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { c.Close(); done <- struct{}{} }()
			answer := make([]byte, 1)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				// A burst, then a wait for the answer, as a client would.
				for range 1 + i%3 {
					if _, err := c.Write(make([]byte, i%3)); err != nil {
						return // the children's sockets are closing
					}
				}
				_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
				_, _ = c.Read(answer)
			}
		}()
	}
	children := map[netip.AddrPort]int{}
	for deadline := time.Now().Add(20 * time.Second); len(children) < clients && time.Now().Before(deadline); {
		p, err := PeekSource(s.FD)
		if err == unix.EAGAIN {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		child, next, err := SplitPeer(s, p)
		if err != nil {
			if err := DropDatagram(s.FD); err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
			continue
		}
		children[p.Addr], s = child, next
	}
	close(stop)
	for range clients {
		<-done
	}
	if len(children) != clients {
		t.Errorf("%d of %d clients got their socket", len(children), clients)
	}
	for peer, fd := range children {
		texts, from := drain(t, fd, 0)
		for i, f := range from {
			if f != peer {
				t.Errorf("child of %v holds %q from %v", peer, texts[i], f)
			}
		}
		unix.Close(fd)
	}
	s.Close()
}

// A failed attempt leaves the socket usable: unconnected and on its port.
func TestReleaseUndoesAim(t *testing.T) {
	for _, spec := range []listener.Spec{inet("udp4", netip.IPv4Unspecified(), 0), inet("udp6", netip.IPv6Unspecified(), 0), inet("udp4", loop4, 0)} {
		s := mustOpen(t, spec)
		a, b := newPeer(t, s), newPeer(t, s)
		a.send("a")
		waitReadable(t, s.FD)
		h, err := peek(s.FD)
		if err != nil {
			t.Fatal(err)
		}
		if err := aim(s, h); err != nil {
			t.Fatal(err)
		}
		if err := release(s); err != nil {
			t.Fatal(err)
		}
		if local, err := Local(s.FD); err != nil || local != s.Spec.Addr {
			t.Errorf("%s: address %v, %v after release", spec.Key(), local, err)
		}
		b.send("b")
		if texts, _ := drain(t, s.FD, 2); !slices.Equal(texts, []string{"a", "b"}) {
			t.Errorf("%s: got %q after release", spec.Key(), texts)
		}
	}
}

func TestSplitPeerRefuses(t *testing.T) {
	tcp := mustOpen(t, inet("tcp4", loop4, 0))
	if _, _, err := SplitPeer(tcp, Peer{}); err == nil {
		t.Error("tcp was split")
	}
	s := mustOpen(t, inet("udp4", loop4, 0))
	if _, _, err := SplitPeer(s, Peer{}); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("empty queue: %v", err)
	}
	newPeer(t, s).send("x")
	waitReadable(t, s.FD)
	if _, _, err := SplitPeer(s, Peer{}); err == nil {
		t.Error("split for a peer who is not at the head")
	}
}

// A socket whose children live on can be opened again, and only once at a time.
func TestOpenBesideLivingChildren(t *testing.T) {
	s := mustOpen(t, inet("udp4", loop4, 0))
	a, b := newPeer(t, s), newPeer(t, s)
	a.send("a")
	child, next := mustSplit(t, s)
	b.send("b")
	other, next := mustSplit(t, next)
	if second, err := listener.Open(next.Spec); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("a second socket for everybody: %v, %v", second, err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, next.Spec)
	if _, err := listener.Open(next.Spec); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("a second socket for everybody: %v", err)
	}
	newPeer(t, again).send("new")
	a.send("a2")
	b.send("b2")
	if texts, _ := drain(t, again.FD, 1); !slices.Equal(texts, []string{"new"}) {
		t.Errorf("reopened socket got %q", texts)
	}
	for fd, want := range map[int][]string{child: {"a", "a2"}, other: {"b", "b2"}} {
		if texts, _ := drain(t, fd, 2); !slices.Equal(texts, want) {
			t.Errorf("child got %q", texts)
		}
	}
}
