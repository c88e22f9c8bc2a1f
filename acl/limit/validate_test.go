package limit

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := Spec{
		Concurrent: 64, Rate: Rate{50, time.Second}, Burst: 100, Session: 10 * time.Minute,
		PerSource: PerSource{Concurrent: 4, Rate: Rate{10, time.Minute}, Burst: 5, Prefix4: 32, Prefix6: 64},
		Penalty:   Penalty{On: []Class{Crash, Violation, Timeout}, First: 90 * time.Second, Max: 10 * time.Minute},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := new(Spec).Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		change func(s *Spec)
		want   string
	}{
		{"concurrent", func(s *Spec) { s.Concurrent = -1 }, "concurrent: -1"},
		{"concurrent high", func(s *Spec) { s.Concurrent = MaxConcurrent + 1 }, "concurrent: "},
		{"events", func(s *Spec) { s.Rate.Events = -1 }, "rate.events: -1"},
		{"per", func(s *Spec) { s.Rate.Per = MaxPer + 1 }, "rate.per_ns: "},
		{"half a rate", func(s *Spec) { s.Rate.Per = 0 }, "rate: "},
		{"too fast", func(s *Spec) { s.Rate = Rate{100, 99} }, "more than one each nanosecond"},
		{"burst", func(s *Spec) { s.Burst = -5 }, "burst: -5"},
		{"burst alone", func(s *Spec) { s.Rate = Rate{} }, "burst: 100 without a rate"},
		{"session", func(s *Spec) { s.Session = -1 }, "session_ns: "},
		{"source concurrent", func(s *Spec) { s.PerSource.Concurrent = -1 }, "per_source.concurrent: "},
		{"source rate", func(s *Spec) { s.PerSource.Rate.Events = 0 }, "per_source.rate: "},
		{"prefix4", func(s *Spec) { s.PerSource.Prefix4 = 33 }, "per_source.prefix4: 33"},
		{"prefix6", func(s *Spec) { s.PerSource.Prefix6 = 129 }, "per_source.prefix6: 129"},
		{"class", func(s *Spec) { s.Penalty.On[0] = "crahs" }, `penalty.on[0]: "crahs"`},
		{"class twice", func(s *Spec) { s.Penalty.On[1] = Crash }, "penalty.on[1]: crash is there twice"},
		{"first", func(s *Spec) { s.Penalty.First = -1 }, "penalty.first_ns: "},
		{"max", func(s *Spec) { s.Penalty.Max = time.Second }, "penalty.max_ns: "},
		{"on without first", func(s *Spec) { s.Penalty.First = 0 }, "penalty: on and first_ns"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := good
			s.Penalty.On = []Class{Crash, Violation, Timeout}
			tc.change(&s)
			if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
		})
	}
}

// Who skips Validate gets a tight limit, not an open one.
func TestOutOfRangeFailsClosed(t *testing.T) {
	a := addr("192.0.2.1")
	for _, s := range []Spec{
		{Concurrent: -1},
		{Rate: Rate{-5, time.Second}},
		{Rate: Rate{5, -time.Second}, Burst: -1},
		{PerSource: PerSource{Concurrent: -7, Prefix4: 99, Prefix6: 999}},
	} {
		l := New(s)
		admit(t, l, 0, a)
		if !l.Peek(0, a).Refused() {
			t.Errorf("%+v admits twice", s)
		}
	}
}
