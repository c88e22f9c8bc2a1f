package main

import "context"

// compareNetwork measures what a network namespace of each connection's own costs beside one that those of a service
// share. Such a program has no socket of its client's (network { mode = "private" }), so a relay carries the bytes of both.
func compareNetwork(ctx context.Context, b *bench) error {
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	for i, p := range []product{{name: "private", profile: "private", relay: true}, {name: "shared", profile: "bench", relay: true}, {name: "socket", profile: "bench"}} {
		p.port = b.port(50 + i)
		t, err := b.product(ctx, p)
		if err != nil {
			return err
		}
		targets = append(targets, t.target)
	}
	d, err := inTurns(ctx, targets, clients, b.rounds, b.span)
	if err != nil {
		return err
	}
	r := result{Work: "a network namespace for each connection", Unit: "conn/s", Ours: d.median("private", rateOf)}
	b.results.add(r.to("one for all, relayed too", about(d.ratios("private", "shared", rateOf)), atLeast(0.8)).briefly(),
		r.to("one for all, by the socket", about(d.ratios("private", "socket", rateOf)), nil))
	return nil
}
