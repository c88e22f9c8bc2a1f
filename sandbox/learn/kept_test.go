package learn

import (
	"fmt"
	"syscall"
	"testing"
)

// TestKept: of a flood of sessions the first are kept and each that does something new, up to a
// bound; a failure is something new.
func TestKept(t *testing.T) {
	alike := func(pid int, more ...Fact) *Session {
		return &Session{PID: pid, Facts: append([]Fact{{Call: "read", PID: pid, Count: pid, First: 1, Last: pid}}, more...), Ends: []End{{PID: pid, Program: "/bin/x"}}}
	}
	var k Kept
	for i := range 100 * keptWhole {
		k.Add(alike(i))
	}
	if len(k.Sessions) != keptWhole || k.Alike != 99*keptWhole || k.LeftOut != 0 {
		t.Fatalf("%d kept, %d alike, %d left out", len(k.Sessions), k.Alike, k.LeftOut)
	}
	k.Add(alike(1, Fact{Call: "openat", Path: "/srv/late"}))
	k.Add(alike(1, Fact{Call: "openat", Path: "/srv/late"}))
	k.Add(alike(1, Fact{Call: "openat", Path: "/srv/late", Err: syscall.EACCES}))
	failed := alike(1)
	failed.Ends[0].Status = 1
	k.Add(failed)
	if n := len(k.Sessions); n != keptWhole+3 {
		t.Errorf("of 4 sessions, of which 3 did what none did before, %d are kept", n-keptWhole)
	}
	for i := range 2 * keptMost {
		k.Add(alike(1, Fact{Call: "openat", Path: fmt.Sprint("/srv/", i)}))
	}
	if len(k.Sessions) != keptMost || k.LeftOut != 2*keptMost-(keptMost-keptWhole-3) {
		t.Errorf("%d kept, %d left out", len(k.Sessions), k.LeftOut)
	}
}
