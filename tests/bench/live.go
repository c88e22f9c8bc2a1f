package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// How many sessions are held, how many prefixes an acl has, what the broker may take for each of those sessions, and by how much the
// others may be slowed.
const (
	liveSessions = 10000
	livePrefixes = 50000
	mostPatterns = 4000 // of one rule
	liveBound    = 4    // KiB
	liveRate     = 0.9
	liveTail     = 1.1
)

// holdHCL is a service whose sessions stay as long as their clients, and are no more than processes: what they are themselves
// is not asked.
const holdHCL = `
profile "hold" {
  base        = profile.line
  best_effort = ["cgroup"]
  resources {
    processes = 30000
  }
}

service "hold" {
  listen  = ["tcp://127.0.0.1:%d"]
  command = [%q]
  user    = "nobody"
  acl     = acl.anyone
  limit   = limit.none
  profile = profile.hold
}
`

// prefixesHCL is an acl that denies many networks, none of them that of the clients.
func prefixesHCL(n int) string {
	var s strings.Builder
	s.WriteString("acl \"long\" {\n")
	for i := range n {
		if i%mostPatterns == 0 {
			s.WriteString("deny {\nfrom = [\n")
		}
		fmt.Fprintf(&s, "\"%d.%d.%d.0/24\",\n", 10+i/32768, i/128%256, i%128*2) // none touches the next one, which would make one of them
		if i%mostPatterns == mostPatterns-1 || i == n-1 {
			s.WriteString("]\n}\n")
		}
	}
	s.WriteString("allow { from = [\"127.0.0.0/8\"] }\n}\n")
	return s.String()
}

// comparePrefixes asks whether many prefixes in an acl slow connections down: casemated beside one that has none, in turns.
func comparePrefixes(ctx context.Context, b *bench) error {
	return b.compareWith(ctx, product{name: "prefixes", port: b.port(1), more: prefixesHCL(livePrefixes), acl: "long"}, fmt.Sprintf("with %d prefixes in the acl", livePrefixes),
		func(*running) (func(), error) { return func() {}, nil })
}

// compareLive asks what many idle sessions take, and whether they slow the others down.
func compareLive(ctx context.Context, b *bench) error {
	p := product{name: "sessions", port: b.port(1), more: fmt.Sprintf(holdHCL, b.port(2), b.hold)}
	return b.compareWith(ctx, p, fmt.Sprintf("with %d idle sessions", liveSessions), func(r *running) (func(), error) {
		return b.fill(ctx, r, netip.AddrPortFrom(r.addr.Addr(), b.port(2)))
	})
}

// compareWith compares a casemated that was made ready with one that has nothing of the kind.
func (b *bench) compareWith(ctx context.Context, p product, how string, ready func(*running) (leave func(), err error)) error {
	plain, err := b.product(ctx, product{name: "none", port: b.port(0)})
	if err != nil {
		return err
	}
	defer plain.stop()
	r, err := b.product(ctx, p)
	if err != nil {
		return err
	}
	defer r.stop()
	leave, err := ready(r)
	defer leave()
	if err != nil {
		return err
	}
	return b.slowed(ctx, r, plain, how)
}

// slowed compares rate and tail of one with those of another.
func (b *bench) slowed(ctx context.Context, one, other *running, how string) error {
	d, err := inTurns(ctx, []*target{one.target, other.target}, clients, b.rounds, b.span)
	if err != nil {
		return err
	}
	work := fmt.Sprintf("%d clients, %s", clients, how)
	for _, f := range []struct {
		unit string
		of   func(sample) float64
		held *aim
	}{{"conn/s", rateOf, atLeast(liveRate)}, {"p99 ms", p99Of, atMost(liveTail)}} {
		r := result{Work: work, Unit: f.unit, Ours: d.median(one.name, f.of), Peers: []figure{{"without", d.median(other.name, f.of)}}}
		b.results.add(r.to("without", about(d.ratios(one.name, other.name, f.of)), f.held))
	}
	r := result{Work: work, Unit: "CPU µs/conn", Ours: d.sum(one.name), Peers: []figure{{"without", d.sum(other.name)}}}
	b.results.add(r.to("without", processor(d[one.name], d[other.name]), nil))
	return nil
}

// fill opens the sessions, and weighs the broker before and with them.
func (b *bench) fill(ctx context.Context, r *running, addr netip.AddrPort) (leave func(), err error) {
	var held []int
	leave = func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
		_ = r.Idle(time.Minute)
	}
	broker, err := r.Acceptor()
	if err != nil {
		return leave, err
	}
	weigh := func() (of, root rig.Memory, err error) {
		time.Sleep(settled)
		if of, err = rig.MemoryOf(broker); err == nil {
			root, err = rig.MemoryOf(r.PID)
		}
		return of, root, err
	}
	before, rootBefore, err := weigh()
	if err != nil {
		return leave, err
	}
	for range liveSessions {
		if err := ctx.Err(); err != nil {
			return leave, err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return leave, err
		}
		held = append(held, fd)
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
			return leave, fmt.Errorf("session %d: %w", len(held), err)
		}
		n, err := unix.Read(fd, make([]byte, 1))
		for err == unix.EINTR {
			n, err = unix.Read(fd, make([]byte, 1))
		}
		if n != 1 {
			return leave, fmt.Errorf("session %d did not begin: %d, %w", len(held), n, err)
		}
	}
	with, rootWith, err := weigh()
	if err != nil {
		return leave, err
	}
	each := func(with, before rig.Memory) float64 { return float64(with.PSS-before.PSS) / 1024 / liveSessions }
	work := fmt.Sprintf("each of %d idle sessions: memory of ", liveSessions)
	b.results.add(result{Work: work + "the broker", Unit: "KiB PSS", Ours: each(with, before), Aim: atMost(liveBound)},
		result{Work: work + "casemated", Unit: "KiB PSS", Ours: each(rootWith, rootBefore)})
	return leave, nil
}
