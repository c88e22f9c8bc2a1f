package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"casemate/tests/root/rig"
)

// The two sizes of a broker whose memory is measured, and the bounds.
const (
	fewServices, fewBound   = 10, 16 << 20
	manyServices, manyBound = 1000, 40 << 20
	zygoteBound             = 200 << 10
	linger                  = 3 * time.Second
)

// measureMemory weighs the broker with few and with many services, the zygotes
// of a few active ones, and asks whether they go when idle.
func measureMemory(ctx context.Context, b *bench) error {
	t := table{
		title: "Memory",
		note:  "After one connection to each of ten services. /proc/PID/smaps_rollup; a zygote's private memory is what goes when it goes.",
		head:  []string{"process", "RSS", "PSS", "private"},
	}
	for _, n := range []struct{ services, bound int }{{fewServices, fewBound}, {manyServices, manyBound}} {
		r, err := b.product(ctx, product{name: "casemate", port: b.port(30), idle: n.services - 1, firstIdle: b.port(3000), linger: linger})
		if err != nil {
			return err
		}
		err = b.weigh(ctx, r, n.services, int64(n.bound), &t)
		r.stop()
		if err != nil {
			return err
		}
	}
	t.print(b.out)
	return nil
}

// weigh adds the rows of one broker.
func (b *bench) weigh(ctx context.Context, r *running, services int, bound int64, t *table) error {
	for i := range fewServices - 1 {
		if err := ask(netip.AddrPortFrom(r.addr.Addr(), b.port(3000+i))); err != nil {
			return err
		}
	}
	broker, err := rig.MemoryOf(r.PID)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("casemated, %d services", services), mib(broker.RSS), mib(broker.PSS), mib(broker.Private))
	b.goals.check(broker.RSS < bound, mib(broker.RSS), "casemated with %d services: RSS under %s", services, mib(bound))
	zygotes, err := r.zygotes()
	if err != nil {
		return err
	}
	if len(zygotes) < fewServices {
		return fmt.Errorf("%d zygotes after connections to %d services", len(zygotes), fewServices)
	}
	var worst rig.Memory
	for _, pid := range zygotes {
		m, err := rig.MemoryOf(pid)
		if err != nil {
			continue // retired in between
		}
		if m.Private > worst.Private {
			worst = m
		}
	}
	t.add(fmt.Sprintf("largest zygote of %d", len(zygotes)), kib(worst.RSS), kib(worst.PSS), kib(worst.Private))
	b.goals.check(worst.Private < zygoteBound, kib(worst.Private), "a zygote's private memory (%d services): under %s", services, kib(zygoteBound))
	return b.retired(ctx, r, services)
}

// retired waits for the zygotes of idle services to go.
func (b *bench) retired(ctx context.Context, r *running, services int) error {
	began := time.Now()
	left := -1
	for time.Since(began) < 3*linger && ctx.Err() == nil {
		zygotes, err := r.zygotes()
		if err != nil {
			return err
		}
		if left = len(zygotes); left == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.goals.check(left == 0, fmt.Sprintf("%d after %.1f s", left, time.Since(began).Seconds()),
		"zygotes of %d services left after a linger of %s: none", services, linger)
	return nil
}

// zygotes are the process ids that the broker reports as zygotes.
func (r *running) zygotes() ([]int, error) {
	s, err := r.Status()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, svc := range s.Services {
		if svc.Zygote && svc.ZygotePID > 0 {
			out = append(out, svc.ZygotePID)
		}
	}
	return out, nil
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
func kib(n int64) string { return fmt.Sprintf("%d KiB", n>>10) }
