package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"casemate/tests/debian"
)

// options of one run.
type options struct {
	cache, libexec, run string
	only, suites        []string
	deadline            time.Duration
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	var only, suites string
	flag.StringVar(&o.cache, "cache", ".cache/kernels", "`folder` for what is downloaded, and what the last run said")
	flag.StringVar(&o.libexec, "libexec", "bin", "`folder` of the product's binaries")
	flag.StringVar(&o.run, "run", ".", "the tests to run in the guests, as a `pattern`")
	flag.StringVar(&only, "only", "", "comma separated `machines` to boot in place of all of this architecture: 6.1, 6.12, systemd, arm64")
	flag.StringVar(&suites, "suites", "", "comma separated `suites` to run in place of all: escape, root, zygote, ...")
	flag.DurationVar(&o.deadline, "deadline", 45*time.Minute, "end a machine after this time")
	flag.Parse()
	split := func(list string) []string { return strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) }
	o.only, o.suites = split(only), split(suites)
	if os.Geteuid() != 0 {
		return errors.New("needs root: the guests' files have owners")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return err
	}
	machines, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	bad := 0
	for _, m := range machines {
		if !boot(ctx, m) {
			bad++
		}
	}
	if bad > 0 || len(machines) == 0 {
		return fmt.Errorf("%d of %d machines failed", bad, len(machines))
	}
	return nil
}

// prepare obtains kernels and writes images.
func (o *options) prepare(ctx context.Context) ([]*machine, error) {
	var machines []*machine
	for _, on := range []*architecture{amd64, arm64} {
		own, err := o.prepareOn(ctx, on)
		if err != nil {
			return nil, err
		}
		machines = append(machines, own...)
	}
	return machines, nil
}

// prepareOn does so for the machines of one architecture.
func (o *options) prepareOn(ctx context.Context, on *architecture) ([]*machine, error) {
	plain := content{on: on, libexec: o.libexec, pattern: o.run, suites: o.suites}
	image := filepath.Join(o.cache, "plain.cpio")
	if !on.here() {
		plain.libexec, image = filepath.Join(o.libexec, on.name), filepath.Join(o.cache, on.name+".cpio")
	}
	var machines []*machine
	for _, s := range serieses {
		if s.on != on || !o.wants(s.name, on) && !(on.here() && o.wants("systemd", on)) {
			continue
		}
		k, err := s.obtain(ctx, o.cache)
		if err != nil {
			return nil, err
		}
		plain.kernels = append(plain.kernels, k)
		if o.wants(s.name, on) {
			machines = append(machines, o.machine(s.name, on, k, image, "/casemate/steps"))
		}
	}
	if len(plain.kernels) == 0 {
		return nil, nil
	}
	var err error
	if plain.tree, err = debian.Tree(ctx, on.name, o.cache, guestPackages...); err != nil {
		return nil, err
	}
	if len(machines) > 0 {
		if err := plain.write(ctx, image); err != nil {
			return nil, err
		}
	}
	if on.here() && o.wants("systemd", on) {
		unit, image := plain, filepath.Join(o.cache, "systemd.cpio")
		unit.systemd = true
		machines = append(machines, o.machine("systemd", on, plain.kernels[0], image, "/sbin/init"))
		if err := unit.write(ctx, image); err != nil {
			return nil, err
		}
	}
	return machines, nil
}

func (o *options) machine(name string, on *architecture, k kernel, initrd, next string) *machine {
	return &machine{name: name, on: on, kernel: k.image, initrd: initrd, next: next, deadline: o.deadline,
		console: filepath.Join(o.cache, name+".console"), report: filepath.Join(o.cache, name+".report")}
}

// wants tells whether a machine is to be booted: one that was named, or each of this host's architecture.
func (o *options) wants(name string, on *architecture) bool {
	return len(o.only) == 0 && on.here() || slices.Contains(o.only, name)
}

// boot boots a machine and prints its summary.
func boot(ctx context.Context, m *machine) bool {
	began := time.Now()
	r, err := m.boot(ctx)
	if err != nil {
		fmt.Printf("%s: %v\n", m.name, err)
		return false
	}
	word := "ok"
	if !r.ok() {
		word = "FAILED"
	}
	fmt.Printf("%-8s %s  Linux %s: %d passed, %d skipped, %d failed, %.0f s (%.0f s of a processor), %s\n",
		m.name, word, r.kernel, r.passed, len(r.skipped), len(r.faults), time.Since(began).Seconds(), r.cpu.Seconds(), m.report)
	for _, f := range r.faults {
		fmt.Printf("  %s\n", f)
	}
	for _, s := range r.skipped {
		fmt.Printf("  skipped %s\n", s)
	}
	return r.ok()
}
