package main

import (
	"context"
	"fmt"
	"strings"
)

// clients is the load of the service comparison.
const clients = 8

// ways are those in which casemate starts the program beside its peers, each a casemated of its own: the first is ours,
// which stands against all that is asked; the others are held to their speed alone.
var ways = []product{
	{name: ours, profile: "bench"},
	{name: "line", profile: "line"},
	{name: "strict", profile: "strict"},
}

const (
	fullWork  = "a program in the full sandbox, with a /tmp and a /proc of its own"
	bareFloor = "accept+vfork+exec in C"
)

// compareService measures the whole way of a connection against the peers and the floor.
func compareService(ctx context.Context, b *bench) error {
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	f, err := least(ctx, bareFloor, []string{b.floorServer, b.answer, fmt.Sprint(nobody), fmt.Sprint(nobody)}, b.port(40), ask)
	if err != nil {
		return err
	}
	targets = append(targets, f)
	for i, p := range peers {
		t, err := p.start(ctx, b.cache, []string{b.answer}, b.port(i))
		if err != nil {
			return err
		}
		targets = append(targets, t)
	}
	for i, p := range ways {
		p.port = b.port(len(peers) + i)
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
	b.reportService(d)
	return b.compareBubblewrap(ctx, d.best(peerNames(), rateOf, true), targets)
}

func peerNames() (out []string) {
	for _, p := range peers {
		out = append(out, p.name)
	}
	return out
}

// reportService adds the rows, and prints what they do not say: every figure of every server.
func (b *bench) reportService(d duel) {
	names := peerNames()
	row := func(work, unit, name string, figure func(sample) float64) result {
		return result{Work: work, Unit: unit, Ours: d.median(name, figure), Peers: d.figures(names, figure), Floor: new(d.median(bareFloor, figure))}
	}
	for _, c := range []struct {
		unit   string
		figure func(sample) float64
		most   bool
		aim    *aim
	}{
		{"conn/s", rateOf, true, atLeast(1.25)},
		{"p50 ms", p50Of, false, atMost(1)},
		{"p99 ms", p99Of, false, atMost(1)},
		{"CPU µs/conn of the whole machine", machineOf, false, atMost(0.8)},
	} {
		best := d.best(names, c.figure, c.most)
		b.results.add(row(fullWork, c.unit, ours, c.figure).to(best, about(d.ratios(ours, best, c.figure)), c.aim).briefly())
	}
	// Of those that serve many services, each as its own user, as casemate does; the others are one process of nobody's for one program.
	inetd := d.best([]string{"openbsd-inetd", "xinetd"}, rateOf, true)
	b.results.add(row(fullWork, "conn/s", ours, rateOf).to(inetd, about(d.ratios(ours, inetd, rateOf)), nil).briefly())
	best := d.best(names, rateOf, true)
	for _, p := range ways[1:] {
		r := row(fmt.Sprintf("a program under profile.%s, with neither", p.profile), "conn/s", p.name, rateOf)
		against := r.to(best, about(d.ratios(p.name, best, rateOf)), atLeast(1.4))
		against.Brief = p.profile == "line"
		b.results.add(against, r.to(bareFloor, about(d.ratios(p.name, bareFloor, rateOf)), atLeast(0.95)))
	}
	t := table{
		title: "Service: one connection, one program",
		note: fmt.Sprintf("%d clients, a static one-line program run as nobody; %d rounds of %s in turns. %s: every layer on. Peers (%s): no sandbox, limits off. "+
			"CPU is that of the server and what it starts; of the machine it is all of it, the clients' too, a seventh longer than the load.",
			clients, b.rounds, b.span, ours, strings.Join(names, ", ")),
		head: []string{"server", "conn/s", "p50 ms", "p99 ms", "CPU µs/conn", "of the machine", "conn/s to the best peer's"},
	}
	list := []string{bareFloor}
	for _, p := range ways {
		list = append(list, p.name)
	}
	for _, n := range append(list, names...) {
		t.add(n, fmt.Sprintf("%.0f", d.median(n, rateOf)), fmt.Sprintf("%.2f", d.median(n, p50Of)), fmt.Sprintf("%.2f", d.median(n, p99Of)),
			fmt.Sprintf("%.0f", d.median(n, cpuOf)), fmt.Sprintf("%.0f", d.median(n, machineOf)), about(d.ratios(n, best, rateOf)))
	}
	t.print(b.out)
}
