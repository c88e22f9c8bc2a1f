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

// verdict is that of what is more, less, other, and other without granting anything.
func verdict(more, less, differs, changed bool) Verdict {
	switch {
	case more && less:
		return Mixed
	case more:
		return Widened
	case differs:
		return Incomparable
	case less:
		return Narrowed
	case changed:
		return Changed
	}
	return Unchanged
}

// both is the verdict of two things together.
func both(a, b Verdict) Verdict {
	has := func(of ...Verdict) bool { return slices.Contains(of, a) || slices.Contains(of, b) }
	return verdict(has(Widened, Mixed), has(Narrowed, Mixed), has(Incomparable), has(Changed))
}
