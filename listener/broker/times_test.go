package broker

import (
	"testing"
	"time"
)

// TestIDsAcrossBrokers: a broker that follows another one in the same second gives none of that one's ids again.
func TestIDsAcrossBrokers(t *testing.T) {
	at := time.Date(2026, 11, 27, 3, 43, 0, 0, time.UTC)
	for _, d := range []time.Duration{time.Millisecond, 200 * time.Millisecond, 999 * time.Millisecond, time.Second, time.Hour} {
		first, next := firstID(at), firstID(at.Add(d))
		if handedOut := uint64(d.Microseconds()); next <= first+handedOut {
			t.Errorf("%s later it begins at %d, after %d and %d that were given", d, next, first, handedOut)
		}
	}
	if last := firstID(time.Date(2200, 1, 1, 0, 0, 0, 999_999_999, time.UTC)); last >= 1<<53 {
		t.Errorf("%d is more than JSON's readers keep exact", last)
	}
}
