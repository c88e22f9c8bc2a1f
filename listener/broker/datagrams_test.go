package broker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/acl"
	"casemate/listener"
	"casemate/listener/endpoint"

	"golang.org/x/sys/unix"
)

// datagramService answers each peer's first datagram with itself. The acl denies 127.0.0.2.
func datagramService(t *testing.T) (*rig, uint16) {
	g, port := newRig(t), freePort(t)
	s := svc("dd", "udp", port, "/bin/dd", "bs=64", "count=1", "status=none")
	p := testPolicy(s)
	p.ACLs[0].Rules = append([]acl.Rule{{Verdict: acl.Deny, From: []acl.Pattern{"127.0.0.2"}}}, p.ACLs[0].Rules...)
	g.loadPolicy(p)
	return g, port
}

func udpClient(t *testing.T, from string, port uint16) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from+":0")), net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// asked sends one datagram and tells whether its answer came.
func asked(c *net.UDPConn, patience time.Duration) bool {
	if _, err := c.Write([]byte("question")); err != nil {
		return false
	}
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	return err == nil && string(buf[:n]) == "question"
}

// TestPeersAtOnce: of 64 peers that send at the same time most are answered at
// once, and the others when they send again, as udp clients do.
func TestPeersAtOnce(t *testing.T) {
	_, port := datagramService(t)
	const peers = 64
	var clients [peers]*net.UDPConn
	for i := range clients {
		clients[i] = udpClient(t, "127.0.0.1", port)
	}
	left := clients[:]
	for round := range 5 {
		var wg sync.WaitGroup
		answered := make([]bool, len(left))
		for i, c := range left {
			wg.Go(func() { answered[i] = asked(c, 3*time.Second) })
		}
		wg.Wait()
		var again []*net.UDPConn
		for i, c := range left {
			if !answered[i] {
				again = append(again, c)
			}
		}
		t.Logf("round %d: %d of %d answered", round, len(left)-len(again), len(left))
		if round == 0 && len(again) > peers/3 {
			t.Errorf("%d of %d peers at once were not answered", len(again), peers)
		}
		left = again
	}
	if len(left) > 0 {
		t.Errorf("%d peers were never answered", len(left))
	}
}

// TestDeniedFlood: a source that the acl denies sends as fast as it is told to
// beside good clients, each of which asks once.
func TestDeniedFlood(t *testing.T) {
	for _, rate := range []int{500, 10_000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			g, port := datagramService(t)
			bad, stop := udpClient(t, "127.0.0.2", port), make(chan struct{})
			var flood sync.WaitGroup
			sent := 0
			flood.Go(func() {
				began := time.Now()
				for {
					select {
					case <-stop:
						return
					default:
					}
					// Not more at once than a socket's buffer has room for, however late this one runs.
					for burst := 0; burst < 32 && sent < int(time.Since(began).Seconds()*float64(rate)); burst++ {
						_, _ = bad.Write([]byte("flood"))
						sent++
					}
					time.Sleep(100 * time.Microsecond)
				}
			})
			const requests = 200
			lost := 0
			for range requests {
				if !asked(udpClient(t, "127.0.0.1", port), 3*time.Second) {
					if lost++; lost > requests/10 {
						break
					}
				}
			}
			close(stop)
			flood.Wait()
			t.Logf("%d of %d good requests lost beside %d denied datagrams; refused by %v", lost, requests, sent, g.status1("dd").RefusedBy)
			if lost > requests/33 {
				t.Errorf("%d of %d good requests were lost", lost, requests)
			}
		})
	}
}

// TestLanesComeAndGo: the other sockets of a nowait udp service go when it becomes
// a wait service, and when it goes.
func TestLanesComeAndGo(t *testing.T) {
	g, port := datagramService(t)
	lanes := func() (n, open int) {
		g.do(func() {
			for _, at := range g.sockets {
				n += len(at.lanes)
			}
		})
		text, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		return n, strings.Count(string(text), fmt.Sprintf(": 0100007F:%04X 00000000:0000", port))
	}
	if n, open := lanes(); n != maxLanes-1 || open != maxLanes {
		t.Errorf("%d lanes, %d sockets", n, open)
	}
	if l, err := listener.Open(listener.Spec{Endpoint: endpoint.Endpoint{Network: "udp4", Addr: netip.AddrPortFrom(loopback, port)}}); err == nil {
		t.Error("another broker could take the address too")
		l.Close()
	}
	s := svc("dd", "udp", port, "/bin/dd", "bs=64", "count=1", "status=none")
	s.Wait = true
	g.load(s)
	if n, open := lanes(); n != 0 || open != 1 {
		t.Errorf("wait: %d lanes, %d sockets", n, open)
	}
	s.Wait = false
	g.load(s)
	if n, open := lanes(); n != maxLanes-1 || open != maxLanes {
		t.Errorf("nowait again: %d lanes, %d sockets", n, open)
	}
	g.load(svc("other", "tcp", freePort(t), "/bin/cat"))
	if n, open := lanes(); n != 0 || open != 0 {
		t.Errorf("removed: %d lanes, %d sockets", n, open)
	}
}

// TestLanesAreFilledUpLater: those for which there was no descriptor are opened when there is.
func TestLanesAreFilledUpLater(t *testing.T) {
	g, _ := datagramService(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	lanes := func() (n int) {
		g.do(func() {
			for _, at := range g.sockets {
				n += len(at.lanes)
			}
		})
		return n
	}
	g.do(func() {
		for _, at := range g.sockets {
			at.unspread()
			first, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			unix.Close(first)
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(first) + 3, Max: old.Max}); err != nil {
				t.Error(err)
			}
			at.sync()
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
				panic(err)
			}
			if n := len(at.lanes); n >= maxLanes-1 {
				t.Errorf("%d lanes without descriptors", n)
			}
		}
	})
	eventually(t, func() bool { return lanes() == maxLanes-1 })
}
