package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// What a flood is in the comparison of good clients' latency, and how these come: so few of them, each with so long a pause, that a
// quiet machine has time left.
const (
	floodRate   = 50000
	floodWindow = 1024
	calmClients = 4
	calmPause   = 10 * time.Millisecond
	calmGoal    = 2.0
)

// shutHCL is limits that shut a source out for good once it has used up what it may have, which no good client does.
const shutHCL = refusingHCL + `
limit "shut" {
  concurrent = 100000
  rate       = "1000000/s"
  burst      = 1000000
  per_source {
    concurrent = 100000
    rate       = "1/h"
    burst      = 1000
  }
}
`

// besieged is a service under a flood of those it refuses.
type besieged struct {
	name    string
	p       product
	from    string
	sources int
}

// compareCalm measures how long good clients wait while attempts that are refused arrive, beside the same clients on a quiet machine,
// and beside as many attempts at a port where nobody listens: what the sender and the kernel take by themselves.
func compareCalm(ctx context.Context, b *bench) error {
	const one = "127.3.0.1"
	all := []besieged{
		{"by address, silent", refusing("silent", "silent", b.port(0)), refusedFrom, floodWindow},
		{"by address", refusing("usual", "", b.port(1)), refusedFrom, floodWindow},
		{"by address, always reset", refusing("reset", "reset", b.port(2)), refusedFrom, floodWindow},
		{"a source over its limit, silent", product{port: b.port(3), more: shutHCL, limit: "shut", refuse: "silent"}, one, 1},
		{"a source over its limit", product{port: b.port(4), more: shutHCL, limit: "shut"}, one, 1},
	}
	closed := loopback(b.port(9))
	for _, s := range all {
		r, err := b.product(ctx, s.p)
		if err != nil {
			return err
		}
		f := attack{to: r.addr, from: s.from, sources: s.sources, rate: floodRate, window: floodWindow}
		away := f
		away.to = closed
		err = b.besiege(ctx, r.addr, s.name, f, away)
		r.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// besiege measures one service.
func (b *bench) besiege(ctx context.Context, addr netip.AddrPort, name string, floods ...attack) error {
	names := []string{"flood", "closed port", "quiet"}
	d, sent := duel{}, map[string][]float64{}
	lost := 0
	for round := -1; round < b.rounds; round++ {
		for i := range names {
			which := (i + max(round, 0)) % len(names)
			var f *attack
			if which < len(floods) {
				f = &floods[which]
			}
			time.Sleep(b.span / 4) // what the flood before has left in a queue goes
			s, got, err := b.calmly(ctx, addr, f)
			if err != nil {
				return err
			}
			if round < 0 {
				continue
			}
			d[names[which]] = append(d[names[which]], s)
			sent[names[which]] = append(sent[names[which]], got.rate())
			if which == 0 {
				lost += s.lost
			}
		}
	}
	work := "good clients while attempts are refused, " + name
	r := result{Work: work, Unit: "p99 ms", Ours: d.median("flood", p99Of), Peers: []figure{{"closed port", d.median("closed port", p99Of)}, {"quiet", d.median("quiet", p99Of)}}}
	b.results.add(r.to("quiet", about(d.ratios("flood", "quiet", p99Of)), atMost(calmGoal)),
		r.to("closed port", about(d.ratios("flood", "closed port", p99Of)), nil),
		result{Work: work, Unit: "attempts/s", Ours: median(sent["flood"]), Peers: []figure{{"closed port", median(sent["closed port"])}}},
		result{Work: work, Unit: "good clients lost", Ours: float64(lost), Aim: atMost(0)})
	return nil
}

// calmly has good clients ask for a span, while f goes on, which is nil for none.
func (b *bench) calmly(ctx context.Context, addr netip.AddrPort, f *attack) (s sample, got flooded, err error) {
	if f == nil {
		s, err = calm(addr, b.span)
		return s, flooded{took: time.Second}, err
	}
	done := make(chan error, 1)
	go func() {
		var err error
		got, err = f.run(ctx, b, b.span+b.span/4)
		done <- err
	}()
	time.Sleep(b.span / 8)
	s, err = calm(addr, b.span)
	if ferr := <-done; err == nil {
		err = ferr
	}
	return s, got, err
}

// calmSource is the next good client's address, from 127.0.1.1 on: none of them uses up what it may have.
var calmSource atomic.Uint32

// calm is load by clients that pause. One that gets no answer is lost.
func calm(addr netip.AddrPort, d time.Duration) (sample, error) {
	ask := func() error {
		from := byte(calmSource.Add(1) % 250)
		if err := askFrom(addr, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, from + 1}}); err != nil {
			return errLost
		}
		return nil
	}
	return loadPaused(calmClients, d, calmPause, func() (func() error, func(), error) { return ask, func() {}, nil })
}
