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
	flag.DurationVar(&o.deadline, "deadline", 15*time.Minute, "end a machine after this time")
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
	var out []*machine
	add := func(name, kernel, next string, systemd bool) error {
		m := &machine{name: name, kernel: kernel, next: next, deadline: o.deadline,
			initrd:  filepath.Join(o.cache, "plain.cpio"),
			console: filepath.Join(o.cache, name+".console"), report: filepath.Join(o.cache, name+".report")}
		if systemd {
			m.initrd = filepath.Join(o.cache, "systemd.cpio")
		}
		out = append(out, m)
		if len(out) > 1 && out[len(out)-2].initrd == m.initrd {
			return nil
		}
		return image(ctx, m.initrd, tree, o.libexec, o.run, systemd)
	}
	for _, s := range serieses {
		if o.wants(s.version) {
			kernel, err := s.kernel(ctx, o.cache)
			if err != nil {
				return nil, err
			}
			if err := add(s.version, kernel, "/casemate/steps", false); err != nil {
				return nil, err
			}
		}
	}
	if o.wants("systemd") {
		kernel, err := serieses[0].kernel(ctx, o.cache)
		if err != nil {
			return nil, err
		}
		if err := add("systemd", kernel, "/sbin/init", true); err != nil {
			return nil, err
		}
	}
	return out, nil
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
	fmt.Printf("%-8s %s  Linux %s: %d passed, %d skipped, %d failed, %.0f s (%s)\n",
		m.name, word, r.kernel, r.passed, len(r.skipped), len(r.faults), time.Since(began).Seconds(), m.report)
	for _, f := range r.faults {
		fmt.Printf("  %s\n", f)
	}
	for _, s := range r.skipped {
		fmt.Printf("  skipped %s\n", s)
	}
	return r.ok()
}
