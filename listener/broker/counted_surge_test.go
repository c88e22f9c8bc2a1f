package broker

import (
	"slices"
	"testing"

	"casemate/listener/loop"
	"casemate/listener/wire"
)

// TestSurgeOfABuiltin: its worker says once a second how many it has refused, and that is no tenth of one: as few as are called a surge in that are none
// in a second, nor is there one of those for whom the filter of a built-in has no source.
func TestSurgeOfABuiltin(t *testing.T) {
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	said := func(reason string, n uint64) *surge {
		y := &tally{shield: &shielding{svc: &service{b: &Broker{loop: l}}, surge: surge{asleep: true, waking: n == 0}}}
		c := &counted{tally: y}
		var w wire.Counts
		w[wire.CountRefused+slices.Index(wire.Reasons[:], reason)] = n
		c.add(&w)
		return &y.shield.surge
	}
	if s := said("acl", 10*surgeLeast-10); s.waking || s.count != surgeLeast-1 {
		t.Errorf("%d refusals in a second count as %d in a tenth of one, waking %v", 10*surgeLeast-10, s.count, s.waking)
	}
	for _, reason := range []string{"source-rate", "wider-rate", "penalty"} {
		if s := said(reason, 10*surgeLeast-10); s.count != 0 {
			t.Errorf("%s, of which the kernel drops nothing: %d", reason, s.count)
		}
	}
}
