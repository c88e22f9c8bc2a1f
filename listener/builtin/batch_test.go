package builtin

import (
	"fmt"
	"net"
	"testing"
	"time"

	"casemate/acl/limit"

	"golang.org/x/sys/unix"
)

// wildcard is a server with one udp socket on every address of a family, whose guard takes it for a loopback one.
func wildcard(t *testing.T, c *Config, network string) (*server, *packetSocket) {
	t.Helper()
	l, err := net.ListenUDP(network, &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPacketSocket(f)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	t.Cleanup(func() { p.conn.Close() })
	p.guard.loopback = true
	gate, err := newGate(c)
	if err != nil {
		t.Fatal(err)
	}
	return &server{config: c, protocol: protocolOf(c.Builtin), gate: gate, idle: newIdle(time.Hour), batch: newBatch(), records: newRecords(new(safeBuffer).put, c)}, p
}

// raised is a config that answers as often as anything is asked.
func raised(name string) *Config {
	c := config(name)
	c.Limit.Responses, c.Limit.ResponsesTotal = limit.Rate{Events: 500_000, Per: time.Second}, limit.Rate{Events: 500_000, Per: time.Second}
	return c
}

func (p *packetSocket) control(t *testing.T, do func(fd int)) {
	t.Helper()
	raw, err := p.conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { do(int(fd)) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// asking is a client at an address of its own, which sees answers from the address it asked alone.
func asking(t *testing.T, network, from, to string, p *packetSocket) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP(network, &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP(to), Port: int(p.bound.Port())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBatchAnswersFromTheAddressAsked: datagrams to many addresses of ours that one call takes are each answered
// from their own, more of them than one batch has, and of every size.
func TestBatchAnswersFromTheAddressAsked(t *testing.T) {
	s, p := wildcard(t, raised("echo"), "udp4")
	var clients []*net.UDPConn
	text := func(i int) string { return fmt.Sprintf("%0*d", 1+i*100, i) }
	for i := range 2*most + 5 {
		c := asking(t, "udp4", fmt.Sprintf("127.0.1.%d", i+1), fmt.Sprintf("127.0.2.%d", i+1), p)
		if _, err := c.Write([]byte(text(i))); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	done := make(chan error)
	go func() { done <- s.receive(p) }()
	for i, c := range clients {
		buf := make([]byte, maxDatagram)
		if n, err := c.Read(buf); err != nil || string(buf[:n]) != text(i) {
			t.Errorf("client %d: %d bytes, %v", i, n, err)
		}
	}
	p.conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFailedAnswerLosesNoOther: answers that cannot be sent are left out, wherever they stand among the others.
func TestFailedAnswerLosesNoOther(t *testing.T) {
	s, p := wildcard(t, raised("echo"), "udp4")
	for _, bad := range [][]int{{0}, {1}, {3}, {0, 1}, {0, 2, 3}, {0, 1, 2, 3}} {
		b := s.batch
		var clients []*net.UDPConn
		for i := range 4 {
			c := asking(t, "udp4", fmt.Sprintf("127.0.3.%d", i+1), "127.0.0.1", p)
			if _, err := c.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		p.control(t, func(fd int) {
			for came := 0; came < 4; {
				n, err := b.receive(fd)
				if err == unix.EAGAIN {
					continue
				} else if err != nil || n+came != 4 { // loopback delivers before Write returns
					t.Fatal(n, err)
				}
				came += n
				for i := range n {
					if d := b.take(i); !s.answer(p, b, d, time.Now()) {
						t.Errorf("datagram %d is refused", i)
					}
				}
			}
			for _, i := range bad {
				b.out[i].hdr.Namelen = 3 // EINVAL
			}
			if !b.send(fd) {
				t.Error("the socket takes no more")
			}
		})
		for i, c := range clients {
			lost := false
			for _, x := range bad {
				lost = lost || x == i
			}
			if lost {
				_ = c.SetReadDeadline(time.Now().Add(silence / 10))
			}
			if n, err := c.Read(make([]byte, 9)); (err != nil) != lost {
				t.Errorf("without %v: client %d: %d bytes, %v", bad, i, n, err)
			}
		}
	}
}

// TestNoAllocationForADatagram: neither one that is answered nor one that is refused costs memory; a flood cannot
// make the worker collect garbage.
func TestNoAllocationForADatagram(t *testing.T) {
	for name, tt := range map[string]struct {
		network, from, to string
		c                 func(c *Config)
	}{
		"answered":         {"udp4", "127.0.0.1", "127.0.0.2", func(*Config) {}},
		"answered by IPv6": {"udp6", "::1", "::1", func(*Config) {}},
		"over its rate":    {"udp4", "127.0.0.1", "127.0.0.2", func(c *Config) { c.Limit.Responses = limit.Rate{Events: 1, Per: time.Hour} }},
		"not admitted":     {"udp4", "127.0.0.1", "127.0.0.2", func(c *Config) { c.ACL = nil }},
	} {
		for _, protocol := range []string{"echo", "daytime", "time", "chargen", "discard", "qotd"} {
			config := raised(protocol)
			tt.c(config)
			s, p := wildcard(t, config, tt.network)
			c := asking(t, tt.network, tt.from, tt.to, p)
			s.records.due = time.NewTimer(time.Hour) // the counts are told every second, whatever comes
			b, question, answer := s.batch, []byte("a question of some length"), make([]byte, 99)
			p.control(t, func(fd int) {
				round := func() {
					for range most {
						if _, err := c.Write(question); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := s.turn(p, fd, nil); err != nil {
						t.Fatal(err)
					}
					for range b.ready {
						if _, err := c.Read(answer); err != nil {
							t.Fatal(err)
						}
					}
				}
				for range 20 { // the log takes the first refusals, up to its burst
					round()
				}
				s.records.start = s.records.start.Add(time.Hour) // from here on it takes none, however slow this goes
				n := testing.AllocsPerRun(50, round)
				for tries := 0; n > 0 && tries < 5; tries++ { // of other tests, which tell their counts late
					n = testing.AllocsPerRun(50, round)
				}
				if n > 0 {
					t.Errorf("%s, %s: %v allocations for %d datagrams", name, protocol, n, most)
				}
				if answers := b.ready; (answers == most) != (tt.network == "udp6" || name == "answered") && protocol != "discard" {
					t.Errorf("%s, %s: %d answers", name, protocol, answers)
				}
			})
		}
	}
}

// FuzzTake: whatever the kernel might write about a datagram, it has an address and a length, or none.
func FuzzTake(f *testing.F) {
	f.Add(uint16(unix.AF_INET), uint32(0), []byte("x"))
	f.Add(uint16(unix.AF_INET6), uint32(2), unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 1}))
	b := newBatch()
	f.Fuzz(func(t *testing.T, family uint16, scope uint32, control []byte) {
		b.from[0] = unix.RawSockaddrInet6{Family: family, Scope_id: scope, Port: 0x0100}
		b.in[0].length = 3
		b.in[0].hdr.SetControllen(copy(b.inControl[0][:], control))
		d := b.take(0)
		inet := family == unix.AF_INET || family == unix.AF_INET6
		if len(d.data) != 3 || d.from.IsValid() != inet || d.local.Is4In6() || d.from.Addr().Zone() != "" {
			t.Errorf("%+v", d)
		}
	})
}
