package lease

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"casemate/listener/host"
	"casemate/sandbox"
)

// leases are those of all blocks, of which no process has a uid.
func leases() *Leases {
	next := uint32(sandbox.LeaseBase)
	l := New(func() (first uint32, err error) {
		if next == sandbox.LeaseBase+sandbox.LeaseCount {
			return 0, errors.New("no block is left")
		}
		first, next = next, next+host.BlockSize
		return first, nil
	})
	l.inUse = func(uint32) bool { return false }
	return l
}

// TestLeasesAreReusedAsLateAsPossible: a broker alone takes several blocks before
// it uses a uid again, then in the order they came back, and all blocks at need.
func TestLeasesAreReusedAsLateAsPossible(t *testing.T) { synctest.Test(t, reusedLate) }

func reusedLate(t *testing.T) {
	l := leases()
	seen := map[uint32]bool{}
	take := func() uint32 {
		t.Helper()
		uid, ok := l.Take()
		if !ok || uid < sandbox.LeaseBase || uid >= sandbox.LeaseBase+sandbox.LeaseCount {
			t.Fatalf("lease %d: %x %v", len(seen), uid, ok)
		}
		return uid
	}
	var back []uint32
	for i := range eagerBlocks * host.BlockSize {
		uid := take()
		if seen[uid] {
			t.Fatalf("%x is leased twice", uid)
		}
		seen[uid] = true
		if i%3 == 0 {
			l.Give(uid)
			back = append(back, uid)
		}
	}
	time.Sleep((quarantine + 1) * time.Second)
	for i, want := range back {
		if got := take(); got != want {
			t.Fatalf("take %d after the first blocks are used up: %x, want %x", i, got, want)
		}
	}
	for range sandbox.LeaseCount - eagerBlocks*host.BlockSize {
		uid := take()
		if seen[uid] {
			t.Fatalf("%x is leased twice", uid)
		}
		seen[uid] = true
	}
	if uid, ok := l.Take(); ok {
		t.Errorf("took %x of an empty range", uid)
	}
	l.Give(5) // not ours: must not come back
	if uid, ok := l.Take(); ok {
		t.Errorf("took %x", uid)
	}
}

// TestLeasedUidRests: one that came back is not leased within the quarantine, for
// which further blocks are taken, and after it the oldest comes first. When half the
// blocks are used up, nobody is turned away: the oldest is leased before its time.
func TestLeasedUidRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leases()
		gone := map[uint32]time.Time{}
		turn := func() (early bool) {
			t.Helper()
			uid, ok := l.Take()
			if !ok {
				t.Fatal("a client is turned away")
			}
			at, again := gone[uid]
			early = again && time.Since(at) < quarantine*time.Second
			l.Give(uid)
			gone[uid] = time.Now()
			return early
		}
		const rate = 1500 // a second
		for n := range 30 * rate {
			if turn() {
				t.Fatalf("%d starts at %d a second: a uid rested for less than %d s", n+1, rate, quarantine)
			}
			time.Sleep(time.Second / rate)
		}
		if l.held <= eagerBlocks || l.held > 2+(quarantine+1)*rate/host.BlockSize {
			t.Errorf("%d blocks are held", l.held)
		}
		time.Sleep(quarantine * 2 * time.Second)
		held, early := l.held, 0
		for range restBlocks * host.BlockSize {
			if turn() {
				early++
			}
		}
		if early > 0 || l.held != restBlocks || l.held == held {
			t.Errorf("%d of a sudden crowd leased early, %d blocks held", early, l.held)
		}
		first := l.back[0].uid
		if uid, _ := l.Take(); uid != first || time.Since(gone[uid]) >= quarantine*time.Second {
			t.Errorf("took %x, not the oldest %x", uid, first)
		}
	})
}

// TestUidInUseIsNotLeased: a uid that a process has is looked past.
func TestUidInUseIsNotLeased(t *testing.T) {
	l := leases()
	first, _ := l.Take()
	l.Give(first)
	l.inUse = func(uid uint32) bool { return uid == first+1 }
	for range 5 {
		if uid, ok := l.Take(); !ok || uid <= first+1 {
			t.Fatalf("took %x (%v), which a process has", uid, ok)
		}
	}
}
