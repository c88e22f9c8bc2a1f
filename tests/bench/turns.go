package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"casemate/tests/root/rig"
)

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

// settle is for which part of a stretch after it what was put off still counts as its own: the kernel's and a server's clearing up.
const settle = 7

// measured is load with the processor time of the server and of the whole machine.
func measured(t *target, d time.Duration, load func(*target, time.Duration) (sample, error)) (sample, error) {
	before, err := rig.CPU(t.pid)
	if err != nil {
		return sample{}, err
	}
	// What it takes to ask of a server, which is much where there are many processes, is not the machine's at work.
	busy, err := machineBusy()
	if err != nil {
		return sample{}, err
	}
	s, err := load(t, d)
	if err != nil {
		return s, err
	}
	time.Sleep(d / settle)
	then, err := machineBusy()
	if err != nil {
		return s, err
	}
	after, err := rig.CPU(t.pid)
	s.cpu, s.machine = after-before, then-busy
	return s, err
}

// machineBusy is the time for which processors of this machine have not been idle.
func machineBusy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return busyOf(string(text))
}

// busyOf adds up the first line of /proc/stat (proc(5)): user, nice, system, irq and softirq; not idle, iowait, what a
// host took away, nor guests, whose time is in user.
func busyOf(stat string) (time.Duration, error) {
	var user, nice, system, idle, iowait, irq, softirq int64
	if _, err := fmt.Sscanf(stat, "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return time.Duration(user+nice+system+irq+softirq) * (time.Second / 100), nil
}

// figuresOf are a figure of each of name's rounds.
func (d duel) figuresOf(name string, figure func(sample) float64) (v []float64) {
	for _, s := range d[name] {
		v = append(v, figure(s))
	}
	return v
}

// median of a figure of name's rounds.
func (d duel) median(name string, figure func(sample) float64) float64 {
	return median(d.figuresOf(name, figure))
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

// best is who of names has the least of a figure, or the most.
func (d duel) best(names []string, figure func(sample) float64, most bool) string {
	return slices.MaxFunc(names, func(a, b string) int {
		order := cmp.Compare(d.median(a, figure), d.median(b, figure))
		if !most {
			order = -order
		}
		return order
	})
}

// The figures that the reports use.
func rateOf(s sample) float64    { return s.rate() }
func cpuOf(s sample) float64     { return float64(s.cpu.Microseconds()) / float64(s.served) }
func machineOf(s sample) float64 { return float64(s.machine.Microseconds()) / float64(s.served) }
func p50Of(s sample) float64     { return s.percentile(50).Seconds() * 1e3 }
func p99Of(s sample) float64     { return s.percentile(99).Seconds() * 1e3 }
