package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run: where things are, how long to measure, what came out.
type bench struct {
	cache, libexec string
	work           string // scratch folder of this run
	answer         string // the compiled testdata/answer.c
	vforkloop      string // the compiled testdata/vforkloop.c
	recvloop       string // the compiled testdata/recvloop.c
	flood, refuser string // the compiled testdata/flood.c and refuser.c
	floorServer    string // the compiled testdata/floor.c
	holder         string // the compiled testdata/hold.c
	plots          string // folder of the sweeps' plots, "" for none
	sweeps         []sweep
	fourloop       string // the compiled testdata/fourloop.c
	rounds         int
	span           time.Duration
	echoes         int // round trips of each echo server
	firstPort      uint
	out            io.Writer
	results        results // what every part found: the table at the end
}

// part is one measurement by name.
type part struct {
	name string
	run  func(context.Context, *bench) error
}

// parts in the order in which they run.
var parts = []part{
	{"service", compareService},
	{"network", compareNetwork},
	{"naming", compareNaming},
	{"start", compareStart},
	{"growth", compareGrowth},
	{"memory", measureMemory},
	{"load", measureLoad},
	{"change", measureChange},
	{"refusal", compareRefusals},
	{"calm", compareCalm},
	{"whole", measureWhole},
	{"live", weighLive},
	{"echo", compareEcho},
	{"builtin", compareBuiltins},
	{"sweep", measureSweeps},
}

func main() {
	// Servers are told to die with the thread that started them (prctl(2),
	// PR_SET_PDEATHSIG); the main thread lives as long as the run.
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{out: os.Stdout}
	var only, file, readme string
	var strict bool
	var limit time.Duration
	flag.StringVar(&b.cache, "cache", "bin/peers", "`folder` in which downloaded peers are kept")
	flag.StringVar(&b.libexec, "libexec", "bin", "`folder` of the product's binaries")
	flag.IntVar(&b.rounds, "rounds", 20, "rounds of each comparison")
	flag.DurationVar(&b.span, "span", 350*time.Millisecond, "how long each target is loaded in a round")
	flag.IntVar(&b.echoes, "echoes", 40000, "round trips of each server of udp echoes")
	flag.StringVar(&file, "json", "", "`file` that is to hold the table as JSON")
	flag.StringVar(&b.plots, "plots", "", "`folder` that is to hold the plots of the part sweep")
	flag.StringVar(&readme, "readme", "", "measure nothing: put what -json holds into this `file`")
	flag.BoolVar(&strict, "strict", false, "fail where an aim is missed")
	flag.UintVar(&b.firstPort, "port", 12000, "first of the loopback ports to try")
	flag.StringVar(&only, "only", "", "comma separated `parts` to run: "+partNames())
	flag.DurationVar(&limit, "limit", 30*time.Minute, "give up after this time")
	flag.Parse()
	if readme != "" {
		return writeReadme(readme, file)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: the super-servers change users and namespaces")
	}
	runtime.GOMAXPROCS(clients + 2) // a blocked client must not hold up another

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	about, err := b.about()
	if err != nil {
		return err
	}
	if err := b.freePorts(); err != nil {
		return err
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	// What one part could not measure takes nothing from what the others have.
	failed := b.measure(ctx, strings.FieldsFunc(only, func(r rune) bool { return r == ',' }))
	b.results.summary(about.note()).print(b.out)
	if file != "" {
		failed = errors.Join(failed, about.write(file, b.results, b.sweeps))
	}
	if missed := b.results.missed(); strict && len(missed) > 0 {
		failed = errors.Join(failed, fmt.Errorf("%d aims were missed", len(missed)))
	}
	return failed
}

// measure runs the wanted parts, or all where none is named, and goes on where one fails.
func (b *bench) measure(ctx context.Context, wanted []string) (failed error) {
	for _, name := range wanted {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("no part is called %q: %s", name, partNames())
		}
	}
	for _, p := range parts {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		if err := p.run(ctx, b); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

func partNames() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// portSpan is how many ports from the first one on a run uses.
const portSpan = 4000

// freePorts moves firstPort on until nobody listens on any port of the run's span.
func (b *bench) freePorts() error {
	for tries := 0; b.firstPort+portSpan < 32768; tries++ {
		busy := 0
		for p := b.firstPort; p < b.firstPort+portSpan && busy == 0; p++ {
			l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", p))
			if err != nil {
				busy = int(p)
				continue
			}
			_ = l.Close()
		}
		if busy == 0 {
			return nil
		}
		b.firstPort = uint(busy) + 1
	}
	return fmt.Errorf("no %d free ports in a row below 32768", portSpan)
}

// port returns the n-th port of the run.
func (b *bench) port(n int) uint16 { return uint16(b.firstPort) + uint16(n) }

// build compiles the C programs of the run, static, into a folder that the
// service's user can read.
func (b *bench) build(ctx context.Context) error {
	work, err := os.MkdirTemp("/var/tmp", "casemate-bench-")
	if err != nil {
		return err
	}
	b.work = work
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	for _, p := range []struct {
		to   *string
		name string
	}{{&b.answer, "answer"}, {&b.vforkloop, "vforkloop"}, {&b.recvloop, "recvloop"}, {&b.floorServer, "floor"}, {&b.holder, "hold"}, {&b.flood, "flood"}, {&b.refuser, "refuser"}, {&b.fourloop, "fourloop"}} {
		*p.to = filepath.Join(work, p.name)
		cc := exec.CommandContext(ctx, "gcc", "-static", "-O2", "-o", *p.to, filepath.Join("tests/bench/testdata", p.name+".c"))
		if out, err := cc.CombinedOutput(); err != nil {
			return fmt.Errorf("gcc %s.c (run from the top of the repository): %w\n%s", p.name, err, out)
		}
	}
	return nil
}
