package loop

import (
	"math/rand/v2"
	"testing"
)

func TestTimerHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h timerHeap
	timers := make([]Timer, 500)
	armed := map[*Timer]bool{}
	for range 5000 {
		x := &timers[rng.IntN(len(timers))]
		if rng.IntN(3) == 0 {
			h.disarm(x)
			delete(armed, x)
		} else {
			h.arm(x, rng.Int64N(1000))
			armed[x] = true
		}
	}
	if len(h) != len(armed) {
		t.Fatalf("%d timers in the heap, %d armed", len(h), len(armed))
	}
	last := int64(-1)
	for x := h.pop(1000); x != nil; x = h.pop(1000) {
		if x.when < last || !armed[x] || x.Armed() {
			t.Fatalf("popped %+v after %d", x, last)
		}
		last = x.when
		delete(armed, x)
	}
	if len(armed) != 0 || len(h) != 0 {
		t.Errorf("%d timers lost", len(armed))
	}
	h.arm(&timers[0], 7)
	if h.pop(6) != nil || h.pop(7) == nil {
		t.Error("a timer must expire at its time, and not before")
	}
}
