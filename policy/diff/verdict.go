package diff

import "slices"

// Verdict says what became of a service, or of one dimension of it.
type Verdict string

// The verdicts, the gravest first.
const (
	Widened      Verdict = "widened"      // it grants more, and nothing less
	Mixed        Verdict = "mixed"        // more and less
	Incomparable Verdict = "incomparable" // something is other, and nobody can prove that it is no more
	Added        Verdict = "added"
	Removed      Verdict = "removed"
	Narrowed     Verdict = "narrowed"  // less, and nothing more
	Changed      Verdict = "changed"   // something is other that grants nothing, as what is logged
	Unchanged    Verdict = "unchanged" // nothing is other
)

// Verdicts are all of them, in that order.
var Verdicts = []Verdict{Widened, Mixed, Incomparable, Added, Removed, Narrowed, Changed, Unchanged}

// MayWiden tells whether it counts as more for a gate.
func (v Verdict) MayWiden() bool { return slices.Index(Verdicts, v) <= slices.Index(Verdicts, Added) }

// sum is what of a thing is more, less, other, and other without granting anything.
type sum struct{ more, less, differs, changed bool }

func (s *sum) add(o sum) {
	s.more, s.less, s.differs, s.changed = s.more || o.more, s.less || o.less, s.differs || o.differs, s.changed || o.changed
}

func (s sum) verdict() Verdict {
	switch {
	case s.more && s.less:
		return Mixed
	case s.more:
		return Widened
	case s.differs:
		return Incomparable
	case s.less:
		return Narrowed
	case s.changed:
		return Changed
	}
	return Unchanged
}

// sum is that of a dimension.
func (d *Dimension) sum() sum {
	s := sum{len(d.More) > 0, len(d.Less) > 0, len(d.Differs) > 0, len(d.Changed) > 0}
	for i := range d.Reach {
		s.add(sum{more: d.Reach[i].Verdict == Widened, less: d.Reach[i].Verdict == Narrowed})
	}
	return s
}

// sum is that of a service: one that is added is more, one that is removed less.
func (s *Service) sum() (out sum) {
	switch s.Verdict {
	case Added:
		return sum{more: true}
	case Removed:
		return sum{less: true}
	}
	for i := range s.Dimensions {
		out.add(s.Dimensions[i].sum())
	}
	return out
}
