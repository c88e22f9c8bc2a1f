package filter

import (
	"fmt"
	"slices"

	"casemate/sandbox/seccomp/program"
)

// Words is program.Words.
type Words = program.Words

// Encode gives rules as Words, which are canonical if the rules are normalized.
func Encode(rules []Rule) Words {
	out := make(Words, len(rules))
	for i, r := range rules {
		out[i] = append(make([]uint32, 0, 1+3*len(r.Args)), uint32(r.Call))
		for _, a := range r.Args {
			out[i] = append(out[i], uint32(a.Index), a.Mask, a.Value)
		}
	}
	return out
}

// Decode reads Words, and takes nothing that Encode would write differently.
func Decode(words Words) ([]Rule, error) {
	rules := make([]Rule, len(words))
	for i, w := range words {
		if len(w)%3 != 1 {
			return nil, &RuleError{i, fmt.Errorf("%d words, want a call and three for each argument", len(w))}
		}
		rules[i].Call = int(w[0])
		for a := w[1:]; len(a) > 0; a = a[3:] {
			rules[i].Args = append(rules[i].Args, Arg{uint(a[0]), a[1], a[2]})
		}
	}
	rules, err := Normalize(rules)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(words, Encode(rules), slices.Equal) {
		return nil, fmt.Errorf("the rules are not in their canonical form")
	}
	return rules, nil
}
