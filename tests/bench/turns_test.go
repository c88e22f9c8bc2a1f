package main

import (
	"testing"
	"time"
)

func TestBusy(t *testing.T) {
	const stat = "cpu  100 20 300 5000 700 4 50 6000 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
	if d, err := busyOf(stat); err != nil || d != 4740*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := busyOf("cpu  100 20\n"); err == nil {
		t.Errorf("%v of half a line", d)
	}
	before, err := machineBusy()
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
	}
	after, err := machineBusy()
	if err != nil || after-before < 50*time.Millisecond {
		t.Errorf("%v of a tenth of a second's work, %v", after-before, err)
	}
}

// TestBest: by the median of the rounds, and not by a round that stands out.
func TestBest(t *testing.T) {
	round := func(served int, latency time.Duration) sample {
		return sample{served: served, elapsed: time.Second, latency: []time.Duration{latency}}
	}
	d := duel{
		"steady": {round(100, 3), round(100, 3), round(100, 3)},
		"jumpy":  {round(50, 1), round(900, 9), round(50, 1)},
		"ours":   {round(200, 6), round(150, 3), round(100, 3)},
	}
	names := []string{"jumpy", "steady"}
	if got := d.best(names, rateOf, true); got != "steady" {
		t.Errorf("most connections: %s", got)
	}
	if got := d.best(names, p50Of, false); got != "jumpy" {
		t.Errorf("least time: %s", got)
	}
	if got := d.figures(names, rateOf); len(got) != 2 || got[0] != (figure{"jumpy", 50}) || got[1] != (figure{"steady", 100}) {
		t.Errorf("%v", got)
	}
	if e := about(d.ratios("ours", "steady", rateOf)); e != (estimate{1.5, 1, 2}) {
		t.Errorf("%v", e)
	}
}
