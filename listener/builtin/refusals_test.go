package builtin

import (
	"testing"
	"time"
)

// TestRefusalsCostHalfAProcessor: a flood that never lets the queue be empty has the worker rest as long as it works,
// whatever a batch takes and whether some are answered; answers alone are never held up, nor is a trickle.
func TestRefusalsCostHalfAProcessor(t *testing.T) {
	for _, tt := range []struct {
		name         string
		batch, every time.Duration // how long one takes, and how often they come at most
		refused      int           // of most
		least, most  float64       // share of the time that is worked
	}{
		{"a flood", 20 * time.Microsecond, 0, most, 0.4, 0.55},
		{"of slow batches", 900 * time.Microsecond, 0, most, 0.4, 0.6},
		{"with some answers", 20 * time.Microsecond, 0, most * 7 / 8, 0.5, 0.65},
		{"answers alone", 20 * time.Microsecond, 0, 0, 1, 1},
		{"a third of a processor", 20 * time.Microsecond, 60 * time.Microsecond, most, 0.33, 0.34},
	} {
		var r refusals
		start := time.Unix(1_000_000, 0)
		now, worked := start, time.Duration(0)
		for now.Sub(start) < time.Second {
			began := now
			now = now.Add(tt.batch)
			worked += tt.batch
			rest := r.pause(began, now, most, tt.refused)
			if rest < 0 || rest > refusalWindow {
				t.Fatalf("%s: a rest of %v", tt.name, rest)
			}
			now = now.Add(max(rest, tt.every-tt.batch))
		}
		if share := worked.Seconds() / now.Sub(start).Seconds(); share < tt.least || share > tt.most {
			t.Errorf("%s: works %.2f of the time, want %.2f to %.2f", tt.name, share, tt.least, tt.most)
		}
	}
}
