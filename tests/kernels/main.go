package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"casemate/tests/debian"
)

// options of one run.
type options struct {
	cache, libexec, run    string
	only, suites, packages []string
	emulate, again         bool
	commit                 string // that is tested, "" for none
	parallel               int
	deadline               time.Duration
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	var only, suites, packages string
	flag.StringVar(&o.cache, "cache", ".cache/kernels", "`folder` for what is downloaded, and what the last run said")
	flag.StringVar(&o.libexec, "libexec", "bin", "`folder` of the product's binaries")
	flag.StringVar(&o.run, "run", ".", "the tests to run in the guests, as a `pattern`")
	flag.StringVar(&only, "only", "", "comma separated `machines` to boot in place of all of this architecture: 6.1, 6.12, systemd, arm64")
	flag.StringVar(&suites, "suites", "", "comma separated `suites` to run in place of all: escape, root, zygote, ...")
	flag.StringVar(&packages, "packages", "", "the `packages` that the tests ask for, with blanks between them; without them such tests are left out")
	flag.BoolVar(&o.emulate, "emulate", os.Getenv("KERNELS_EMULATE") != "", "emulate the processor also where /dev/kvm gives machines")
	flag.BoolVar(&o.again, "again", false, "run the tests too that have passed on a machine with this commit and its kernel")
	flag.IntVar(&o.parallel, "parallel", runtime.NumCPU(), "boot so many machines at a time; an emulated one takes one processor")
	flag.DurationVar(&o.deadline, "deadline", 90*time.Minute, "end a machine after this time")
	flag.Parse()
	split := func(list string) []string { return strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) }
	o.only, o.suites, o.packages = split(only), split(suites), strings.Fields(packages)
	if os.Geteuid() != 0 {
		return errors.New("needs root: the guests' files have owners")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return err
	}
	var err error
	if !o.again {
		if o.commit, err = commit(ctx); err != nil {
			return err
		}
	}
	machines, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	bad := bootAll(ctx, machines, o.parallel)
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
	c := content{on: on, libexec: o.libexec, pattern: o.run, suites: o.suites, whole: len(o.packages) > 0 && on.here()}
	if !on.here() {
		c.libexec = filepath.Join(o.libexec, on.name)
	}
	for _, s := range serieses {
		if s.on != on || !o.wants(s.name, on) && !(on.here() && o.wants("systemd", on)) {
			continue
		}
		k, err := s.obtain(ctx, o.cache)
		if err != nil {
			return nil, err
		}
		c.kernels = append(c.kernels, k)
	}
	if len(c.kernels) == 0 {
		return nil, nil
	}
	tree, err := o.tree(ctx, on)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(o.cache, on.name+".ext4")
	if err := c.disk(ctx, tree, root); err != nil {
		return nil, err
	}
	var machines []*machine
	add := func(name string, k kernel, words string) error {
		if !o.wants(name, on) {
			return nil
		}
		file := func(kind string) string { return filepath.Join(o.cache, name+"."+kind) }
		key := o.commit
		if key != "" {
			key += " " + k.release
		}
		list, err := readPassed(file("passed"), key)
		if err != nil {
			return err
		}
		machines = append(machines, &machine{name: name, on: on, kernel: k.image, initrd: file("cpio"), root: root, words: words, deadline: o.deadline, passed: list,
			console: file("console"), report: file("report"), kvm: on.here() && !o.emulate && kvm()})
		return k.initrd(tree, file("cpio"), list.skips())
	}
	for _, k := range c.kernels {
		if err := add(k.series, k, "guest=/casemate/steps"); err != nil {
			return nil, err
		}
	}
	if on.here() {
		err = add("systemd", c.kernels[0], "guest=/sbin/init systemd.wants=report.service")
	}
	return machines, err
}

// tree is the Debian of the machines: with all the packages of the tests where its programs run on this host.
func (o *options) tree(ctx context.Context, on *architecture) (string, error) {
	if on.here() && len(o.packages) > 0 {
		return debian.Host(ctx, o.cache, append(guestPackages, o.packages...)...)
	}
	return debian.Tree(ctx, on.name, o.cache, append(guestPackages, "busybox-static", "iproute2")...)
}

// wants tells whether a machine is to be booted: one that was named, or each of this host's architecture.
func (o *options) wants(name string, on *architecture) bool {
	return len(o.only) == 0 && on.here() || slices.Contains(o.only, name)
}

// bootAll boots machines, so many at a time, and returns how many of them failed.
func bootAll(ctx context.Context, machines []*machine, parallel int) int {
	var bad atomic.Int32
	var all sync.WaitGroup
	free := make(chan struct{}, max(parallel, 1))
	for _, m := range machines {
		free <- struct{}{}
		all.Go(func() {
			if !boot(ctx, m) {
				bad.Add(1)
			}
			<-free
		})
	}
	all.Wait()
	return int(bad.Load())
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
	fmt.Printf("%-8s %s  Linux %s under %s: %d passed, %d before, %d skipped, %d failed, %.0f s (%.0f s of a processor), %s\n",
		m.name, word, r.kernel, m.accelerator(), r.count, r.before(), len(r.skipped), len(r.faults), time.Since(began).Seconds(), r.cpu.Seconds(), m.report)
	for _, f := range r.faults {
		fmt.Printf("  %s\n", f)
	}
	for _, s := range r.skipped {
		fmt.Printf("  skipped %s\n", s)
	}
	return r.ok()
}
