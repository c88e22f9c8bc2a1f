package broker

import (
	"reflect"
	"testing"

	"casemate/acl/ban"
	"casemate/acl/limit/admission"
	"casemate/acl/shield"
	"casemate/listener/wire"
)

// TestShedsWhoAndNotHowMany: the kernel's filter knows addresses alone. It would drop nobody for a limit that all sources have together, and a surge of
// those would begin and end for ever.
func TestShedsWhoAndNotHowMany(t *testing.T) {
	want := map[string]bool{reasonRules: true, string(admission.ByPenalty): true, string(admission.BySourceRate): true, string(admission.ByWiderRate): true, ban.ReasonBan: true}
	for _, reason := range append(wire.Reasons[:], reasonBusy, reasonLoad, reasonQueue, reasonGone, reasonNames, reasonCross, reasonShield) {
		if got := sheds(reason); got != want[reason] {
			t.Errorf("sheds(%q) is %v", reason, got)
		}
		delete(want, reason)
	}
	if len(want) > 0 {
		t.Errorf("no refusal has the reasons %v", want)
	}
}

// TestNextSurgeKnowsTheRules: whom the rules refuse is worked out for the first surge of a generation, and not again for each: of 10,000 prefixes that
// takes a fifth of a second, and begins with 200 refusals.
func TestNextSurgeKnowsTheRules(t *testing.T) {
	g := newRig(t)
	g.load(svc("finger", "tcp", freePort(t), "/bin/true"))
	surge := func() (of shield.Ranges) {
		g.do(func() { g.tallies["finger"].shield.surges(reasonRules, surgeLeast) })
		eventually(t, func() (awake bool) {
			g.do(func() { s := g.tallies["finger"].shield; awake, of = !s.surge.asleep, s.rules })
			return awake
		})
		return of
	}
	first := surge()
	g.do(func() {
		s := g.tallies["finger"].shield
		for range 10 {
			s.subsides()
		}
		s.svc.rules.list = nil // of whom it would be all
	})
	if next := surge(); !reflect.DeepEqual(first, next) {
		t.Errorf("%v was worked out anew: %v", first, next)
	}
}
