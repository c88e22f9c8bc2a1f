package diff

import (
	"slices"

	"casemate/sandbox/seccomp"
)

// rules compares normalized rules, call by call, and names the groups that one side alone
// has all of.
func (l *Layer) rules(was, is []seccomp.Rule) {
	more, unclear := beyond(is, was)
	less, alsoUnclear := beyond(was, is)
	l.More = append(l.More, more...)
	l.Less = append(l.Less, less...)
	for _, name := range append(unclear, alsoUnclear...) {
		if !slices.Contains(l.Differs, name) {
			l.Differs = append(l.Differs, name)
		}
	}
	for _, g := range seccomp.Groups() {
		l.truth(g, whole(was, g), whole(is, g))
	}
}

// whole tells whether rules allow all that a group does. It may say no of rules that only
// together allow what the group does in one.
func whole(rules []seccomp.Rule, group string) bool {
	return !slices.ContainsFunc(seccomp.GroupRules(group), func(r seccomp.Rule) bool { return !seccomp.Cover(rules, r) })
}

// beyond are the rules that allow something which those of without do not, and the calls of
// which that took too long to find out.
func beyond(rules, without []seccomp.Rule) (out, unclear []string) {
	for _, r := range rules {
		var others []seccomp.Rule
		for _, o := range without {
			if o.Name == r.Name {
				others = append(others, o)
			}
		}
		switch left, decided := remainder(r, others); {
		case !decided && !slices.Contains(unclear, r.Name):
			unclear = append(unclear, r.Name)
		case decided && left:
			out = append(out, r.String())
		}
	}
	return out, unclear
}

// cube is what a rule asks of the bits of each argument.
type cube [6]struct{ mask, value uint32 }

// mostCubes bounds what one rule may be cut into; a rule that comes to more differs. The
// shipped groups stay below 200.
const mostCubes = 1 << 13

func cubeOf(r seccomp.Rule) (c cube) {
	for _, a := range r.Args {
		c[a.Index].mask |= a.Bits()
		c[a.Index].value |= a.Value
	}
	return c
}

// remainder tells whether a rule allows a call that none of the others does.
func remainder(r seccomp.Rule, others []seccomp.Rule) (left, decided bool) {
	rest, decided := pieces(r, others)
	return len(rest) > 0, decided
}

// pieces are what a rule allows and none of the others does. It takes the
// others out of it one by one, each time cutting what is left along the bits that they ask for.
func pieces(r seccomp.Rule, others []seccomp.Rule) (rest []cube, decided bool) {
	rest = []cube{cubeOf(r)}
	for _, o := range others {
		var next []cube
		for _, c := range rest {
			next = c.minus(cubeOf(o), next)
		}
		if rest = next; len(rest) > mostCubes {
			return nil, false
		}
	}
	return rest, true
}

// minus appends what of c is not in d, in cubes that have nothing in common.
func (c cube) minus(d cube, out []cube) []cube {
	for i := range c {
		if (c[i].value^d[i].value)&c[i].mask&d[i].mask != 0 {
			return append(out, c)
		}
	}
	for i := range c {
		for asked := d[i].mask &^ c[i].mask; asked != 0; asked &= asked - 1 {
			bit := asked & -asked
			other := c
			other[i].mask |= bit
			other[i].value |= bit &^ d[i].value
			out = append(out, other)
			c[i].mask |= bit
			c[i].value |= bit & d[i].value
		}
	}
	return out
}
