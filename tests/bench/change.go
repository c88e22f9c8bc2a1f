package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
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

	changeRounds = 3 // there and back
)

// changes are what somebody alters of one service, as text of its block before and after.
var changes = []struct{ what, from, to string }{
	{"its host rules", "acl = acl.anyone", "acl = acl.localhost"},
	{"its command", `["/bin/cat"]`, `["/bin/cat", "-u"]`},
}

// measureChange has a casemated of many services load a policy in which one of them was changed, and back, with nobody
// there and with clients at another service, none of whom may be refused. Beside it stands what the compiler takes for the text.
func measureChange(ctx context.Context, b *bench) error {
	libexec, err := filepath.Abs(b.libexec)
	if err != nil {
		return err
	}
	files := crowd(changedOf-1, false, b.port(0))
	maps.Copy(files, b.policy(product{port: b.port(1)}))
	r, err := rig.Start(rig.Options{Bin: libexec, Files: files})
	if err != nil {
		return err
	}
	defer r.Stop()
	addr := loopback(b.port(1))
	for _, c := range changes {
		work := fmt.Sprintf("reload of %d services, %s of one changed", changedOf, c.what)
		quiet, compile, err := b.changed(ctx, r, files, c.from, c.to)
		if err != nil {
			return err
		}
		b.results.add(result{Work: work, Unit: "ms", Ours: median(quiet), Peers: []figure{{"casemate compile", compile}}, Aim: atMost(float64(changedGoal.Milliseconds()))})
		var over atomic.Bool
		hammered := make(chan sample, 1)
		go func() { hammered <- hammer(addr, b.span/4, &over) }()
		busy, compile, err := b.changed(ctx, r, files, c.from, c.to)
		over.Store(true)
		s := <-hammered
		if err != nil {
			return err
		}
		if s.served == 0 {
			return fmt.Errorf("%s: no client was served meanwhile", work)
		}
		work += fmt.Sprintf(" while %d clients hammer", clients)
		b.results.add(result{Work: work, Unit: "ms", Ours: median(busy), Peers: []figure{{"casemate compile", compile}}}, result{Work: work, Unit: "clients refused", Ours: float64(s.lost), Aim: atMost(0)})
	}
	return nil
}

// hammer is load until it is over. A client without an answer is lost.
func hammer(addr netip.AddrPort, span time.Duration, over *atomic.Bool) (all sample) {
	ask := func() error {
		if ask(addr) != nil {
			return errLost
		}
		return nil
	}
	for !over.Load() {
		s, _ := loadBy(clients, span, func() (func() error, func(), error) { return ask, func() {}, nil }) // its errors are losses
		all.served, all.lost = all.served+s.served, all.lost+s.lost
	}
	return all
}

// compileAlone is how many milliseconds the compiler takes for the policy by itself, when nobody waits for it.
func (b *bench) compileAlone(ctx context.Context, policy string) (float64, error) {
	began := time.Now()
	cmd := exec.CommandContext(ctx, filepath.Join(b.libexec, "casemate"), "compile", policy)
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("casemate compile: %w", err)
	}
	return float64(time.Since(began).Microseconds()) / 1000, nil
}

// changed loads the policy with one text in place of another in the block in the middle, and back, and tells how many milliseconds each
// load took, and the compiler by itself.
func (b *bench) changed(ctx context.Context, r *rig.Broker, files map[string]string, from, to string) (took []float64, compile float64, err error) {
	const name = "2.cm.hcl"
	before, block, _ := strings.Cut(files[name], `service "s2500"`)
	after := before + `service "s2500"` + strings.Replace(block, from, to, 1)
	if after == files[name] {
		return nil, 0, fmt.Errorf("no %s in the middle of %s", from, name)
	}
	var alone []float64
	for range changeRounds {
		for _, text := range []string{after, files[name]} {
			if err := ctx.Err(); err != nil {
				return nil, 0, err
			}
			if err := r.WritePolicy(name, text); err != nil {
				return nil, 0, err
			}
			began := time.Now()
			answer, err := r.Request(control.Request{Verb: control.VerbReload})
			if err != nil || !answer.OK {
				return nil, 0, fmt.Errorf("reload: %v %+v", err, answer)
			}
			took = append(took, float64(time.Since(began).Microseconds())/1000)
			one, err := b.compileAlone(ctx, r.Policy)
			if err != nil {
				return nil, 0, err
			}
			alone = append(alone, one)
		}
	}
	return took, median(alone), nil
}
