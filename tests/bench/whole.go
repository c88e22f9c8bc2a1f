package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"casemate/tests/root/rig"
)

// What casemated may take with all its helpers, by how many services it has, while nobody comes.
var wholeBounds = []struct{ services, mib int }{{10, 16}, {1000, 40}, {10000, 250}}

// settled is how long after a load the memory is weighed: what the load took has gone back by then.
const settled = 3 * time.Second

// measureWhole weighs casemated with the broker and all helpers.
func measureWhole(ctx context.Context, b *bench) error {
	libexec, err := filepath.Abs(b.libexec)
	if err != nil {
		return err
	}
	t := table{title: "Memory of the whole", note: "PSS of each process (/proc/PID/smaps_rollup) that casemated consists of, with so many services and no clients.", head: []string{"services", "process", "RSS", "PSS"}}
	defer func() { t.print(b.out) }()
	for _, n := range wholeBounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := rig.Start(rig.Options{Bin: libexec, Files: crowd(n.services, false, b.port(0))})
		if err != nil {
			return fmt.Errorf("%d services: %w", n.services, err)
		}
		time.Sleep(settled)
		of, err := weighWhole(r.PID)
		r.Stop()
		if err != nil {
			return err
		}
		var sum int64
		for _, p := range of {
			t.add(n.services, p.Name, mib(p.RSS), mib(p.PSS))
			sum += p.PSS
		}
		b.results.add(result{Work: fmt.Sprintf("idle, %d services: casemated with all its helpers", n.services), Unit: "MiB PSS", Ours: float64(sum) / (1 << 20), Aim: atMost(float64(n.mib))})
	}
	return nil
}

// weighed is a process of the whole.
type weighed struct {
	rig.Process
	rig.Memory
}

// weighWhole weighs a process and all below it.
func weighWhole(pid int) ([]weighed, error) {
	all, err := rig.Processes()
	if err != nil {
		return nil, err
	}
	whole := map[int]bool{pid: true}
	for again := true; again; {
		again = false
		for _, p := range all {
			if whole[p.PPID] && !whole[p.PID] {
				whole[p.PID], again = true, true
			}
		}
	}
	var out []weighed
	for _, p := range all {
		if !whole[p.PID] || p.State == "Z" {
			continue
		}
		m, err := rig.MemoryOf(p.PID)
		if err != nil {
			continue // gone in between
		}
		out = append(out, weighed{p, m})
	}
	if !slices.ContainsFunc(out, func(w weighed) bool { return w.PID == pid }) {
		return nil, fmt.Errorf("process %d is gone", pid)
	}
	return out, nil
}
