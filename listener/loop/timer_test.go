package loop

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestTimerHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var l Loop
	timers := make([]Timer, 500)
	armed := map[*Timer]bool{}
	for range 5000 {
		x := &timers[rng.IntN(len(timers))]
		if rng.IntN(3) == 0 {
			l.Disarm(x)
			delete(armed, x)
		} else {
			l.After(x, time.Duration(rng.Int64N(1000)))
			armed[x] = true
		}
	}
	if len(l.timers) != len(armed) {
		t.Fatalf("%d timers in the heap, %d armed", len(l.timers), len(armed))
	}
	last := int64(-1)
	for x := l.timers.pop(1000); x != nil; x = l.timers.pop(1000) {
		if x.when < last || !armed[x] || x.Armed() {
			t.Fatalf("popped %+v after %d", x, last)
		}
		last = x.when
		delete(armed, x)
	}
	if len(armed) != 0 || len(l.timers) != 0 {
		t.Errorf("%d timers lost", len(armed))
	}
	l.After(&timers[0], 7)
	if l.timers.pop(6) != nil || l.timers.pop(7) == nil {
		t.Error("a timer must expire at its time, and not before")
	}
}
