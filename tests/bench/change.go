package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// Of how many services one is changed, and how long its load may take by the clock.
const (
	changedOf   = 5000
	changedGoal = 200 * time.Millisecond
)

// changes are what somebody alters of one service, as text of its block before and after.
var changes = []struct{ what, from, to string }{
	{"its host rules", "acl = acl.anyone", "acl = acl.localhost"},
	{"its command", `["/bin/cat"]`, `["/bin/cat", "-u"]`},
}

// measureChange has a casemated of many services load a policy in which one of them was changed, and back, with nobody
// there and with clients at another service, none of whom may be refused.
func measureChange(ctx context.Context, b *bench) error {
	libexec, err := filepath.Abs(b.libexec)
	if err != nil {
		return err
	}
	files := crowd(changedOf-1, false, b.port(0))
	files["answer.cm.hcl"] = product{port: b.port(1)}.policy(b.answer)
	r, err := rig.Start(rig.Options{Bin: libexec, Files: files})
	if err != nil {
		return err
	}
	defer r.Stop()
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), b.port(1))
	for _, c := range changes {
		work := fmt.Sprintf("reload of %d services, of one %s changed", changedOf, c.what)
		quiet, err := b.changed(ctx, r, files, c.from, c.to)
		if err != nil {
			return err
		}
		b.results.add(result{Work: work, Unit: "ms", Ours: median(quiet), Aim: atMost(float64(changedGoal.Milliseconds()))})
		var over atomic.Bool
		hammered := make(chan error, 1)
		served := 0
		go func() {
			var err error
			for err == nil && !over.Load() {
				var s sample
				s, err = load(addr, clients, b.span/4)
				served += s.served
			}
			hammered <- err
		}()
		busy, err := b.changed(ctx, r, files, c.from, c.to)
		over.Store(true)
		lost := 0.
		if herr := <-hammered; herr != nil {
			fmt.Fprintln(b.out, herr)
			lost = 1
		}
		if err != nil {
			return err
		}
		work += fmt.Sprintf(" while %d clients hammer", clients)
		b.results.add(result{Work: work, Unit: "ms", Ours: median(busy)}, result{Work: work, Unit: "clients refused", Ours: lost, Aim: atMost(0)})
		fmt.Fprintln(b.out, quiet, busy, served)
	}
	return nil
}

// changed loads the policy with one text in place of another in the block in the middle, and back, and tells how many milliseconds each
// load took.
func (b *bench) changed(ctx context.Context, r *rig.Broker, files map[string]string, from, to string) (took []float64, err error) {
	const name = "2.cm.hcl"
	before, block, _ := strings.Cut(files[name], `service "s2500"`)
	after := before + `service "s2500"` + strings.Replace(block, from, to, 1)
	if after == files[name] {
		return nil, fmt.Errorf("no %s in the middle of %s", from, name)
	}
	for range b.rounds {
		for _, text := range []string{after, files[name]} {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := r.WritePolicy(name, text); err != nil {
				return nil, err
			}
			began := time.Now()
			answer, err := r.Request(control.Request{Verb: control.VerbReload})
			if err != nil || !answer.OK {
				return nil, fmt.Errorf("reload: %v %+v", err, answer)
			}
			took = append(took, float64(time.Since(began).Microseconds())/1000)
		}
	}
	return took, nil
}
