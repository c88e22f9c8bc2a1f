package main

import (
	"context"
	"fmt"
)

// The two sizes of a broker whose start costs are compared.
const (
	fewListeners  = 10
	manyListeners = 2000
)

// compareGrowth asks whether a connection costs more when the broker holds many
// listeners: two brokers, one client, in turns.
func compareGrowth(ctx context.Context, b *bench) error {
	few, err := b.product(ctx, product{name: "few", port: b.port(10), wide: fewListeners - 1, firstWide: b.port(200)})
	if err != nil {
		return err
	}
	defer few.stop()
	many, err := b.product(ctx, product{name: "many", port: b.port(11), wide: manyListeners - 1, firstWide: b.port(300)})
	if err != nil {
		return err
	}
	defer many.stop()
	d, err := inTurns(ctx, []*target{few.target, many.target}, 1, b.rounds, b.span)
	if err != nil {
		return err
	}
	r := result{Work: fmt.Sprintf("one connection after the other, with %d listeners", manyListeners), Unit: "p50 ms", Ours: d.median("many", p50Of)}
	b.results.add(r.to(fmt.Sprintf("%d listeners", fewListeners), about(d.ratios("many", "few", p50Of)), atMost(1.1)))
	return nil
}
