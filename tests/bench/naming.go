package main

import (
	"bytes"
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
	namingRounds = 12
	namingShare  = 7
)

// compareNaming measures what it costs sessions without denials that denied calls would be named: the
// filter's listener, which the broker watches, beside a casemated that asks for none. It is measured by processor
// time, and so is that casemated against a second of its kind: whose ratio is not 1 as far as it is told, in a run
// that tells nothing.
func compareNaming(ctx context.Context, b *bench) error {
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
	for i, p := range []product{{name: "named"}, {name: "not named", bin: silent}, {name: "not named either", bin: silent}} {
		p.port = b.port(i)
		t, err := b.product(ctx, p)
		if err != nil {
			return err
		}
		targets = append(targets, t.target)
	}
	d, err := inTurns(ctx, targets, clients, namingRounds*b.rounds, b.span/namingShare)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if found, err := rig.Children(t.pid); err != nil || slices.ContainsFunc(found, isDenialsWorker) {
			return fmt.Errorf("%s: its sessions were denied something (%v)", t.name, err)
		}
	}
	named, control := processor(d["named"], d["not named"]), processor(d["not named either"], d["not named"])
	t := table{
		title: "Names of denied calls: what they cost sessions without one",
		note: fmt.Sprintf("%d clients, every layer on; %d rounds of %s in turns. not named: the same casemated, whose filters have no listener; not named either: another of it. "+
			"Ratios are of the processor time of a connection, of the server and all that it started, with the interval that holds the true ratio in 95 of 100 runs.",
			clients, len(d["named"]), b.span/namingShare),
		head: []string{"", "conn/s", "CPU µs/conn", "ratio"},
	}
	add := func(name, ratio string) {
		t.add(name, fmt.Sprintf("%.0f", d.median(name, rateOf)), fmt.Sprintf("%.0f", d.sum(name)), ratio)
	}
	add("named", named.String())
	add("not named", "1")
	add("not named either", control.String())
	t.print(b.out)
	row := func(work, name string, e estimate, held *aim) {
		b.results.add(result{Work: work, Unit: "CPU µs/conn", Ours: d.sum(name)}.to("not named", e, held))
	}
	row("sessions without denials, with names of denied calls", "named", named, atMost(namingGoal))
	row("the same without names, twice: what the run can tell", "not named either", control, nil)
	return nil
}

func isDenialsWorker(p rig.Process) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	return err == nil && strings.HasPrefix(string(line), "casemate-worker\x00denials\x00")
}

// asksIn is where a listener is asked for, and asks how.
const asksIn, asks = "sandbox/prepare.go", "s.Start.Listen = o.Listen"

// unasked is the text of that file, at path, with none asked for.
func unasked(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil && bytes.Count(text, []byte(asks)) != 1 {
		err = fmt.Errorf("%s does not have %q once", path, asks)
	}
	return bytes.Replace(text, []byte(asks), []byte("s.Start.Listen = false"), 1), err
}

// silent is a folder of the product's binaries with a casemated that is built from the same source but for
// one line: it has no filter of a service listened to.
func (b *bench) silent(ctx context.Context) (string, error) {
	dir := filepath.Join(b.work, "silent")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	text, err := unasked(asksIn)
	if err != nil {
		return "", err
	}
	source, err := filepath.Abs(asksIn)
	if err != nil {
		return "", err
	}
	changed, overlay := filepath.Join(b.work, "prepare.go"), filepath.Join(b.work, "overlay.json")
	if err := os.WriteFile(changed, text, 0o644); err != nil {
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
