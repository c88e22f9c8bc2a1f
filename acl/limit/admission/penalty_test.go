package admission

import (
	"testing"
	"time"

	"casemate/acl/limit"
)

// Offences of all classes add up to one time, each by what its class adds, and never beyond max.
func TestPenaltiesAddUpByClass(t *testing.T) {
	p := limit.Penalty{On: []limit.Class{limit.Crash, limit.Timeout}, First: 10 * time.Second, Max: time.Minute, Crash: 25 * time.Second, Violation: time.Second}
	a := addr("192.0.2.1")
	for _, tc := range []struct {
		offences []limit.Class
		want     time.Duration
	}{
		{[]limit.Class{limit.Timeout}, 10 * time.Second},
		{[]limit.Class{limit.Crash}, 25 * time.Second},
		{[]limit.Class{limit.Crash, limit.Timeout, limit.Timeout}, 45 * time.Second},
		{[]limit.Class{limit.Timeout, limit.Crash, limit.Crash, limit.Timeout}, time.Minute},
		{[]limit.Class{limit.Violation, "memory", "exit", ""}, 0}, // an amount alone is no penalty
	} {
		l := New(limit.Spec{PerSource: limit.PerSource{Prefix4: 32}, Penalty: p})
		for _, c := range tc.offences {
			l.Penalize(0, a, c)
		}
		if tc.want == 0 {
			admit(t, l, 0, a)
		} else {
			refused(t, l, 0, a, ByPenalty, tc.want)
		}
	}
	p.On = nil
	l := New(limit.Spec{Penalty: p})
	l.Penalize(0, a, limit.Crash)
	admit(t, l, 0, a)
	p = limit.Penalty{On: limit.Classes, First: time.Second, Max: time.Second, Crash: -5}
	l = New(limit.Spec{Penalty: p})
	l.Penalize(0, a, limit.Crash)
	refused(t, l, 0, a, ByPenalty, time.Second) // what nobody checked is first
}
