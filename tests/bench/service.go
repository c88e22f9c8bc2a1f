package main

import (
	"context"
	"fmt"
	"time"

	"casemate/tests/root/rig"
)

// clients is the load of the service comparison.
const clients = 8

// duel is the outcome of a comparison in turns: for each target, one sample
// for each round.
type duel map[string][]sample

// inTurns loads every target once in each round, rotating who comes first.
// One short unmeasured round goes before: caches warm, zygotes started.
func inTurns(ctx context.Context, targets []*target, clients, rounds int, d time.Duration) (duel, error) {
	return inTurnsBy(ctx, targets, rounds, d, func(t *target, span time.Duration) (sample, error) { return load(t.addr, clients, span) })
}

// inTurnsBy is inTurns with another load.
func inTurnsBy(ctx context.Context, targets []*target, rounds int, d time.Duration, load func(*target, time.Duration) (sample, error)) (duel, error) {
	out := duel{}
	for round := -1; round < rounds; round++ {
		for i := range targets {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			t := targets[(i+max(round, 0))%len(targets)]
			span := d
			if round < 0 {
				span = d / 4
			}
			s, err := measured(t, span, load)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			if round >= 0 {
				out[t.name] = append(out[t.name], s)
			}
		}
	}
	return out, nil
}

// measured is load with the server's processor time.
func measured(t *target, d time.Duration, load func(*target, time.Duration) (sample, error)) (sample, error) {
	before, err := rig.CPU(t.pid)
	if err != nil {
		return sample{}, err
	}
	s, err := load(t, d)
	if err != nil {
		return s, err
	}
	after, err := rig.CPU(t.pid)
	s.cpu = after - before
	return s, err
}

// median of a figure of name's rounds.
func (d duel) median(name string, figure func(sample) float64) float64 {
	var v []float64
	for _, s := range d[name] {
		v = append(v, figure(s))
	}
	return median(v)
}

// figures are the medians of several.
func (d duel) figures(names []string, of func(sample) float64) (out []figure) {
	for _, n := range names {
		out = append(out, figure{n, d.median(n, of)})
	}
	return out
}

// sum is the processor time of a connection over all of name's rounds, in microseconds.
func (d duel) sum(name string) float64 {
	var all sample
	for _, s := range d[name] {
		all.cpu, all.served = all.cpu+s.cpu, all.served+s.served
	}
	return cpuOf(all)
}

// ratios are those of the rounds.
func (d duel) ratios(a, b string, figure func(sample) float64) (v []float64) {
	for i := range min(len(d[a]), len(d[b])) {
		v = append(v, figure(d[a][i])/figure(d[b][i]))
	}
	return v
}

// ratio is the median over the rounds of (figure of a) / (figure of b).
func (d duel) ratio(a, b string, figure func(sample) float64) float64 {
	return median(d.ratios(a, b, figure))
}

// The figures that the reports use.
func rateOf(s sample) float64 { return s.rate() }
func cpuOf(s sample) float64  { return float64(s.cpu.Microseconds()) / float64(s.served) }
func p50Of(s sample) float64  { return s.percentile(50).Seconds() * 1e3 }
func p99Of(s sample) float64  { return s.percentile(99).Seconds() * 1e3 }

// compareService measures the whole way of a connection against the peers.
func compareService(ctx context.Context, b *bench) error {
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	for i, p := range peers {
		t, err := p.start(ctx, b.cache, b.answer, b.port(i))
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	t, err := b.product(ctx, product{name: ours, port: b.port(len(peers))})
	if err != nil {
		return err
	}
	targets = append(targets, t.target)
	d, err := inTurns(ctx, targets, clients, b.rounds, b.span)
	if err != nil {
		return err
	}
	b.reportService(d)
	return nil
}

// reportService prints the comparison: every target against the best peer.
func (b *bench) reportService(d duel) {
	best := peers[0].name
	fair := peers[0].name // lowest p99 among the peers
	for _, p := range peers[1:] {
		if d.median(p.name, rateOf) > d.median(best, rateOf) {
			best = p.name
		}
		if d.median(p.name, p99Of) < d.median(fair, p99Of) {
			fair = p.name
		}
	}
	t := table{
		title: "Service: connections per second",
		note: fmt.Sprintf("%d clients, a static one-line program run as nobody; %d rounds of %s in turns. casemate: every layer on. Peers: no sandbox, limits off. "+
			"Ratios are medians of the rounds' own ratios, against the best peer (%s).", clients, b.rounds, b.span, best),
		head: []string{"server", "conn/s", "p50 ms", "p99 ms", "CPU µs/conn", "rate ratio", "p99 ratio"},
	}
	names := []string{ours}
	for _, p := range peers {
		names = append(names, p.name)
	}
	for _, n := range names {
		if len(d[n]) == 0 {
			continue
		}
		t.add(n, fmt.Sprintf("%.0f", d.median(n, rateOf)), fmt.Sprintf("%.2f", d.median(n, p50Of)), fmt.Sprintf("%.2f", d.median(n, p99Of)),
			fmt.Sprintf("%.0f", d.median(n, cpuOf)),
			fmt.Sprintf("%.2f", d.ratio(n, best, rateOf)), fmt.Sprintf("%.2f", d.ratio(n, fair, p99Of)))
	}
	t.print(b.out)
	const work = "a program in the full sandbox, with a /tmp and a /proc of its own"
	row := func(unit, against string, figure func(sample) float64, held *aim) {
		r := result{Work: work, Unit: unit, Ours: d.median(ours, figure), Peers: d.figures(names[1:], figure)}
		b.results.add(r.to(against, about(d.ratios(ours, against, figure)), held))
	}
	row("conn/s", best, rateOf, atLeast(1.25))
	row("p99 ms", fair, p99Of, atMost(1))
}
