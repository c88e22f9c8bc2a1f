package seccomp

import (
	"slices"
)

// Allows reports whether the rules let some call through that the given one describes.
func Allows(rules []Rule, call Rule) bool { return slices.ContainsFunc(rules, call.overlaps) }

// Exact gives what a rule asks of all 32 bits of an argument.
func (r Rule) Exact(index uint) (uint32, bool) {
	i := slices.IndexFunc(r.Args, func(a Arg) bool { return a.Index == index && a.Bits() == ^uint32(0) })
	if i < 0 {
		return 0, false
	}
	return r.Args[i].Value, true
}

// Fixed reports whether the rule asks for this value of an argument.
func (r Rule) Fixed(index uint, want uint32) bool {
	v, ok := r.Exact(index)
	return ok && v == want
}
