package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/wire"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// TestKeptFile: it is one file for all workers of a service's name, of a size that none of them can change.
func TestKeptFile(t *testing.T) {
	tally := new(tally)
	fd, err := tally.keptFile()
	if err != nil {
		t.Fatal(err)
	}
	defer tally.kept.Close()
	if again, err := tally.keptFile(); again != fd || err != nil {
		t.Fatal(again, fd, err)
	}
	for _, size := range []int64{0, wire.KeptSize - 1, wire.KeptSize + 1} {
		if err := unix.Ftruncate(fd, size); !errors.Is(err, unix.EPERM) {
			t.Errorf("to %d: %v", size, err)
		}
	}
	if _, err := unix.Pwrite(fd, []byte("x"), wire.KeptSize); err == nil {
		t.Error("it grows")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size != wire.KeptSize {
		t.Error(st.Size, err)
	}
}

// TestWorkersOfABuiltin: however often the worker of a built-in ends, the next one starts, since its limits are for clients and it
// is none; and each is handed the same file, behind what it is told, also past a reload.
func TestWorkersOfABuiltin(t *testing.T) {
	g, port := newRig(t), freePort(t)
	inodes := make(chan uint64, 100)
	load := func(linger time.Duration) {
		s := svc("echo", "tcp4", port)
		s.Command, s.Builtin, s.Wait, s.Stdio, s.Limit, s.Linger = nil, "echo", true, "listen_fds", "rare", linger
		g.mu.Lock()
		g.fakes["echo"] = &fakeCell{argv: []string{"/bin/sleep", "0.05"}, saw: func(q *zygote.Request) { // and takes nobody
			var st unix.Stat_t
			if err := unix.Fstat(q.FDs[1], &st); err != nil || st.Size != wire.KeptSize {
				t.Error(st.Size, err)
			}
			inodes <- st.Ino
		}}
		g.mu.Unlock()
		p := testPolicy(s)
		p.Limits = append(p.Limits, limit.Spec{Name: "rare", Rate: limit.Rate{Events: 1, Per: 24 * time.Hour}, Burst: 1, Concurrent: 2, EarlyDrop: limit.EarlyDrop{Start: 1, Percent: 100},
			PerSource: limit.PerSource{Concurrent: 1, Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 1, Prefix4: 32, Prefix6: 64}})
		slices.SortFunc(p.Limits, func(a, b limit.Spec) int { return strings.Compare(a.Name, b.Name) })
		g.loadPolicy(p)
	}
	load(time.Minute)
	dial(t, port)
	first := <-inodes
	for n := range 5 {
		if n == 3 {
			load(2 * time.Minute)
			dial(t, port)
		}
		select {
		case next := <-inodes:
			if next != first {
				t.Errorf("worker %d has another file", n)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no worker after %d", n+1)
		}
	}
	if st := g.status1("echo"); len(st.RefusedBy) != 0 {
		t.Errorf("%v", st.RefusedBy)
	}
}
