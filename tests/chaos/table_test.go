package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// table prints the storm on one page.
func (w *world) table(seed uint64, length time.Duration, before weight, rests []weight) {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %s\n%-32s %8s %8s\n", seed, length, "FAULT", "DONE", "COST")
	for _, f := range faults {
		fmt.Fprintf(&b, "%-32s %8d %8d %s\n", f.name, w.ledger.done[f.name], w.ledger.lost[f.name], f.off)
	}
	fmt.Fprintf(&b, "\n%-32s %8s\n", "BAD CLIENTS", "CAME")
	for _, c := range badClients {
		fmt.Fprintf(&b, "%-32s %8d\n", c.name, w.thrown[c.name])
	}
	fmt.Fprintf(&b, "\n%-12s %8s %8s %8s %8s %8s %10s  %s\n", "SERVICE", "ASKED", "ANSWERED", "REFUSED", "LOST", "RETRIES", "SLOWEST", "MEDIAN BY PARTS")
	for _, g := range w.goods {
		fmt.Fprintf(&b, "%-12s %8d %8d %8d %8d %8d %10s ", g.name, g.asked, g.answered, g.refused, g.lost, g.retries, g.slowest.Round(time.Millisecond))
		for _, r := range rests {
			if r.hasty[g.name] > 0 {
				fmt.Fprintf(&b, " %s", round(r.hasty[g.name]))
			}
		}
		b.WriteString("\n")
	}
	column := func(what string, value func(weight) any) {
		fmt.Fprintf(&b, "%-24s", what)
		for _, r := range slices.Concat([]weight{before}, rests) {
			fmt.Fprintf(&b, " %10v", value(r))
		}
	}
	b.WriteString("\n")
	column("AT REST", func(r weight) any { return r.at.Round(time.Second) })
	b.WriteString("  MORE  TREND\n")
	for _, x := range bounds {
		column(x.what, func(r weight) any { return r.counts[x.what] })
		fmt.Fprintf(&b, " %5d %6d  %s\n", x.more, x.trend, x.why)
	}
	column("median answer", func(r weight) any { return round(r.calm) })
	w.t.Log(b.String() + "\n")
}
