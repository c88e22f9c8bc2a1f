package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// The seed and the length of a storm, where the environment does not say: CHAOS_SEED
// a number, CHAOS_MINUTES a number of minutes. CHAOS_FAULTS is a regular expression
// that leaves out the faults it does not match.
const (
	usualSeed   = 6
	usualLength = 20 * time.Second
)

// How long, at most, until all is as it was when a storm is over: a zygote's or a
// worker's longest backoff is 10 s, a session that hears nothing lasts for 6 s.
const (
	answersWithin = 60 * time.Second
	quietWithin   = 60 * time.Second
)

// world is everything of one storm.
type world struct {
	t      *testing.T
	site   *site
	broker *rig.Broker
	ledger *ledger
	goods  []*good
	logs   string // a small disk, for the log alone
	moved  int    // logs that were moved away
	only   *regexp.Regexp
	pids   string // the broker's control group with the pids controller, "" = none

	mu     sync.Mutex
	thrown map[string]int // bad clients, by name
	locks  map[string]*sync.Mutex
}

// TestChaos is the storm.
func TestChaos(t *testing.T) {
	seed, length := uint64(usualSeed), usualLength
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	if text := os.Getenv("CHAOS_MINUTES"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n <= 0 || n > 600 {
			t.Fatalf("CHAOS_MINUTES=%q: write a number of minutes", text)
		}
		length = time.Duration(n * float64(time.Minute))
	}
	rig.Root(t)
	if !rig.Alone(t, length+4*time.Minute) {
		if t.Failed() {
			t.Logf("the storm again: make chaos SEED=%d MINUTES=%.2f", seed, length.Minutes())
		}
		return
	}
	w := newWorld(t)
	w.only = regexp.MustCompile(os.Getenv("CHAOS_FAULTS"))
	w.warmUp()
	before := w.look()
	w.storm(seed, length)
	w.calm()
	after := w.settled(before)
	w.account()
	w.table(seed, length, before, after)
}

// newWorld starts the broker, with its log on a small disk.
func newWorld(t *testing.T) *world {
	w := &world{t: t, ledger: newLedger(), logs: t.TempDir(), thrown: map[string]int{}, locks: map[string]*sync.Mutex{}}
	if err := unix.Mount("casemate-chaos", w.logs, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=512m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.logs, unix.MNT_DETACH) })
	w.site = newSite(t, t.TempDir())
	for _, x := range w.site.targets {
		w.goods = append(w.goods, &good{target: x, ledger: w.ledger, tried: map[string]int{}, served: map[string]int{}})
	}
	o := rig.Options{Files: map[string]string{"storm.cm.hcl": w.site.text(0)}, Args: []string{"--log", w.logs + "/log"}}
	o.Under, w.pids = rig.PidsGroup(t)
	w.broker = rig.ServeWith(t, o)
	w.broker.LogFile = w.logs + "/log"
	return w
}

// warmUp makes the broker do once what it will do again and again.
func (w *world) warmUp() {
	for range 3 {
		for _, g := range w.goods {
			if err := g.ask(0); err != nil {
				w.t.Fatalf("%s does not answer before the storm: %v", g.name, err)
			}
		}
		w.load()
	}
}

// load loads the first policy.
func (w *world) load() {
	w.t.Helper()
	w.write(w.site.text(0))
	if err := w.reload(); err != nil {
		w.t.Errorf("the policy does not load: %v", err)
	}
}

// storm throws everything for so long.
func (w *world) storm(seed uint64, length time.Duration) {
	stop, quiet := make(chan struct{}), make(chan struct{})
	var clients, throwers sync.WaitGroup
	streams := uint64(0)
	source := func() *rand.Rand { streams++; return rand.New(rand.NewPCG(seed, streams)) }
	for _, g := range w.goods {
		rnd := source()
		clients.Go(func() { g.until(quiet, rnd) })
	}
	for range 12 {
		rnd := source()
		throwers.Go(func() { between(stop, rnd, 10*time.Millisecond, 400*time.Millisecond, func() { w.throwBad(rnd) }) })
	}
	for range 3 {
		rnd := source()
		throwers.Go(func() { between(stop, rnd, 50*time.Millisecond, time.Second, func() { w.throwFault(rnd) }) })
	}
	select {
	case <-time.After(length):
	case <-w.ended():
		w.t.Error("the broker ended")
	}
	close(stop)
	throwers.Wait()
	w.load()
	w.answers()
	close(quiet)
	clients.Wait()
}

func (w *world) throwBad(rnd *rand.Rand) {
	row := badClients[rnd.IntN(len(badClients))]
	x := w.site.targets[rnd.IntN(len(w.site.targets))]
	if !row.to(x) {
		return
	}
	w.mu.Lock()
	w.thrown[row.name]++
	w.mu.Unlock()
	row.do(w, x, rnd)
}

func (w *world) throwFault(rnd *rand.Rand) {
	f := faults[rnd.IntN(len(faults))]
	if f.off != "" || !w.only.MatchString(f.name) {
		return
	}
	if f.alone != "" {
		w.mu.Lock()
		lock := w.locks[f.alone]
		if lock == nil {
			lock = &sync.Mutex{}
			w.locks[f.alone] = lock
		}
		w.mu.Unlock()
		lock.Lock()
		defer lock.Unlock()
	}
	f.do(w, f, rnd)
}

// answers waits until every service answers three times in a row.
func (w *world) answers() {
	began := time.Now()
	for _, g := range w.goods {
		probe := &good{target: g.target, ledger: newLedger(), tried: map[string]int{}, served: map[string]int{}}
		row := 0
		if err := rig.Until(answersWithin-time.Since(began), func() error {
			err := probe.ask(0)
			if row++; err != nil {
				row = 0
			} else if row < 3 {
				err = fmt.Errorf("%d answers in a row", row)
			}
			return err
		}); err != nil {
			w.t.Errorf("%s after the storm: %v", g.name, err)
		}
		g.mu.Lock()
		for k, n := range probe.tried {
			g.tried[k] += n
		}
		for k, n := range probe.served {
			g.served[k] += n
		}
		g.refused += probe.refused
		g.mu.Unlock()
	}
	w.t.Logf("every service answered %s after the storm", time.Since(began).Round(time.Millisecond))
}
