package chaos

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestSoakFindsLeaks is the control: in a storm without faults or bad clients sessions stay, as a leak would, and a client
// is lost without a reason. Each is found.
func TestSoakFindsLeaks(t *testing.T) {
	rig.Root(t)
	if !rig.Alone(t, 3*time.Minute) {
		return
	}
	leak := &target{name: "leak", network: "tcp", address: "127.0.0.1:" + rig.Port(t), way: "client", attrs: []string{"profile = profile.tmp", "limit = limit.long"}}
	w := newWorld(t, leak)
	w.still, w.leaves, w.quiet = true, leak.name, 3*time.Second
	w.warmUp()
	before := w.look(nil)
	var leaked []net.Conn
	w.plant = func(int) {
		for range 10 {
			c, err := net.Dial(leak.network, leak.address)
			if err != nil {
				t.Fatal(err)
			}
			leaked = append(leaked, c)
		}
	}
	rests := w.storm(usualSeed, time.Second, before)
	found := strings.Join(leaks(before, rests), "\n")
	for _, what := range []string{"processes", "descriptors", "descriptors below", "namespaces", "mounts", "temporary file systems", "leased uids"} {
		if !strings.Contains("\n"+found, "\n"+what+": ") {
			t.Errorf("%d sessions were left, and nobody finds their %s in\n%s", len(leaked), what, found)
		}
	}
	for _, c := range leaked {
		c.Close()
	}
	if lost := len(w.ledger.unexplained); lost != 0 {
		t.Errorf("%d requests were lost before anybody did anything", lost)
	}
	nobody := *leak
	nobody.name, nobody.address, nobody.source = "nobody there", w.site.busy, "127.0.0.1"
	if err := newGood(&nobody, w.ledger).ask(0); err == nil || len(w.ledger.unexplained) != 1 {
		t.Errorf("a client was lost (%v), and the ledger has %v", err, w.ledger.unexplained)
	}
}

// TestLedger: which losses a fault explains, and which it does not.
func TestLedger(t *testing.T) {
	at := time.Now()
	after := func(ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }
	for _, tt := range []struct {
		name          string
		service       string
		from, to      int // of the request, after the fault began; it was over after 100 ms
		cost          int
		after         time.Duration
		before, means int // losses before it, and those without a reason then
	}{
		{"in its midst", "x", 50, 60, 1, moment, 0, 0},
		{"begun before its end", "x", 100, 5000, 1, moment, 0, 0},
		{"begun after it", "x", 101, 5000, 1, moment, 0, 1},
		{"over before it", "x", -50, -1, 1, moment, 0, 1},
		{"long after it", "x", 15000, 15001, 1, slowStart, 0, 0},
		{"too long after it", "x", 21000, 21001, 1, slowStart, 0, 1},
		{"another service", "y", 50, 60, 1, moment, 0, 1},
		{"one more than it costs", "x", 50, 60, 1, moment, 1, 1},
		{"as many as it costs", "x", 50, 60, 2, moment, 1, 0},
		{"nothing is its cost", "x", 50, 60, 0, moment, 0, 1},
	} {
		l := newLedger()
		h := l.begin(&fault{name: "it", cost: tt.cost, after: tt.after}, "x")
		h.began, h.ended = at, after(100)
		for range tt.before + 1 {
			l.lose(tt.service, after(tt.from), after(tt.to), errors.New("lost"))
		}
		if len(l.unexplained) != tt.means {
			t.Errorf("%s: %d without a reason, want %d", tt.name, len(l.unexplained), tt.means)
		}
	}
}

// TestWeights: what is a leak or a drift, and what is not.
func TestWeights(t *testing.T) {
	of := func(n int, calm, hasty time.Duration) weight {
		c := map[string]int{}
		for _, b := range bounds {
			c[b.what] = n
		}
		return weight{counts: c, calm: calm, hasty: map[string]time.Duration{"line": hasty}}
	}
	const ms = time.Millisecond
	level := of(100, 2*ms, 10*ms)
	if found := leaks(level, []weight{level, level}); len(found) > 0 {
		t.Errorf("nothing grew: %q", found)
	}
	for _, b := range bounds {
		for _, tt := range []struct {
			first, last int
			finds       bool
		}{
			{100, 100 + min(b.more, b.trend), false}, {100, 100 + b.more + 1, true}, {100 - b.trend - 1, 100, true}, {0, 0, false},
		} {
			rests := []weight{of(100, 0, 0), of(100, 0, 0)}
			rests[0].counts[b.what], rests[1].counts[b.what] = tt.first, tt.last
			found := leaks(level, rests)
			if finds := slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, b.what+": ") }); finds != tt.finds {
				t.Errorf("%s: 100, %d and %d: found %q, want that it is found: %v", b.what, tt.first, tt.last, found, tt.finds)
			}
		}
	}
	for _, tt := range []struct {
		last weight
		want int
	}{
		{of(0, 2*ms, 10*ms), 0}, {of(0, 9*ms, 25*ms), 0}, {of(0, 10*ms, 25*ms), 1}, {of(0, 9*ms, 26*ms), 1}, {of(0, 10*ms, 26*ms), 2}, {of(0, 0, 0), 0},
	} {
		if found := drifts([]weight{level, tt.last}); len(found) != tt.want {
			t.Errorf("%v: found %q, want %d", fmt.Sprint(tt.last.calm, tt.last.hasty), found, tt.want)
		}
	}
}
