package root

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestTermComesFirst: a TERM ends the broker at once, behind a compiler that hangs
// for 20 s and however many HUPs came before it, and leaves nothing behind.
func TestTermComesFirst(t *testing.T) {
	l := newLibexec(t)
	b, _, _ := compilerSite(t, l)
	l.become(t, "hang", "")
	for range 50 {
		if err := b.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // so that each is a signal of its own
	}
	kids, err := rig.Children(b.PID)
	if err != nil || len(kids) == 0 {
		t.Fatalf("children %v (%v), want the log worker and the compiler at least", kids, err)
	}
	began := time.Now()
	if err := b.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 8*time.Second {
		t.Errorf("TERM took %s", d)
	}
	if err := rig.Until(30*time.Second, func() error {
		for _, k := range kids {
			if syscall.Kill(k.PID, 0) == nil {
				return fmt.Errorf("process %d outlived the broker", k.PID)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
