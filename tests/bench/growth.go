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
	few, err := b.product(ctx, product{name: "few", port: b.port(10), wide: fewListeners - 1, firstIdle: b.port(20)})
	if err != nil {
		return err
	}
	defer few.stop()
	many, err := b.product(ctx, product{name: "many", port: b.port(11), wide: manyListeners - 1, firstIdle: b.port(100)})
	if err != nil {
		return err
	}
	defer many.stop()
	d, err := inTurns(ctx, []*target{few.target, many.target}, 1, 2*b.rounds, b.span/3)
	if err != nil {
		return err
	}
	t := table{
		title: "Growth: one connection after the other, by listeners",
		note:  "Medians over the rounds of the median connection; the ratio is the median of the rounds' ratios.",
		head:  []string{"open listeners", "p50 ms", "conn/s", "ratio"},
	}
	ratio := d.ratio("many", "few", p50Of)
	t.add(fewListeners, fmt.Sprintf("%.3f", d.median("few", p50Of)), fmt.Sprintf("%.0f", d.median("few", rateOf)), "1.00")
	t.add(manyListeners, fmt.Sprintf("%.3f", d.median("many", p50Of)), fmt.Sprintf("%.0f", d.median("many", rateOf)), fmt.Sprintf("%.2f", ratio))
	t.print(b.out)
	b.goals.check(ratio <= 1.10, fmt.Sprintf("%.2f", ratio), "a connection with %d listeners against %d: at most 1.10", manyListeners, fewListeners)
	return nil
}
