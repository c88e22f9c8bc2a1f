// Package filter makes seccomp programs of numbered rules, in an unprivileged process:
// nothing of it runs as root. What a name or a group of calls stands for, the compiler has
// worked out (package seccomp); here rules are checked, what every filter must
// answer stands in front of them, and libseccomp compiles the rest.
package filter

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"casemate/sandbox/seccomp/program"
)

// Action is program.Action.
type Action = program.Action

// The actions.
const (
	Kill  = program.Kill
	Errno = program.Errno
)

// Actions are those, each letting through more than the one before.
var Actions = []Action{Kill, Errno}

// Arg asks that an argument of the call has a value, compared on the low 32
// bits: arg & Mask == Value. A Mask of 0 stands for 0xffffffff.
//
// A pointer must not be compared: its low half can be chosen by the caller (Filter.Once compares both halves).
type Arg struct {
	Index uint // 0..5
	Mask  uint32
	Value uint32
}

// Rule allows the call of a number. All Args must hold; none means that the call
// is allowed with any arguments, but a send never with MSG_FASTOPEN. Several rules
// for one call are alternatives.
type Rule struct {
	Call int
	Args []Arg
}

// Filter is what Compile turns into a program.
type Filter struct {
	Rules       []Rule
	OnViolation Action
	// Ahead are rules that are looked at before the others of their calls, one by one.
	Ahead []Rule
	// Once lets nothing be executed but from machine.Gate.
	Once bool
	// Init says that an init has the parent-death signal that ties a session to the
	// broker, so that the program's own is its own.
	Init bool
}

// Bits gives the effective mask.
func (a Arg) Bits() uint32 {
	if a.Mask == 0 {
		return ^uint32(0)
	}
	return a.Mask
}

// check refuses what cannot be compiled or could never match.
func (r Rule) check() error {
	if !Known(r.Call) {
		return fmt.Errorf("there is no system call %d", r.Call)
	}
	if slices.Contains(program.Withheld, r.Call) {
		return fmt.Errorf("no service can have it: casemated has given it up, for itself and for what it starts")
	}
	var seen [6]bool
	for _, a := range r.Args {
		switch {
		case a.Index > 5:
			return fmt.Errorf("argument %d: a system call has arguments 0 to 5", a.Index)
		case seen[a.Index]:
			return fmt.Errorf("argument %d is compared twice: write one rule for each value", a.Index)
		case a.Value&^a.Bits() != 0:
			return fmt.Errorf("argument %d: value %#x has bits outside the mask %#x, so it never matches", a.Index, a.Value, a.Bits())
		}
		seen[a.Index] = true
	}
	return nil
}

// compare orders rules by number, then by arguments, unconditional ones first.
func (r Rule) compare(o Rule) int {
	return cmp.Or(cmp.Compare(r.Call, o.Call), slices.CompareFunc(r.Args, o.Args, func(x, y Arg) int {
		return cmp.Or(cmp.Compare(x.Index, y.Index), cmp.Compare(x.Bits(), y.Bits()), cmp.Compare(x.Value, y.Value))
	}))
}

// Covers reports whether every call that o allows is allowed by r too.
func (r Rule) Covers(o Rule) bool {
	if r.Call != o.Call {
		return false
	}
	for _, a := range r.Args {
		i := slices.IndexFunc(o.Args, func(b Arg) bool { return b.Index == a.Index })
		if i < 0 || a.Bits()&^o.Args[i].Bits() != 0 || o.Args[i].Value&a.Bits() != a.Value {
			return false
		}
	}
	return true
}

// Overlaps reports whether some call is allowed by both.
func (r Rule) Overlaps(o Rule) bool {
	if r.Call != o.Call {
		return false
	}
	for _, a := range r.Args {
		for _, b := range o.Args {
			if a.Index == b.Index && (a.Value^b.Value)&a.Bits()&b.Bits() != 0 {
				return false
			}
		}
	}
	return true
}

// Allows reports whether the rules let some call through that the given one describes.
func Allows(rules []Rule, call Rule) bool { return slices.ContainsFunc(rules, call.Overlaps) }

// Normalize checks the rules and gives them back sorted by call number, their
// arguments by index, without those that another rule covers, and those of sending
// calls without MSG_FASTOPEN. The result allows exactly what the rules allowed but for
// that flag; it shares no memory with them. An error names the rule's place.
func Normalize(rules []Rule) ([]Rule, error) {
	sorted := make([]Rule, 0, len(rules))
	for i, r := range rules {
		if err := r.check(); err != nil {
			return nil, &RuleError{i, err}
		}
		r.Args = slices.Clone(r.Args)
		r, err := r.pin()
		if err != nil {
			return nil, &RuleError{i, err}
		}
		for k := range r.Args {
			if r.Args[k].Mask == ^uint32(0) {
				r.Args[k].Mask = 0
			}
		}
		slices.SortFunc(r.Args, func(a, b Arg) int { return cmp.Compare(a.Index, b.Index) })
		sorted = append(sorted, r)
	}
	slices.SortFunc(sorted, Rule.compare)
	out := make([]Rule, 0, len(sorted))
	for _, own := range calls(sorted) { // only its own rules cover a rule
		out = append(out, uncovered(own)...)
	}
	return out, nil
}

// calls yields each call of sorted rules with its own ones.
func calls(sorted []Rule) iter.Seq2[int, []Rule] {
	return func(yield func(int, []Rule) bool) {
		for from, to := 0, 0; from < len(sorted); from = to {
			for to < len(sorted) && sorted[to].Call == sorted[from].Call {
				to++
			}
			if !yield(sorted[from].Call, sorted[from:to]) {
				return
			}
		}
	}
}

// RuleError is a rule that cannot be compiled, by its place among those given.
type RuleError struct {
	Index int
	Err   error
}

// Error says what is wrong with the rule.
func (e *RuleError) Error() string { return fmt.Sprintf("rule %d: %v", e.Index, e.Err) }

// Unwrap gives what is wrong.
func (e *RuleError) Unwrap() error { return e.Err }

// uncovered gives the rules of one call, sorted, without those that another
// covers; of equal ones the first stays.
func uncovered(rules []Rule) []Rule {
	if len(rules[0].Args) == 0 { // unconditional ones are first, and cover all
		return rules[:1]
	}
	var out []Rule
	for i, r := range rules {
		if !slices.ContainsFunc(out, func(o Rule) bool { return o.Covers(r) }) &&
			!slices.ContainsFunc(rules[i+1:], func(o Rule) bool { return o.Covers(r) && !r.Covers(o) }) {
			out = append(out, r)
		}
	}
	return out
}
