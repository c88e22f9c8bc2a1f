package admission

import (
	"testing"
	"time"

	"casemate/acl/limit"
)

// A Spec out of its bounds is a tight limit, not an open one.
func TestOutOfRangeFailsClosed(t *testing.T) {
	a := addr("192.0.2.1")
	for _, s := range []limit.Spec{
		{Concurrent: -1},
		{Rate: limit.Rate{Events: -5, Per: time.Second}},
		{Rate: limit.Rate{Events: 5, Per: -time.Second}, Burst: -1},
		{PerSource: limit.PerSource{Concurrent: -7, Prefix4: 99, Prefix6: 999}},
	} {
		l := New(s)
		admit(t, l, 0, a)
		if !l.Peek(0, a).Refused() {
			t.Errorf("%+v admits twice", s)
		}
	}
}
