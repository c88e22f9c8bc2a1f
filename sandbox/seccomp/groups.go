package seccomp

import (
	"maps"
	"slices"
)

// group is one named list. What is in includes, calls and rules adds up.
type group struct {
	doc      string
	includes []string // other groups
	calls    []string // allowed with any arguments
	rules    [][]Rule // allowed with certain arguments
}

// groups is every group by name.
var groups = func() map[string]group {
	all := map[string]group{}
	for _, part := range []map[string]group{programGroups, fileGroups, socketGroups, profileGroups} {
		maps.Copy(all, part)
	}
	return all
}()

// is gives one rule for each value of one argument.
func is(name string, index uint, values ...uint32) []Rule {
	out := make([]Rule, 0, len(values))
	for _, v := range values {
		out = append(out, Rule{Name: name, Args: []Arg{{Index: index, Value: v}}})
	}
	return out
}

// without gives the rule that none of the bits of one argument is set.
func without(name string, index uint, bits uint32) []Rule {
	return []Rule{{Name: name, Args: []Arg{{Index: index, Mask: bits, Value: 0}}}}
}

// packed gives as few rules for the values of an argument as blocks of them make that begin at a
// multiple of their length, a power of two: one mask asks for all of a block. with is what the
// rules ask beside it.
func packed(name string, with []Arg, index uint, values ...uint32) []Rule {
	has := func(from, n uint32) bool {
		for v := from; v < from+n; v++ {
			if !slices.Contains(values, v) {
				return false
			}
		}
		return from%n == 0
	}
	sorted, out := slices.Sorted(slices.Values(values)), []Rule{}
	for i := 0; i < len(sorted); {
		n := uint32(1)
		for has(sorted[i], 2*n) {
			n *= 2
		}
		out = append(out, Rule{Name: name, Args: append(slices.Clone(with), Arg{Index: index, Mask: ^(n - 1), Value: sorted[i]})})
		i += int(n)
	}
	return out
}

// all gives the rule that several arguments have their values.
func all(name string, args ...Arg) []Rule {
	return []Rule{{Name: name, Args: args}}
}

// level gives one rule for each option of one level of setsockopt(2).
func level(lvl uint32, options ...uint32) []Rule {
	var out []Rule
	for _, o := range options {
		out = append(out, all("setsockopt", Arg{Index: 1, Value: lvl}, Arg{Index: 2, Value: o})...)
	}
	return out
}

// asks gives the rules for options of one level of getsockopt(2).
func asks(lvl uint32, options ...uint32) []Rule {
	return packed("getsockopt", []Arg{{Index: 1, Value: lvl}}, 2, options...)
}
