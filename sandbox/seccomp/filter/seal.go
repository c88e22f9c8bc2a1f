package filter

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Seal is the program that denies what the rules of launch allow and those of left do not. It
// goes on top of a filter of both, which decides about everything else: so it is short, and of
// what it lets through that filter says what is denied. ahead is that filter's.
func Seal(launch, left, ahead []Rule, on Action) ([]byte, error) {
	launch, err := Normalize(launch)
	if err == nil {
		left, err = Normalize(left)
	}
	violation, known := violations[on]
	if err != nil || !known {
		return nil, fmt.Errorf("compile seal, on_violation %q: %w", on, err)
	}
	out := []instruction{load(offNr)}
	stays := maps.Collect(calls(left))
	for call, own := range calls(launch) {
		answer := violation
		if Soft(call) {
			answer = retErrno | uint32(unix.ENOSYS)
		}
		own = slices.DeleteFunc(own, func(r Rule) bool { return slices.ContainsFunc(stays[call], func(o Rule) bool { return o.Covers(r) }) })
		blank := slices.ContainsFunc(ahead, func(r Rule) bool { return r.Call == call }) // filled in, it may be what stays
		if rules := slices.DeleteFunc(stays[call], func(r Rule) bool { return !blank && !Allows(own, r) }); len(rules) > 0 {
			out = append(out, decide(rules, retAllow, nil)...)
		}
		if len(own) > 0 {
			out = append(out, decide(own, answer, nil)...)
		}
	}
	return encode(append(out, instruction{opRet, 0, 0, retAllow})), nil
}
