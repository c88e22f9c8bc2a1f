package main

import (
	"context"
	"errors"
	"fmt"
)

// sweep is how the speed of connections goes with the size of something.
type sweep struct {
	Name   string  `json:"name"`
	Axis   string  `json:"axis"`
	Points []point `json:"points"`
}

// point is what the rounds of one size came to: medians, with the interval that holds them in 95 of 100 runs.
type point struct {
	Size int      `json:"size"`
	Rate interval `json:"conn_per_second"`
	P99  interval `json:"p99_ms"`
}

// interval is an estimate of what is no ratio.
type interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// sweeps are the sizes of each; the last is compared to the first, and held against it where that is set out for.
var sweeps = []struct {
	name, axis, work string
	sizes            []int
	of               func(size int) product
	held             bool
}{
	{"sessions", "live sessions", "beside 10,000 live sessions", []int{0, 100, 1000, 10_000}, func(n int) product { return product{live: n} }, true},
	{"services", "services", "beside 5,000 services", []int{1, 10, 100, 1000, 5000}, func(n int) product { return product{idle: n - 1} }, false},
	{"acl", "prefixes of the acl", "by an acl of 50,000 prefixes", []int{0, 100, 1000, 10_000, 50_000}, func(n int) product { return product{denied: n} }, true},
}

// measureSweeps measures each; one that fails leaves the others be.
func measureSweeps(ctx context.Context, b *bench) (failed error) {
	for i, s := range sweeps {
		var all []product
		for j, n := range s.sizes {
			p := s.of(n)
			p.name, p.port = thousands(n)+" "+s.axis, b.port(60+10*i+j)
			all = append(all, p)
		}
		d, err := b.sweep(ctx, all)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		done := sweep{Name: s.name, Axis: s.axis}
		for j, p := range all {
			median := func(figure func(sample) float64) interval {
				e := about(d.figuresOf(p.name, figure))
				return interval{e.Ratio, e.Low, e.High}
			}
			done.Points = append(done.Points, point{s.sizes[j], median(rateOf), median(p99Of)})
		}
		b.sweeps = append(b.sweeps, done)
		if b.plots != "" {
			failed = errors.Join(failed, done.plot(b.plots))
		}
		first, last := all[0].name, all[len(all)-1].name
		row := func(unit string, figure func(sample) float64, bound *aim) {
			if !s.held {
				bound = nil
			}
			r := result{Work: "connections " + s.work, Unit: unit, Ours: d.median(last, figure), Brief: unit == "conn/s"}
			b.results.add(r.to(first, about(d.ratios(last, first, figure)), bound))
		}
		row("conn/s", rateOf, atLeast(0.9))
		row("p99 ms", p99Of, atMost(1.1))
	}
	return failed
}

// sweep loads casemateds of all sizes in turns. All are there at the same time, so that a size is told from the others and not
// from another minute; what the processes of the largest cost the whole machine is not told.
func (b *bench) sweep(ctx context.Context, all []product) (duel, error) {
	var targets []*target
	for _, p := range all {
		r, err := b.product(ctx, p)
		if err != nil {
			return nil, err
		}
		defer r.stop()
		leave, err := hold(p.holds(), p.live)
		defer leave()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		targets = append(targets, r.target)
	}
	return inTurns(ctx, targets, clients, b.rounds, b.span)
}
