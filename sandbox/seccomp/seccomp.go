// Package seccomp turns an allow-list of system calls into a seccomp filter
// program for x86-64.
//
// The lists (names, groups, rules with argument values) are plain Go and can be
// used anywhere; only [Filter.Compile] needs cgo and libseccomp. The program has
// two parts. In front stands a stub of ours: a foreign architecture dies, a
// number that the table does not know answers ENOSYS, and so does clone3. Behind
// it comes the body that libseccomp made, a binary search over the calls, in
// which everything that is not allowed is a violation.
//
// Arguments are compared on their low 32 bits and for equality only, since
// the kernel truncates most of them to an int while seccomp(2) sees 64 bits: a
// rule that looks at the upper half, or allows a range, can be slipped past with
// a value such as AF_INET|1<<32.
package seccomp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Action is what happens to a known call that is not allowed.
type Action string

// The actions, each letting through more than the one before.
const (
	Kill  Action = "kill"  // the process dies with SIGSYS
	Errno Action = "errno" // the call fails with EPERM
)

// Actions are the actions in that order.
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

// Rule allows a call. All Args must hold; none means that the call is allowed
// with any arguments, but a send never with MSG_FASTOPEN. Several rules for one
// call are alternatives.
type Rule struct {
	Name string
	Args []Arg
}

// Filter is what Compile turns into a program.
type Filter struct {
	Rules       []Rule
	OnViolation Action
	// Once lets nothing be executed but a path at PathPage.
	Once bool
}

// mask gives the effective mask.
func (a Arg) mask() uint32 {
	if a.Mask == 0 {
		return ^uint32(0)
	}
	return a.Mask
}

// String writes a rule as "ioctl(1=0x5401)" or "mmap(2&0x4=0x0)".
func (r Rule) String() string {
	if len(r.Args) == 0 {
		return r.Name
	}
	var b strings.Builder
	b.WriteString(r.Name)
	sep := byte('(')
	for _, a := range r.Args {
		b.WriteByte(sep)
		sep = ','
		fmt.Fprintf(&b, "%d", a.Index)
		if a.mask() != ^uint32(0) {
			fmt.Fprintf(&b, "&%#x", a.Mask)
		}
		fmt.Fprintf(&b, "=%#x", a.Value)
	}
	b.WriteByte(')')
	return b.String()
}

// check refuses what cannot be compiled or could never match.
func (r Rule) check() error {
	if _, ok := Number(r.Name); !ok {
		return unknownName(r.Name)
	}
	if withheld[r.Name] {
		return fmt.Errorf("no service can have %s: casemated has given it up, for itself and for what it starts", r.Name)
	}
	var seen [6]bool
	for _, a := range r.Args {
		switch {
		case a.Index > 5:
			return fmt.Errorf("rule %s: argument %d: a system call has arguments 0 to 5", r, a.Index)
		case seen[a.Index]:
			return fmt.Errorf("rule %s: argument %d is compared twice: write one rule for each value", r, a.Index)
		case a.Value&^a.mask() != 0:
			return fmt.Errorf("rule %s: argument %d: value %#x has bits outside the mask %#x, so it never matches", r, a.Index, a.Value, a.mask())
		}
		seen[a.Index] = true
	}
	return nil
}

// compare orders rules by number, then by arguments, unconditional ones first.
func (r Rule) compare(o Rule) int {
	a, _ := Number(r.Name)
	b, _ := Number(o.Name)
	if c := cmp.Compare(a, b); c != 0 {
		return c
	}
	return slices.CompareFunc(r.Args, o.Args, func(x, y Arg) int {
		return cmp.Or(cmp.Compare(x.Index, y.Index), cmp.Compare(x.mask(), y.mask()), cmp.Compare(x.Value, y.Value))
	})
}

// covers reports whether every call that o allows is allowed by r too.
func (r Rule) covers(o Rule) bool {
	if r.Name != o.Name {
		return false
	}
	for _, a := range r.Args {
		i := slices.IndexFunc(o.Args, func(b Arg) bool { return b.Index == a.Index })
		if i < 0 || a.mask()&^o.Args[i].mask() != 0 || o.Args[i].Value&a.mask() != a.Value {
			return false
		}
	}
	return true
}

// overlaps reports whether some call is allowed by both.
func (r Rule) overlaps(o Rule) bool {
	if r.Name != o.Name {
		return false
	}
	for _, a := range r.Args {
		for _, b := range o.Args {
			if a.Index == b.Index && (a.Value^b.Value)&a.mask()&b.mask() != 0 {
				return false
			}
		}
	}
	return true
}

// Normalize checks the rules and gives them back sorted by call number, their
// arguments by index, without those that another rule covers, and those of sending
// calls without MSG_FASTOPEN. The result allows exactly what the rules allowed but for
// that flag; it shares no memory with them.
func Normalize(rules []Rule) ([]Rule, error) {
	sorted := make([]Rule, 0, len(rules))
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, err
		}
		r.Args = slices.Clone(r.Args)
		r, err := r.pin()
		if err != nil {
			return nil, err
		}
		slices.SortFunc(r.Args, func(a, b Arg) int { return cmp.Compare(a.Index, b.Index) })
		sorted = append(sorted, r)
	}
	slices.SortFunc(sorted, Rule.compare)
	out := make([]Rule, 0, len(sorted))
	for len(sorted) > 0 { // one call after the other: only its own rules cover a rule
		n := slices.IndexFunc(sorted, func(r Rule) bool { return r.Name != sorted[0].Name })
		if n < 0 {
			n = len(sorted)
		}
		out = append(out, uncovered(sorted[:n])...)
		sorted = sorted[n:]
	}
	return out, nil
}

// uncovered gives the rules of one call, sorted, without those that another
// covers; of equal ones the first stays.
func uncovered(rules []Rule) []Rule {
	if len(rules[0].Args) == 0 { // unconditional ones are first, and cover all
		return rules[:1]
	}
	var out []Rule
	for i, r := range rules {
		if !slices.ContainsFunc(out, func(o Rule) bool { return o.covers(r) }) &&
			!slices.ContainsFunc(rules[i+1:], func(o Rule) bool { return o.covers(r) && !r.covers(o) }) {
			out = append(out, r)
		}
	}
	return out
}
