package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"casemate/tests/root/rig"
)

// What naming may cost a session that is denied nothing, and how many times the other comparisons'
// rounds it takes to tell so little: each is a fraction of theirs.
const (
	namingGoal   = 1.01
	namingRounds = 20
)

// compareNaming measures what it costs sessions without denials that denied calls would be named: the
// filter's listener, which the broker watches, beside a casemated that asks for none.
func compareNaming(ctx context.Context, b *bench) error {
	if b.peersOnly {
		return nil
	}
	silent, err := b.silent(ctx)
	if err != nil {
		return err
	}
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	for i, p := range []product{{name: "named"}, {name: "not named", bin: silent}} {
		p.port = b.port(i)
		t, err := b.product(ctx, p)
		if err != nil {
			return err
		}
		targets = append(targets, t.target)
	}
	d, err := inTurns(ctx, targets, clients, namingRounds*b.rounds, b.span/10)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if found, err := rig.Children(t.pid); err != nil || slices.ContainsFunc(found, isDenialsWorker) {
			return fmt.Errorf("%s: its sessions were denied something (%v)", t.name, err)
		}
	}
	var ratios []float64
	for i := range d["named"] {
		ratios = append(ratios, rateOf(d["not named"][i])/rateOf(d["named"][i]))
	}
	slices.Sort(ratios)
	n := len(ratios)
	ratio, spread := median(ratios), fmt.Sprintf("%.3f to %.3f", ratios[n/4], ratios[n-1-n/4])
	t := table{
		title: "Names of denied calls: what they cost sessions without one",
		note: fmt.Sprintf("%d clients, every layer on; %d rounds of %s in turns. not named: the same casemated, whose filters have no listener. "+
			"Ratios are of the rounds' connections a second, not named to named: the median, and the half of the rounds in the middle.", clients, n, b.span/10),
		head: []string{"", "conn/s", "CPU µs/conn", "ratio", "spread"},
	}
	t.add("named", fmt.Sprintf("%.0f", d.median("named", rateOf)), fmt.Sprintf("%.0f", d.median("named", cpuOf)), fmt.Sprintf("%.3f", ratio), spread)
	t.add("not named", fmt.Sprintf("%.0f", d.median("not named", rateOf)), fmt.Sprintf("%.0f", d.median("not named", cpuOf)), "1", "")
	t.print(b.out)
	b.goals.check(ratio <= namingGoal, fmt.Sprintf("%.3f", ratio), "connections a second without names of denied calls against with them, of sessions without denials: at most %v", namingGoal)
	return nil
}

func isDenialsWorker(p rig.Process) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	return err == nil && strings.HasPrefix(string(line), "casemate-worker\x00denials\x00")
}

// silent is a folder of the product's binaries with a casemated that is built from the same source but for
// one line: it has no filter of a service listened to.
func (b *bench) silent(ctx context.Context) (string, error) {
	const file, asks = "sandbox/prepare.go", "s.start.Listen = o.Listen"
	dir := filepath.Join(b.work, "silent")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if strings.Count(string(text), asks) != 1 {
		return "", fmt.Errorf("%s does not have %q once", file, asks)
	}
	source, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	changed, overlay := filepath.Join(b.work, "prepare.go"), filepath.Join(b.work, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), asks, "s.start.Listen = false", 1)), 0o644); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, list, 0o644); err != nil {
		return "", err
	}
	// As make build does.
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-trimpath", "-tags", "netgo,osusergo",
		"-ldflags", `-linkmode external -extldflags "-static"`, "-o", dir+"/", "./cmd/casemated")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	for _, name := range []string{"casemate", "casemate-worker", "casemate-filter"} {
		program, err := os.ReadFile(filepath.Join(b.libexec, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), program, 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}
