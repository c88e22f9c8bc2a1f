// Package calls turns the words of profiles about system calls into the filters of
// a compiled policy, for the compiler, and holds a document to its words, for who
// reviews one. casemated does neither: it takes the filters.
package calls

import (
	"encoding/json"
	"fmt"
	"slices"

	"casemate/policy"
	"casemate/policy/granted"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/launch"
)

// Resolve gives the rules that the words come to, normalized.
func Resolve(s *sandbox.Syscalls) ([]seccomp.Rule, error) {
	rules, err := seccomp.Resolve(s.Allow, s.Deny)
	if err != nil {
		return nil, err
	}
	return With(s, rules)
}

// With gives what rules, those of Allow and Deny, come to with the rest of the words.
func With(s *sandbox.Syscalls, rules []seccomp.Rule) ([]seccomp.Rule, error) {
	rules = slices.Clone(rules)
	for i := range s.ByArgument {
		rules = append(rules, ByArgument(&s.ByArgument[i])...)
	}
	rules, err := seccomp.Normalize(rules)
	if err == nil && s.NoWritten {
		rules = seccomp.WithoutWritten(rules)
	}
	return rules, err
}

// ByArgument turns a rule of a profile into one for each of its values.
func ByArgument(r *sandbox.SyscallRule) []seccomp.Rule {
	rules := make([]seccomp.Rule, len(r.Values))
	for i, v := range r.Values {
		rules[i] = seccomp.Rule{Name: r.Name, Args: []seccomp.Arg{{Index: r.Arg, Mask: r.Mask, Value: v}}}
	}
	return rules
}

// ExecsOnce reports whether the program of a profile cannot execute another, nor itself again
// (launch.Once). A profile that is not of a compiled policy, as a shipped one, has words alone.
func ExecsOnce(p *sandbox.Profile) bool {
	rules, err := numbered(&p.Syscalls)
	return err == nil && p.Resources.Bounded() && launch.Once(rules)
}

// numbered are the rules of a compiled policy, or what the words come to.
func numbered(s *sandbox.Syscalls) ([]filter.Rule, error) {
	if len(s.Rules) > 0 {
		return filter.Decode(s.Rules)
	}
	named, err := Resolve(s)
	if err != nil {
		return nil, err
	}
	return seccomp.Numbered(named)
}

// Written is seccomp.Written of the words; of words that mean nothing, that it is.
func Written(s *sandbox.Syscalls) (memory bool, by []string) {
	rules, err := numbered(s)
	if err != nil {
		return true, nil
	}
	return seccomp.Written(seccomp.Named(rules))
}

// Fill gives each profile its filter, and the policy those filters. resolve is
// Resolve, or one that remembers.
func Fill(p *policy.Policy, resolve func(*sandbox.Syscalls) ([]seccomp.Rule, error)) error {
	type filled struct {
		name  string
		words filter.Words
	}
	known := make(map[string]filled) // by the words: most profiles share theirs
	p.Filters = make(granted.Filters)
	for i := range p.Profiles {
		s := &p.Profiles[i].Syscalls
		key, err := json.Marshal([]any{s.Allow, s.Deny, s.ByArgument, s.NoWritten})
		if err != nil {
			return err
		}
		f, ok := known[string(key)]
		if !ok {
			named, err := resolve(s)
			if err != nil {
				return fmt.Errorf("profile %q: %w", p.Profiles[i].Name, err)
			}
			rules, err := seccomp.Numbered(named)
			if err != nil {
				return fmt.Errorf("profile %q: %w", p.Profiles[i].Name, err)
			}
			f.words = filter.Encode(rules)
			f.name = valid.FilterName(f.words)
			p.Filters[f.name], known[string(key)] = f.words, f
		}
		s.Filter, s.Rules = f.name, f.words
	}
	return nil
}

// Verify holds the filters of a policy to what its profiles say in words: who
// reads a document sees the words, and the filters are what runs.
func Verify(p *policy.Policy) error {
	q := policy.Policy{Profiles: append([]sandbox.Profile{}, p.Profiles...)}
	if err := Fill(&q, Resolve); err != nil {
		return err
	}
	for i := range q.Profiles {
		if q.Profiles[i].Syscalls.Filter != p.Profiles[i].Syscalls.Filter {
			return fmt.Errorf("profile %q: its filter is not what its words come to in this version of casemate: compile the policy again", p.Profiles[i].Name)
		}
	}
	return nil
}
