package admission

import "casemate/acl/limit"

// earlyDrop is random early drop on concurrency (limit.EarlyDrop): from start sessions on the
// probability grows in a line, from least at start to 1 at full.
type earlyDrop struct {
	start, full int    // sessions; full 0 is no early drop
	least       uint64 // percent
}

// newEarlyDrop cuts what is out of range to the tighter side, as newConfig does: a start that is none
// is 1, and one at or above full has nothing left to draw about. Without a number of places there is
// nothing to drop early of.
func newEarlyDrop(e limit.EarlyDrop, concurrent int) earlyDrop {
	if e == (limit.EarlyDrop{}) || concurrent == 0 {
		return earlyDrop{}
	}
	d := earlyDrop{start: max(e.Start, 1), full: concurrent, least: uint64(e.Percent)}
	if e.Percent < 0 || e.Percent > 100 {
		d.least = 100
	}
	return d
}

// odds are how many of 2^32 newcomers are dropped while busy sessions run. With at most 2^20
// sessions the product stays below 2^59.
func (d earlyDrop) odds(busy int) uint64 {
	switch {
	case d.full == 0 || busy < d.start:
		return 0
	case busy >= d.full:
		return 1 << 32
	}
	above, width := uint64(busy-d.start), uint64(d.full-d.start)
	return (d.least*(width-above) + 100*above) << 32 / (100 * width)
}

// draw tells whether the draw refuses the next newcomer; where the odds are none or all, nothing is drawn. What is drawn stays drawn until it has decided about somebody
// (drawn), so that Peek says what Admit does.
func (l *Limiter) draw() bool {
	odds := l.conf.early.odds(l.busy)
	if odds == 0 || odds >= 1<<32 || l.Draw == nil {
		return odds > 0
	}
	if !l.drawn {
		l.coin, l.drawn = l.Draw()>>32, true
	}
	return l.coin < odds
}
