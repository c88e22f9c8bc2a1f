package main

import (
	"fmt"
	"math"
	"slices"
)

// blocks is into how many parts rounds are put to see how far their figure can be told; there are to be as many rounds at least.
const blocks = 20

// student is how many standard errors lie on each side of what is estimated from so many blocks, in 95 of 100 runs:
// Student's t with 19 degrees of freedom.
const student = 2.093

// estimate is a ratio with the interval that holds the true one in 95 of 100 runs.
type estimate struct {
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func (e estimate) String() string {
	return fmt.Sprintf("%.3f (%.3f to %.3f)", e.Ratio, e.Low, e.High)
}

// processor is the ratio of the processor time of a's connections to that of b's, from rounds in turns.
//
// The kernel tells that time in hundredths of a second, which is much of a round; all rounds together it tells as well as
// any, for nothing is used between them and what one reading lacks the next one has. So the ratio is one of sums, and how
// far it is known comes from leaving out each twentieth of the rounds (the jackknife).
// Where others use the machine too, a connection takes longer, but hardly more of the processor, and a turn is so short that
// what the others do to the caches is done to both.
func processor(a, b []sample) estimate {
	n := min(len(a), len(b))
	all := processorRatio(a[:n], b[:n], n, n)
	var sum, squares float64
	for i := range blocks {
		v := blocks*all - (blocks-1)*processorRatio(a[:n], b[:n], i*n/blocks, (i+1)*n/blocks)
		sum, squares = sum+v, squares+v*v
	}
	mean := sum / blocks
	off := student * math.Sqrt(max(0, squares/blocks-mean*mean)/(blocks-1))
	return estimate{mean, mean - off, mean + off}
}

// processorRatio is that of all rounds but those of [from, to).
func processorRatio(a, b []sample, from, to int) float64 {
	each := func(list []sample) float64 {
		var cpu, served float64
		for i, s := range list {
			if i < from || i >= to {
				cpu, served = cpu+s.cpu.Seconds(), served+float64(s.served)
			}
		}
		return cpu / served
	}
	return each(a) / each(b)
}

// about is the median of values, with the interval between two of them that holds the median of all that could be measured
// in 95 of 100 runs, whatever their distribution is.
func about(values []float64) estimate {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return estimate{}
	}
	// So many values lie below the true median, as often as heads fall in n throws.
	outside, chance, p := 0, 0.0, math.Pow(0.5, float64(n))
	for k := 0; chance+p <= 0.025; k++ {
		outside, chance = k, chance+p
		p *= float64(n-k) / float64(k+1)
	}
	return estimate{median(v), v[outside], v[n-1-outside]}
}
