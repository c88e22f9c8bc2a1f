package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"casemate/acl/limit/responses"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// work is what a built-in is asked for, by blocking clients.
type work struct {
	title, protocol string
	kind            int     // of the sockets
	aim             float64 // ratio to the best peer of those that lose none
	floor           float64 // ratio to the least that a server of it can be, one thread that blocks; 0 where that is not measured
	threads         string  // of fourloop.c: what four threads that do nothing else come to
	client          func(netip.AddrPort) (ask func() error, leave func(), err error)
}

const (
	floorName   = "recvfrom loop in C"
	threadsName = "4 threads in C"
)

var works = []work{
	{"daytime by tcp: connections", "daytime", unix.SOCK_STREAM, 1.5, 0, "daytime", daytimeClient},
	{"echo by tcp: round trips", "echo", unix.SOCK_STREAM, 1.0, 0, "echo", echoClient(unix.SOCK_STREAM)},
	{"echo by udp: round trips", "echo", unix.SOCK_DGRAM, 2.0, 0.7, "udp", echoClient(unix.SOCK_DGRAM)},
}

// dial is a connected blocking socket that waits for an answer as long as an echo has patience.
func dial(kind int, addr netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(echoPatience / time.Second)})
	if kind == unix.SOCK_DGRAM && err == nil {
		var from net.IP
		if from, err = elsewhere(); from != nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte(from)})
		}
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect %s: %w", addr, err)
	}
	return fd, nil
}

// daytimeClient makes a connection for each question.
func daytimeClient(addr netip.AddrPort) (func() error, func(), error) {
	buf := make([]byte, 64)
	return func() error {
		fd, err := dial(unix.SOCK_STREAM, addr)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for have := 0; ; {
			n, err := unix.Read(fd, buf[have:])
			switch {
			case err == unix.EINTR:
			case err != nil:
				return fmt.Errorf("read from %s: %w", addr, err)
			case n == 0 && have < len("Thu Nov 26 12:00:00 2026\r\n"):
				return fmt.Errorf("%s answered %q", addr, buf[:have])
			case n == 0:
				return nil
			default:
				have += n
			}
		}
	}, func() {}, nil
}

// echoClient has one socket for all questions.
func echoClient(kind int) func(netip.AddrPort) (func() error, func(), error) {
	return func(addr netip.AddrPort) (func() error, func(), error) {
		fd, err := dial(kind, addr)
		if err != nil {
			return nil, nil, err
		}
		question, buf, n := []byte("question 00000000 of a client\r\n"), make([]byte, 64), 0
		return func() error {
			n++
			copy(question[9:17], fmt.Sprintf("%08d", n%100_000_000))
			if _, err := unix.Write(fd, question); err != nil {
				return fmt.Errorf("write to %s: %w", addr, err)
			}
			for {
				m, err := unix.Read(fd, buf)
				switch {
				case err == unix.EINTR, err == nil && kind == unix.SOCK_DGRAM && !bytes.Equal(buf[:m], question): // a late one
				case err == unix.EAGAIN && kind == unix.SOCK_DGRAM:
					return errLost
				case err != nil || !bytes.Equal(buf[:m], question):
					return fmt.Errorf("%s answered %q, %w", addr, buf[:max(m, 0)], err)
				default:
					return nil
				}
			}
		}, func() { _ = unix.Close(fd) }, nil
	}
}

// xinetdBuiltin has xinetd serve one of its own.
func xinetdBuiltin(w work) func(binary, dir string, _ []string, port uint16) ([]string, error) {
	words := map[int][4]string{unix.SOCK_STREAM: {"stream", "tcp", "no", "-stream"}, unix.SOCK_DGRAM: {"dgram", "udp", "yes", "-dgram"}}[w.kind]
	return func(binary, dir string, _ []string, port uint16) ([]string, error) {
		conf := filepath.Join(dir, "xinetd.conf")
		text := fmt.Sprintf("defaults\n{\n\tinstances = UNLIMITED\n\tper_source = UNLIMITED\n\tcps = 1000000 1\n\tflags = NOLIBWRAP\n}\nservice %s\n{\n\ttype = INTERNAL UNLISTED\n\tid = %s\n"+
			"\tsocket_type = %s\n\tprotocol = %s\n\twait = %s\n\tbind = 127.0.0.1\n\tport = %d\n\tuser = root\n\tdisable = no\n}\n",
			w.protocol, w.protocol+words[3], words[0], words[1], words[2], port)
		return []string{binary, "-dontfork", "-f", conf, "-pidfile", filepath.Join(dir, "xinetd.pid")}, os.WriteFile(conf, []byte(text), 0o644)
	}
}

// compareBuiltins measures what casemate serves itself against what its peers serve themselves.
func compareBuiltins(ctx context.Context, b *bench) error {
	t := table{
		title: "Built-ins",
		note: fmt.Sprintf("%d clients; %d rounds of %s in turns. No limit is in the way: responses of casemate's is raised. Ratios are casemate's to the server of the row: medians of the rounds' own for what is done in a second, sums for processor time, with the interval that holds them in 95 of 100 runs.",
			clients, b.rounds, b.span),
		head: []string{"work", "server", "a second", "lost", "p50 µs", "p99 µs", "CPU µs each", "rate ratio", "CPU ratio"},
	}
	for i, w := range works {
		if err := b.builtin(ctx, &t, w, 1500+10*i); err != nil {
			return fmt.Errorf("%s: %w", w.title, err)
		}
	}
	t.print(b.out)
	return nil
}

