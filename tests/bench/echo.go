package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"casemate/tests/root/rig"
)

// echoRate is what all clients of an echo service ask together in a second at a pace that nobody should lose at.
const echoRate = 1800

// echoPatience is when an answer counts as lost.
const echoPatience = time.Second

// echoPort is where openbsd-inetd has its own echo, by name.
const echoPort = 7

// echoPeers serve echo by udp themselves.
var echoPeers = []peer{
	{"openbsd-inetd", "openbsd-inetd", "usr/sbin/inetd", inetdEcho},
	{"xinetd", "xinetd", "usr/sbin/xinetd", xinetdEcho},
}

func inetdEcho(binary, dir string, _ []string, _ uint16) ([]string, error) {
	conf := filepath.Join(dir, "inetd.conf")
	return []string{binary, "-i", "-q", "4096", "-R", "0", conf}, os.WriteFile(conf, []byte("127.0.0.1:echo dgram udp wait root internal\n"), 0o644)
}

func xinetdEcho(binary, dir string, _ []string, port uint16) ([]string, error) {
	conf := filepath.Join(dir, "xinetd.conf")
	text := fmt.Sprintf(`defaults
{
	cps   = 1000000 1
	flags = NOLIBWRAP
}
service echo
{
	type        = INTERNAL UNLISTED
	id          = echo-dgram
	socket_type = dgram
	protocol    = udp
	bind        = 127.0.0.1
	port        = %d
	wait        = yes
	user        = root
	disable     = no
}
`, port)
	return []string{binary, "-dontfork", "-f", conf, "-pidfile", filepath.Join(dir, "xinetd.pid")}, os.WriteFile(conf, []byte(text), 0o644)
}

// echoStretch is by how much a stretch may take longer than twice its time.
const echoStretch = 5 * time.Second

// volley is what one stretch of echoes came to.
type volley struct {
	lost    int
	latency []time.Duration // of those that came back, sorted
	took    time.Duration
	cpu     time.Duration
}

// rate is how many came back in a second.
func (v *volley) rate() int { return int(float64(len(v.latency)) / v.took.Seconds()) }

// echoOnce sends one datagram and waits for it to come back.
func echoOnce(c net.Conn, n int) (time.Duration, error) {
	text, buf := fmt.Sprintf("datagram %d of a client", n), make([]byte, 64)
	began := time.Now()
	if err := c.SetDeadline(began.Add(echoPatience)); err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte(text)); err != nil {
		return 0, err
	}
	for {
		m, err := c.Read(buf)
		if err != nil {
			return 0, err
		}
		if string(buf[:m]) == text { // and not a late one
			return time.Since(began), nil
		}
	}
}

// elsewhere is an address of the host's that is not of 127.0.0.0/8, if it has one: to those openbsd-inetd
// answers no datagram. nil is none.
func elsewhere() (net.IP, error) {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.To4(), err
		}
	}
	return nil, err
}

func dialEcho(addr netip.AddrPort) (net.Conn, error) {
	from, err := elsewhere()
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	if from != nil {
		d.LocalAddr = &net.UDPAddr{IP: from}
	}
	return d.Dial("udp4", addr.String())
}

func askEcho(addr netip.AddrPort) error {
	c, err := dialEcho(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = echoOnce(c, 0)
	return err
}

// echoes has the clients make n round trips in all, at echoRate, or as many as they get to in twice the time that it
// takes.
func echoes(t *target, n int) (volley, error) {
	var out volley
	var mu sync.Mutex
	var wg sync.WaitGroup
	before, err := rig.CPU(t.pid)
	if err != nil {
		return out, err
	}
	start, every := time.Now(), time.Second*clients/echoRate
	end := start.Add(2*time.Duration(n/clients)*every + echoStretch)
	for range clients {
		c, err := dialEcho(t.addr)
		if err != nil {
			return out, err
		}
		defer c.Close()
		wg.Go(func() {
			var seen []time.Duration
			lost := 0
			for i := 0; i < n/clients && time.Now().Before(end); i++ {
				time.Sleep(time.Until(start.Add(time.Duration(i) * every)))
				if d, err := echoOnce(c, i); err != nil {
					lost++
				} else {
					seen = append(seen, d)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			out.lost, out.latency = out.lost+lost, append(out.latency, seen...)
		})
	}
	wg.Wait()
	out.took = time.Since(start)
	slices.Sort(out.latency)
	after, err := rig.CPU(t.pid)
	out.cpu = after - before
	return out, err
}

// compareEcho measures what udp echoes cost and lose.
func compareEcho(ctx context.Context, b *bench) error {
	t := table{
		title: "Echo: datagrams",
		note:  fmt.Sprintf("%d clients, %d round trips of each server at %d a second, with responses of casemate's limit raised.", clients, b.echoes, echoRate),
		head:  []string{"server", "datagrams", "lost", "echoes/s", "p50 µs", "p99 µs", "CPU µs/echo"},
	}
	lost := result{Work: fmt.Sprintf("%d echoes by udp at %d a second", b.echoes, echoRate), Unit: "lost", Aim: atMost(0)}
	one := func(s *target) error {
		defer s.stop()
		v, err := echoes(s, b.echoes)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		times := sample{latency: v.latency}
		t.add(s.name, len(v.latency)+v.lost, v.lost, v.rate(), times.percentile(50).Microseconds(), times.percentile(99).Microseconds(), v.cpu.Microseconds()/int64(max(len(v.latency), 1)))
		if s.name == ours {
			lost.Ours = float64(v.lost)
		} else {
			lost.Peers = append(lost.Peers, figure{s.name, float64(v.lost)})
		}
		return nil
	}
	own, err := b.ownBuiltin(works[len(works)-1], b.port(len(peers)+1), askEcho)
	if err != nil {
		return err
	}
	if err := one(own); err != nil {
		return err
	}
	for i, p := range echoPeers {
		port := b.port(len(peers) + 2 + i)
		if p.name == "openbsd-inetd" {
			port = echoPort
		}
		s, err := p.startAsked(ctx, b.cache, nil, port, askEcho)
		if err != nil {
			return err
		}
		if err := one(s); err != nil {
			return err
		}
	}
	t.print(b.out)
	b.results.add(lost)
	return nil
}
