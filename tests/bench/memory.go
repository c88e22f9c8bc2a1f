package main

import (
	"context"
	"fmt"
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
		p := product{name: "casemate", port: b.port(30), idle: n.services - 1, linger: linger}
		r, err := b.product(ctx, p)
		if err != nil {
			return err
		}
		err = b.weigh(ctx, r, p, n.services, int64(n.bound), &t)
		r.stop()
		if err != nil {
			return err
		}
	}
	t.print(b.out)
	return nil
}

// weigh adds the rows of one broker.
func (b *bench) weigh(ctx context.Context, r *running, p product, services int, bound int64, t *table) error {
	for i := range fewServices - 1 {
		if err := ask(p.idleAddr(i)); err != nil {
			return err
		}
	}
	broker, err := rig.MemoryOf(r.PID)
	if err != nil {
		return err
	}
	t.add(fmt.Sprintf("casemated, %d services", services), mib(broker.RSS), mib(broker.PSS), mib(broker.Private))
	work := fmt.Sprintf("idle, %d services", services)
	b.results.add(result{Work: work + ": casemated", Unit: "MiB", Ours: float64(broker.RSS) / (1 << 20), Aim: atMost(float64(bound >> 20)), Brief: true})
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
	b.results.add(result{Work: work + ": the largest zygote's own", Unit: "KiB", Ours: float64(worst.Private >> 10), Aim: atMost(zygoteBound >> 10)})
	return b.retired(ctx, r, work)
}

// retired waits for the zygotes of idle services to go.
func (b *bench) retired(ctx context.Context, r *running, work string) error {
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
	b.results.add(result{Work: work + ": left some time after a linger of " + linger.String(), Unit: "zygotes", Ours: float64(left), Aim: atMost(0)})
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
