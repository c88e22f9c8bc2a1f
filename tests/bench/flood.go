package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"time"
)

// attack is what testdata/flood.c does, and to whom.
type attack struct {
	to      netip.AddrPort // the zero one is an interface that leads nowhere
	from    string         // the first source
	sources int            // from that one on
	rate    int            // attempts a second, 0 is as many as it can
	window  int            // sockets in turns; an attempt has so long as all others take
}

// flooded is what came of one.
type flooded struct {
	attempts, reset, refused, silent, open, ended, failed int

	took, cpu time.Duration // cpu is the sender's own, what the kernel does about a packet on loopback with it
}

// answered are the attempts that were refused by a server that had accepted them.
func (f flooded) answered() int { return f.reset + f.ended }

func (f flooded) rate() float64 { return float64(f.attempts) / f.took.Seconds() }

// run sends for d.
func (f attack) run(ctx context.Context, b *bench, d time.Duration) (out flooded, err error) {
	to, port := "nowhere", uint16(9)
	if f.to.IsValid() {
		to, port = f.to.Addr().String(), f.to.Port()
	}
	cmd := exec.CommandContext(ctx, b.flood, to, fmt.Sprint(port), f.from, fmt.Sprint(f.sources), fmt.Sprint(f.rate), fmt.Sprint(d.Milliseconds()), fmt.Sprint(f.window))
	text, err := cmd.Output()
	if err == nil {
		_, err = fmt.Sscan(string(text), &out.attempts, &out.reset, &out.refused, &out.silent, &out.open, &out.ended, &out.failed, &out.took, &out.cpu)
	}
	if err != nil {
		return out, fmt.Errorf("flood: %w", err)
	}
	if out.failed > 0 {
		return out, fmt.Errorf("%d of %d attempts could not be begun", out.failed, out.attempts)
	}
	return out, nil
}

// listens tells whether somebody does, if only to drop what comes.
func listens(addr netip.AddrPort) error {
	c, err := net.DialTimeout("tcp4", addr.String(), 50*time.Millisecond)
	if err == nil {
		return c.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}
