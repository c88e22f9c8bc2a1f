package main

import (
	"context"
	"fmt"
	"time"

	"casemate/tests/root/rig"
)

// How many sessions are held, and what the broker may take for each of them, in KiB.
const liveSessions, liveBound = 10000, 4

// weighLive asks what many idle sessions take of the broker and of casemated; what their processes and the kernel take is not told.
func weighLive(ctx context.Context, b *bench) error {
	p := product{name: "live", port: b.port(0), live: liveSessions}
	r, err := b.product(ctx, p)
	if err != nil {
		return err
	}
	defer r.stop()
	broker, err := r.Acceptor()
	if err != nil {
		return err
	}
	before, err := settledMemory(broker, r.PID)
	if err != nil {
		return err
	}
	leave, err := hold(p.holds(), p.live)
	defer leave()
	if err != nil {
		return err
	}
	with, err := settledMemory(broker, r.PID)
	if err != nil {
		return err
	}
	each := func(i int) float64 { return float64(with[i]-before[i]) / 1024 / liveSessions }
	work := fmt.Sprintf("each of %d idle sessions: memory of ", liveSessions)
	b.results.add(result{Work: work + "the broker", Unit: "KiB PSS", Ours: each(0), Aim: atMost(liveBound)},
		result{Work: work + "casemated", Unit: "KiB PSS", Ours: each(1)})
	return nil
}

// settledMemory is the PSS of processes, in bytes, a while from now.
func settledMemory(pids ...int) (out []int64, err error) {
	time.Sleep(settled)
	for _, pid := range pids {
		m, err := rig.MemoryOf(pid)
		if err != nil {
			return nil, err
		}
		out = append(out, m.PSS)
	}
	return out, nil
}
