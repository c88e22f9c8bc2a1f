package broker

import (
	"testing"

	"casemate/acl/ban"
	"casemate/acl/limit/admission"
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
