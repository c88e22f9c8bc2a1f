package diff

import (
	"math/rand/v2"
	"testing"

	"casemate/sandbox/seccomp"
)

// TestRemainderIsExact compares with trying every argument: of rules over the four low bits of
// two arguments, where all bits above are one more bit, for a rule asks for all of them or none.
func TestRemainderIsExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() seccomp.Rule {
		r := seccomp.Rule{Name: "fcntl"}
		for index := range uint(2) {
			mask := []uint32{0xf, 1 + rng.Uint32N(15), 0, ^uint32(0)}[rng.IntN(4)]
			if rng.IntN(3) > 0 {
				a := seccomp.Arg{Index: index, Mask: mask}
				a.Value = rng.Uint32N(16) & a.Bits()
				r.Args = append(r.Args, a)
			}
		}
		return r
	}
	admits := func(r seccomp.Rule, args [2]uint32) bool {
		for _, a := range r.Args {
			if args[a.Index]&a.Bits() != a.Value {
				return false
			}
		}
		return true
	}
	counts := map[bool]int{}
	for range 6000 {
		r, others := random(), []seccomp.Rule{}
		for range rng.IntN(9) {
			others = append(others, random())
		}
		want := false
		for x := range uint32(32) {
			for y := range uint32(32) {
				args, other := [2]uint32{x, y}, false
				for _, o := range others {
					other = other || admits(o, args)
				}
				want = want || admits(r, args) && !other
			}
		}
		got, decided := remainder(r, others)
		if got != want || !decided {
			t.Fatalf("%v without %v: left %v (decided %v), want %v", r, others, got, decided, want)
		}
		counts[want]++
	}
	if counts[true] < 500 || counts[false] < 500 {
		t.Errorf("%v: one answer is hardly tried", counts)
	}
}

// TestUndecidedIsSaid: what would be cut into too many pieces is said to differ, not to be the same.
func TestUndecidedIsSaid(t *testing.T) {
	var pairs []seccomp.Rule
	for bit := range uint(20) {
		pairs = append(pairs, seccomp.Rule{Name: "fcntl", Args: []seccomp.Arg{{Index: 0, Mask: 1 << bit, Value: 1 << bit}, {Index: 1, Mask: 1 << bit, Value: 1 << bit}}})
	}
	var l Layer
	l.rules(pairs, []seccomp.Rule{{Name: "fcntl"}})
	if len(l.Differs) != 1 || l.Differs[0] != "fcntl" || len(l.More)+len(l.Less) != 0 {
		t.Errorf("%+v", l)
	}
}
