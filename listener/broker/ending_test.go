package broker

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOutOfMemoryIsNoCrash: a session that the kernel killed for want of memory is
// recorded so, and its source is served again; the next SIGKILL without one more
// such kill is a crash, and has its penalty.
func TestOutOfMemoryIsNoCrash(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("sh", "tcp", port, "/bin/sh", "-c", "read line; kill -9 $$")
	s.Limit = "strict"
	g.load(s)
	g.fakes["sh"].oomKills.Store(1)
	for _, want := range []string{"memory", "crash"} {
		if _, err := dial(t, port).Write([]byte("now\n")); err != nil {
			t.Fatal(err)
		}
		g.expect(`"verdict":"allow"`)
		g.expect(`"session"`, `"signal":"SIGKILL"`, `"reason":"`+want+`"`)
	}
	if !refusedAt(t, port) {
		t.Error("admitted in spite of its penalty")
	}
	g.expect(`"reason":"penalty"`)
}

// Which sessions answer for the kills that their group counts.
func TestOutOfMemory(t *testing.T) {
	const kill, term, exit = syscall.WaitStatus(unix.SIGKILL), syscall.WaitStatus(unix.SIGTERM), syscall.WaitStatus(0)
	type end struct {
		kills  uint64 // counted by now
		live   int    // sessions that still run
		status syscall.WaitStatus
		ours   bool
		want   bool
	}
	for _, tt := range []struct {
		name string
		ends []end
	}{
		{"none counted", []end{{0, 0, kill, false, false}}},
		{"one each", []end{{1, 0, kill, false, true}, {1, 0, kill, false, false}, {2, 0, kill, false, true}}},
		{"two at once", []end{{2, 1, kill, false, true}, {2, 0, kill, false, true}}},
		{"another ends first", []end{{1, 1, exit, false, false}, {1, 0, kill, false, true}}},
		{"a child of one that ended since", []end{{1, 0, exit, false, false}, {1, 0, kill, false, false}}},
		{"many children", []end{{9, 1, exit, false, false}, {9, 1, kill, false, true}, {9, 0, kill, false, false}}},
		{"ours", []end{{1, 0, kill, true, false}, {1, 0, kill, false, false}}},
		{"not yet ours", []end{{1, 0, kill, false, true}, {1, 0, kill, false, false}}},
		{"another signal", []end{{1, 1, term, false, false}}},
	} {
		r := &runner{}
		for i, e := range tt.ends {
			r.live = e.live
			if got := r.outOfMemory(e.status, e.ours, e.kills); got != e.want {
				t.Errorf("%s: end %d: %v", tt.name, i, got)
			}
		}
	}
}