// builtin measures one work, on ports from the n-th on.
func (b *bench) builtin(ctx context.Context, t *table, w work, n int) error {
	answers := func(addr netip.AddrPort) error {
		ask, leave, err := w.client(addr)
		if err != nil {
			return err
		}
		defer leave()
		return ask()
	}
	own, err := b.ownBuiltin(w, b.port(n), answers)
	if err != nil {
		return err
	}
	targets := []*target{own}
	defer func() {
		for _, s := range targets {
			s.stop()
		}
	}()
	all := []peer{{"xinetd", "xinetd", "usr/sbin/xinetd", xinetdBuiltin(w)}}
	if from, err := elsewhere(); err != nil {
		return err
	} else if from != nil && w.kind == unix.SOCK_DGRAM {
		all = append(all, peer{"openbsd-inetd", "openbsd-inetd", "usr/sbin/inetd", inetdEcho})
	}
	for i, p := range all {
		port := b.port(n + 1 + i)
		if p.name == "openbsd-inetd" {
			port = echoPort
		}
		s, err := p.startAsked(ctx, b.cache, nil, port, answers)
		if err != nil {
			return err
		}
		targets = append(targets, s)
	}
	if w.floor > 0 {
		f, err := least(ctx, floorName, []string{b.recvloop}, b.port(n+9), answers)
		if err != nil {
			return err
		}
		targets = append(targets, f)
	}
	f, err := least(ctx, threadsName, []string{b.fourloop, w.threads}, b.port(n+8), answers)
	if err != nil {
		return err
	}
	targets = append(targets, f)
	d, err := inTurnsBy(ctx, targets, b.rounds, b.span, func(s *target, span time.Duration) (sample, error) {
		return loadBy(clients, span, func() (func() error, func(), error) { return w.client(s.addr) })
	})
	if err == nil {
		b.reportBuiltin(t, w, d, targets)
	}
	return err
}

// reportBuiltin adds a row for each of targets, of which casemate's is the first.
func (b *bench) reportBuiltin(t *table, w work, d duel, targets []*target) {
	best, asked := "", []string{}
	missing := result{Work: w.title, Unit: "lost", Aim: atMost(0)}
	row := result{Work: w.title, Unit: "a second", Ours: d.median(ours, rateOf)}
	for _, s := range targets {
		lost := 0
		for _, x := range d[s.name] {
			lost += x.lost
		}
		rate, cpu := "", ""
		switch s.name {
		case ours:
			missing.Ours = float64(lost)
		case floorName:
			row.Floor = new(d.median(floorName, rateOf))
		case threadsName:
			if w.floor == 0 {
				row.Floor = new(d.median(threadsName, rateOf))
			}
		default:
			asked, missing.Peers = append(asked, s.name), append(missing.Peers, figure{s.name, float64(lost)})
			if lost == 0 && (best == "" || d.median(s.name, rateOf) > d.median(best, rateOf)) {
				best = s.name
			}
		}
		if s.name != ours {
			rate, cpu = about(d.ratios(ours, s.name, rateOf)).String(), processor(d[ours], d[s.name]).String()
		}
		micros := func(figure func(sample) float64) string { return fmt.Sprintf("%.0f", 1e3*d.median(s.name, figure)) }
		t.add(w.title, s.name, fmt.Sprintf("%.0f", d.median(s.name, rateOf)), lost, micros(p50Of), micros(p99Of), fmt.Sprintf("%.1f", d.sum(s.name)), rate, cpu)
	}
	row.Peers = d.figures(asked, rateOf)
	if best != "" { // of those that lose none
		b.results.add(row.to(best, about(d.ratios(ours, best, rateOf)), atLeast(w.aim)).briefly())
	}
	if w.floor > 0 {
		b.results.add(row.to(floorName, about(d.ratios(ours, floorName, rateOf)), atLeast(w.floor)))
	}
	b.results.add(missing)
}

// ownBuiltin is a casemated with the built-in.
func (b *bench) ownBuiltin(w work, port uint16, answers func(netip.AddrPort) error) (*target, error) {
	libexec, err := filepath.Abs(b.libexec)
	if err != nil {
		return nil, err
	}
	network := map[int]string{unix.SOCK_STREAM: "tcp4", unix.SOCK_DGRAM: "udp4"}[w.kind]
	limits := strings.Replace(everyLayerHCL, `limit "none" {`, fmt.Sprintf("limit \"none\" {\n  responses = \"%d/s\"\n  responses_total = \"%[1]d/s\"", responses.Most), 1)
	text := limits + fmt.Sprintf("\nservice \"own\" {\n  listen  = [\"%s://127.0.0.1:%d\"]\n  builtin = %q\n  acl     = acl.anyone\n  limit   = limit.none\n}\n", network, port, w.protocol)
	broker, err := rig.Start(rig.Options{Bin: libexec, Files: map[string]string{"bench.cm.hcl": text}})
	if err != nil {
		return nil, err
	}
	t := &target{name: ours, addr: loopback(port), pid: broker.PID, stop: broker.Stop}
	if err := t.ready(10*time.Second, answers); err != nil {
		t.stop()
		return nil, fmt.Errorf("%w\n%s", err, broker.Stderr())
	}
	return t, nil
}
