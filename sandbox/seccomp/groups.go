package seccomp

import "maps"

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
