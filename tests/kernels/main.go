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
)

// options of one run.
type options struct {
	cache, libexec, run string
	only                []string
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
	var only string
	flag.StringVar(&o.cache, "cache", ".cache/kernels", "`folder` for what is downloaded, and what the last run said")
	flag.StringVar(&o.libexec, "libexec", "bin", "`folder` of the product's binaries")
	flag.StringVar(&o.run, "run", ".", "the tests to run in the guests, as a `pattern`")
	flag.StringVar(&only, "only", "", "comma separated `machines` to boot: 6.1, 6.12, systemd")
	flag.DurationVar(&o.deadline, "deadline", 45*time.Minute, "end a machine after this time")
	flag.Parse()
	o.only = strings.FieldsFunc(only, func(r rune) bool { return r == ',' })
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
	tree, err := debian(ctx, o.cache)
	if err != nil {
		return nil, err
	}
	var machines []*machine
	plain := content{tree: tree, libexec: o.libexec, pattern: o.run}
	plainImage, unitImage := filepath.Join(o.cache, "plain.cpio"), filepath.Join(o.cache, "systemd.cpio")
	for _, s := range serieses {
		k, err := s.obtain(ctx, o.cache)
		if err != nil {
			return nil, err
		}
		plain.kernels = append(plain.kernels, k)
		if o.wants(s.version) {
			machines = append(machines, o.machine(s.version, k, plainImage, "/casemate/steps"))
		}
	}
	if len(machines) > 0 {
		if err := plain.write(ctx, plainImage); err != nil {
			return nil, err
		}
	}
	if o.wants("systemd") {
		unit := plain
		unit.systemd = true
		machines = append(machines, o.machine("systemd", plain.kernels[0], unitImage, "/sbin/init"))
		if err := unit.write(ctx, unitImage); err != nil {
			return nil, err
		}
	}
	return machines, nil
}

func (o *options) machine(name string, k kernel, initrd, next string) *machine {
	return &machine{name: name, kernel: k.image, initrd: initrd, next: next, deadline: o.deadline,
		console: filepath.Join(o.cache, name+".console"), report: filepath.Join(o.cache, name+".report")}
}

func (o *options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

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
