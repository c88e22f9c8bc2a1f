package seccomp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Resolve turns the allow and deny lists of a profile into rules. A list holds
// names of calls ("openat") and of groups ("@file-read"). Those of calls that this
// architecture has not come to nothing (Elsewhere).
//
// A name in allow allows the call with any arguments (see Rule); a group allows what it says. A name
// in deny takes out every rule of that call; a group takes out every rule of the
// calls it allows with any arguments, and of the others those rules that it
// has itself. When the rest still allows something that a denied group allows,
// that is an error: the list would not mean what it says.
// The result is normalized (see Normalize).
func Resolve(allow, deny []string) ([]Rule, error) {
	var rules []Rule
	for _, entry := range allow {
		r, err := entryRules(entry)
		if err != nil {
			return nil, fmt.Errorf("allow: %w", err)
		}
		rules = append(rules, r...)
	}
	rules, err := Normalize(rules)
	if err != nil {
		return nil, fmt.Errorf("allow: %w", err)
	}
	for _, entry := range deny {
		out, err := entryRules(entry)
		if err != nil {
			return nil, fmt.Errorf("deny: %w", err)
		}
		rules = subtract(rules, out)
		if err := stillAllowed(entry, rules, out); err != nil {
			return nil, fmt.Errorf("deny: %w", err)
		}
	}
	return rules, nil
}

// Groups gives the names of all groups, sorted, each with its "@".
func Groups() []string { return slices.Sorted(maps.Keys(groups)) }

// GroupDoc says in one line what a group is for; "" for a name that is no group.
func GroupDoc(name string) string { return groups[name].doc }

// GroupRules gives everything that a group allows, normalized; nil for a name
// that is no group. The rules are the table's own: they are only read.
func GroupRules(name string) []Rule {
	if made, ok := normalized[name]; ok {
		return made()
	}
	return nil
}

// normalized makes the rules of each group once: a policy of thousands of
// profiles asks for the same few again and again.
var normalized = func() map[string]func() []Rule {
	m := make(map[string]func() []Rule, len(groups))
	for name := range groups {
		m[name] = sync.OnceValue(func() []Rule {
			rules, err := Normalize(collect(name))
			if err != nil {
				// The tables are constant and tested; an invalid one cannot be used safely.
				panic(fmt.Sprintf("seccomp: group %s: %v", name, err))
			}
			return rules
		})
	}
	return m
}()

// collect walks a group and those it includes. The includes are constant and
// form no circle (tested).
func collect(name string) []Rule {
	g := groups[name]
	var rules []Rule
	for _, inc := range g.includes {
		rules = append(rules, collect(inc)...)
	}
	for _, c := range g.calls {
		rules = append(rules, Rule{Name: c})
	}
	for _, r := range g.rules {
		rules = append(rules, r...)
	}
	return rules
}

func entryRules(entry string) ([]Rule, error) {
	if strings.HasPrefix(entry, "@") {
		if _, ok := groups[entry]; !ok {
			return nil, &UnknownError{"group", entry}
		}
		return GroupRules(entry), nil
	}
	if _, ok := Number(entry); !ok && !Elsewhere(entry) {
		return nil, unknownName(entry)
	}
	return []Rule{{Name: entry}}, nil
}

// ofCall gives the rules of one call out of normalized rules.
func ofCall(rules []Rule, name string) []Rule {
	byNumber := func(r Rule, nr int) int { have, _ := Number(r.Name); return have - nr }
	nr, _ := Number(name)
	from, _ := slices.BinarySearchFunc(rules, nr, byNumber)
	to := from
	for to < len(rules) && rules[to].Name == name {
		to++
	}
	return rules[from:to]
}

// Cover tells whether normalized rules allow everything that r allows.
func Cover(rules []Rule, r Rule) bool {
	return slices.ContainsFunc(ofCall(rules, r.Name), func(o Rule) bool { return o.covers(r) })
}

func subtract(rules, out []Rule) []Rule {
	return slices.DeleteFunc(rules, func(r Rule) bool {
		return Cover(out, r)
	})
}

func stillAllowed(entry string, rules, out []Rule) error {
	for _, o := range out {
		for _, r := range ofCall(rules, o.Name) {
			if r.overlaps(o) {
				return fmt.Errorf("%s has %s, which %s in allow allows as well: deny %s, or allow less", entry, o, r, r.Name)
			}
		}
	}
	return nil
}

// UnknownError is a name that is no system call, or no group.
type UnknownError struct{ Kind, Name string }

// Error says what is not known.
func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.Kind, e.Name) }

func unknownName(name string) error { return &UnknownError{"system call", name} }
