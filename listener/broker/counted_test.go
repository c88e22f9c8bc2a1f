package broker

import (
	"testing"

	"casemate/listener/wire"
)

// TestCountsOfAKilledWorker: the clients of a worker that has ended, whatever it last
// said of them, are gone, also when that word comes after its end.
func TestCountsOfAKilledWorker(t *testing.T) {
	y := &tally{}
	c := &counted{tally: y}
	said := func(live, admitted, refused uint64) {
		c.add(&wire.Counts{wire.CountLive: live, wire.CountPeak: 5, wire.CountAdmitted: admitted, wire.CountRefused: refused})
	}
	want := func(when string, clients int, admitted, refused uint64) {
		t.Helper()
		if y.clients != clients || y.mostClients != 5 || y.admitted != admitted || y.refused != refused {
			t.Errorf("%s: %d clients, %d at most, %d admitted, %d refused", when, y.clients, y.mostClients, y.admitted, y.refused)
		}
	}
	said(5, 7, 2)
	want("while it serves", 5, 7, 2)
	said(4, 6, 2)
	want("counting back", 5, 7, 2)
	c.end()
	want("killed", 0, 7, 2)
	said(3, 9, 3)
	want("its last word", 0, 9, 3)
}
