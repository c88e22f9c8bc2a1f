package responses

import (
	"reflect"
	"testing"
	"time"

	"casemate/acl/limit"
)

// TestOf: what nobody wrote holds, and no source is less than a network that a forger has for nothing.
func TestOf(t *testing.T) {
	per := func(n int, per time.Duration) limit.Rate { return limit.Rate{Events: n, Per: per} }
	for name, tt := range map[string]struct {
		in   limit.Spec
		want limit.Spec
	}{
		"usual": {limit.Spec{PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}},
			limit.Spec{Rate: per(2000, time.Second), Burst: 2000, PerSource: limit.PerSource{Rate: per(50, time.Second), Burst: 100, Prefix4: 24, Prefix6: 56}}},
		"raised": {limit.Spec{Responses: per(Most, time.Second), ResponsesTotal: per(Most, time.Second), PerSource: limit.PerSource{Prefix4: 24, Prefix6: 128}},
			limit.Spec{Rate: per(Most, time.Second), Burst: Most, PerSource: limit.PerSource{Rate: per(Most, time.Second), Burst: 2 * Most, Prefix4: 24, Prefix6: 56}}},
		"wide": {limit.Spec{Responses: per(7, time.Hour), Rate: per(1, time.Second), PerSource: limit.PerSource{Prefix4: 16, Prefix6: 48}},
			limit.Spec{Rate: per(2000, time.Second), Burst: 2000, PerSource: limit.PerSource{Rate: per(7, time.Hour), Burst: 14, Prefix4: 16, Prefix6: 48}}},
	} {
		tt.want.Name = "responses"
		got := Of(&tt.in)
		if got.Name != tt.want.Name || got.Rate != tt.want.Rate || got.Burst != tt.want.Burst || !reflect.DeepEqual(got.PerSource, tt.want.PerSource) || got.Concurrent != 0 {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// TestFaster: rates are compared across their units, and without an overflow.
func TestFaster(t *testing.T) {
	for _, tt := range []struct {
		a, b limit.Rate
		want int
	}{
		{limit.Rate{Events: 1, Per: time.Second}, limit.Rate{Events: 60, Per: time.Minute}, 0},
		{limit.Rate{Events: 1, Per: time.Second}, limit.Rate{Events: 61, Per: time.Minute}, -1},
		{limit.Rate{Events: Most, Per: time.Second}, limit.Rate{Events: Most, Per: 24 * time.Hour}, 1},
	} {
		if got := Faster(tt.a, tt.b); got != tt.want {
			t.Errorf("%v and %v: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
