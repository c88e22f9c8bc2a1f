package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestProcessorIsTold: of rounds whose processor time is told in hundredths of a second, and to which others do something
// that lasts, a difference of one in a hundred is told from none.
func TestProcessorIsTold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const rounds, perRound = 238, 100
	draw := func(cost float64, busy []float64) (list []sample) {
		var used float64 // seconds since the start
		for i := range rounds {
			before := time.Duration(used*100) * (time.Second / 100)
			n := perRound + r.IntN(20)
			used += float64(n) * cost * busy[i] * (1 + 0.05*r.NormFloat64())
			list = append(list, sample{served: n, cpu: time.Duration(used*100)*(time.Second/100) - before})
		}
		return list
	}
	held := 0
	const runs = 200
	for range runs {
		busy := make([]float64, rounds)
		for i := range busy {
			busy[i] = 1
			if i/30%2 == 1 {
				busy[i] = 1.3
			}
		}
		plain, same, dearer := draw(500e-6, busy), draw(500e-6, busy), draw(515e-6, busy)
		e := processor(same, plain)
		if e.Low <= 1 && 1 <= e.High {
			held++
		}
		if e.High-e.Low > 0.04 {
			t.Fatalf("it is not told: %v", e)
		}
		if e := processor(dearer, plain); e.Low <= 1 || math.Abs(e.Ratio-1.03) > 0.02 {
			t.Fatalf("what costs 1.03 as much is told as %v", e)
		}
	}
	if held < runs*85/100 {
		t.Errorf("the interval has the true ratio in %d of %d runs", held, runs)
	}
}

// TestAbout: of fourteen values the interval of their median reaches from the third to the twelfth, as tables of the sign test have it.
func TestAbout(t *testing.T) {
	var v []float64
	for i := range 14 {
		v = append(v, float64((i*5)%14+1))
	}
	if e := about(v); e != (estimate{7.5, 3, 12}) {
		t.Errorf("%v", e)
	}
	if e := about(v[:3]); e.Low != slices.Min(v[:3]) || e.High != slices.Max(v[:3]) {
		t.Errorf("of three: %v", e)
	}
}
