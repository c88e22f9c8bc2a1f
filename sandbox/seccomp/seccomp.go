// Package seccomp says in words what programs of system calls allow: the calls by
// name, the groups of them that profiles are made of, and what lists of both come to.
// It is the compiler's: what runs as root gets numbered rules (package filter), and
// does not link it.
package seccomp

import (
	"errors"
	"fmt"
	"strings"

	"casemate/sandbox/seccomp/filter"
)

// Action is filter.Action.
type Action = filter.Action

// The actions.
const (
	Errno = filter.Errno
	Kill  = filter.Kill
)

// Actions are filter.Actions.
var Actions = filter.Actions

// Arg is filter.Arg.
type Arg = filter.Arg

// Rule is filter.Rule with the call's name.
type Rule struct {
	Name string
	Args []Arg
}

// Numbered gives the rules with the numbers of their calls, normalized, without those of calls
// that only other architectures have.
func Numbered(rules []Rule) ([]filter.Rule, error) {
	here, out := make([]Rule, 0, len(rules)), make([]filter.Rule, 0, len(rules))
	for _, r := range rules {
		switch _, ok := Number(r.Name); {
		case ok:
			here, out = append(here, r), append(out, r.numbered())
		case !Elsewhere(r.Name):
			return nil, unknownName(r.Name)
		}
	}
	out, err := filter.Normalize(out)
	var bad *filter.RuleError
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("rule %s: %w", here[bad.Index], bad.Err)
	}
	return out, err
}

// Named gives the rules with the names of their calls.
func Named(rules []filter.Rule) []Rule {
	out := make([]Rule, len(rules))
	for i, r := range rules {
		out[i] = Rule{Name(r.Call), r.Args}
	}
	return out
}

// Normalize is filter.Normalize.
func Normalize(rules []Rule) ([]Rule, error) {
	out, err := Numbered(rules)
	if err != nil {
		return nil, err
	}
	return Named(out), nil
}

// numbered gives a rule of no call, -1, where the name is not known.
func (r Rule) numbered() filter.Rule {
	nr, ok := Number(r.Name)
	if !ok {
		nr = -1
	}
	return filter.Rule{Call: nr, Args: r.Args}
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
		if a.Bits() != ^uint32(0) {
			fmt.Fprintf(&b, "&%#x", a.Mask)
		}
		fmt.Fprintf(&b, "=%#x", a.Value)
	}
	b.WriteByte(')')
	return b.String()
}

func (r Rule) covers(o Rule) bool   { return r.Name == o.Name && r.numbered().Covers(o.numbered()) }
func (r Rule) overlaps(o Rule) bool { return r.Name == o.Name && r.numbered().Overlaps(o.numbered()) }
