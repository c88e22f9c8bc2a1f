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

// The seed and the length of a storm, where the environment does not say: SOAK_SEED a number, SOAK_MINUTES a number of minutes.
// SOAK_FAULTS is a regular expression that leaves out the faults it does not match.
const (
	usualSeed   = 6
	usualLength = 20 * time.Second
)

// parts is how many parts of a storm there are. It rests after each, or after the first and the last one where it is short.
const (
	parts = 5
	short = 2 * time.Minute
)

// How long, at most, until all is as it was when a storm is over: a zygote's or a worker's longest backoff is 10 s, a session that
// hears nothing lasts for 6 s.
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
	slows  *slows
	logs   string // a small disk, for the log alone
	moved  int    // logs that were moved away
	only   *regexp.Regexp
	pids   string // the broker's control group with the pids controller, "" = none
	began  time.Time
	ended  chan struct{}  // closed when casemated has ended
	plant  func(part int) // what a control does in each part, nil = nothing
	still  bool           // nobody throws anything
	leaves string         // the service whose sessions a control leaves there
	quiet  time.Duration  // how long it may take until there is no session

	mu      sync.Mutex
	thrown  map[string]int // bad clients, by name
	locks   map[string]*sync.Mutex
	brokers int       // that were killed
	since   time.Time // the last one
}

// TestSoak is the storm.
func TestSoak(t *testing.T) {
	seed, length := uint64(usualSeed), usualLength
	if text := os.Getenv("SOAK_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	if text := os.Getenv("SOAK_MINUTES"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n <= 0 || n > 600 {
			t.Fatalf("SOAK_MINUTES=%q: write a number of minutes", text)
		}
		length = time.Duration(n * float64(time.Minute))
	}
	rig.Root(t)
	if !rig.Alone(t, length+10*time.Minute) {
		if t.Failed() {
			t.Logf("the storm again: make soak SEED=%d MINUTES=%.2f", seed, length.Minutes())
		}
		return
	}
	w := newWorld(t)
	w.only = regexp.MustCompile(os.Getenv("SOAK_FAULTS"))
	w.warmUp()
	before := w.look(nil)
	rests := w.storm(seed, length, before)
	w.calm()
	w.sleeps()
	found := leaks(before, rests)
	if length > usualLength { // make test has other work beside it, and a clock decides nothing there
		found = append(found, drifts(rests)...)
	}
	for _, text := range found {
		t.Error(text)
	}
	w.account()
	w.table(seed, length, before, rests)
}

// newWorld starts the broker, with its log on a small disk.
func newWorld(t *testing.T, more ...*target) *world {
	w := &world{t: t, quiet: quietWithin, ledger: newLedger(), logs: t.TempDir(), thrown: map[string]int{}, locks: map[string]*sync.Mutex{}}
	if err := unix.Mount("casemate-chaos", w.logs, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=512m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(w.logs, unix.MNT_DETACH) })
	w.site = newSite(t, t.TempDir())
	for _, x := range w.site.targets {
		w.goods = append(w.goods, newGood(x, w.ledger))
	}
	w.site.targets = append(w.site.targets, more...)
	o := rig.Options{Files: map[string]string{"storm.cm.hcl": w.site.text(0)}, Args: []string{"--log", w.logs + "/log"}}
	o.Under, w.pids = rig.PidsGroup(t)
	w.broker = rig.ServeWith(t, o)
	w.broker.LogFile = w.logs + "/log"
	w.ended = make(chan struct{})
	go func() {
		if _, err := w.broker.Ended(24 * time.Hour); err == nil {
			close(w.ended)
		}
	}()
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

// storm throws everything for so long, in parts, and rests between them.
func (w *world) storm(seed uint64, length time.Duration, before weight) (rests []weight) {
	streams := uint64(0)
	source := func() *rand.Rand { streams++; return rand.New(rand.NewPCG(seed, streams)) }
	w.began = time.Now()
	for part := range parts {
		quiet := make(chan struct{})
		var clients sync.WaitGroup
		for _, g := range w.goods {
			rnd := source()
			clients.Go(func() { g.until(quiet, rnd) })
		}
		w.throw(length/parts, source)
		w.load()
		w.answers()
		close(quiet)
		clients.Wait()
		if w.plant != nil {
			w.plant(part)
		}
		if part == 0 || part == parts-1 || length > short {
			rests = append(rests, w.rest(before))
		}
	}
	return rests
}

// throw is one part of a storm.
func (w *world) throw(length time.Duration, source func() *rand.Rand) {
	stop := make(chan struct{})
	var throwers sync.WaitGroup
	w.slows = newSlows()
	for range w.throwers(12) {
		rnd := source()
		throwers.Go(func() { between(stop, rnd, 10*time.Millisecond, 400*time.Millisecond, func() { w.throwBad(rnd) }) })
	}
	for range w.throwers(3) {
		rnd := source()
		throwers.Go(func() { between(stop, rnd, 50*time.Millisecond, time.Second, func() { w.throwFault(rnd) }) })
	}
	select {
	case <-time.After(length):
	case <-w.ended:
		w.t.Error("casemated ended")
	}
	close(stop)
	throwers.Wait()
	w.slows.end()
}

func (w *world) throwers(n int) int {
	if w.still {
		return 0
	}
	return n
}

// rest is a moment without anybody else, in which good clients are answered, and then nobody is there.
func (w *world) rest(before weight) weight {
	var calm time.Duration
	hasty := map[string]time.Duration{}
	for _, g := range w.goods {
		hasty[g.name] = g.median()
		calm = max(calm, w.pace(g))
	}
	now := w.look(&before)
	now.calm, now.hasty = calm, hasty
	return now
}

// pace is how long a service's median answer takes, in the best of three rows: others may work on this machine. Not one may be lost.
func (w *world) pace(g *good) time.Duration {
	if g.closed {
		return 0
	}
	best := time.Hour
	for range 3 {
		var row []time.Duration
		for range 11 {
			began := time.Now()
			if err := g.ask(0); err != nil {
				w.t.Errorf("%s at rest: %v", g.name, err)
			}
			row = append(row, time.Since(began))
		}
		best = min(best, middle(row))
	}
	g.median()
	return best
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
		probe := newGood(g.target, newLedger())
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
