package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestBombs: under every shipped profile as it is, with a leased uid, a
// connection gets no more tasks than its profile names, while somebody outside
// counts; and the next connection has all of its own (attempt 26).
func TestBombs(t *testing.T) {
	rig.Root(t)
	victim := compileVictim(t)
	var s strings.Builder
	s.WriteString(policyHead)
	ports := map[string]string{}
	for _, n := range []string{"strict", "line", "files", "server", "login"} {
		ports[n] = rig.Port(t)
		fmt.Fprintf(&s, "service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [%q]\n  user = \"dynamic\"\n"+
			"  acl = acl.localhost\n  limit = limit.wide\n  profile = profile.%[1]s\n}\n", n, ports[n], victim)
	}
	rig.Serve(t, s.String())
	for _, b := range []struct {
		profile, line, want string
		most                int // tasks of the connection
	}{
		{"strict", "threads 300", shut + "|killed", 1},
		{"strict", "forks 300", shut + "|killed", 1},
		{"line", "threads 300", "EAGAIN", 32},
		{"line", "forks 300", shut, 1},
		{"files", "threads 300", "EAGAIN", 32},
		{"files", "forks 300", shut, 1},
		{"server", "threads 300", "EAGAIN", 128 + 1},
		{"server", "forks 300", "EAGAIN", 128 + 1},
		{"login", "forks 300", "EAGAIN", 128 + 1},
	} {
		for range 2 {
			most, o := tasksOf(t, victim, ports[b.profile], b.line+" 1000")
			if b.want == "EAGAIN" && most < b.most-2 { // it did not last until somebody had counted
				most, o = tasksOf(t, victim, ports[b.profile], b.line+" 15000")
			}
			if !denied(b.want, o) {
				t.Errorf("%s: %s: %s, want %s", b.profile, b.line, o, b.want)
			}
			// Init takes on the connection's uid a moment after the service has it, which lets one more in.
			if most > b.most+1 || b.want == "EAGAIN" && most < b.most-2 {
				t.Errorf("%s: %s: %d tasks were seen from outside, want %d", b.profile, b.line, most, b.most)
			}
		}
	}
	for _, line := range []string{"threads 300", "forks 300"} {
		if o := outside(t, victim, line, asNobody); o.result != "ok" {
			t.Errorf("outside: %s: %s, so its denial inside proves nothing", line, o)
		}
	}
}

// tasksOf gives the victim a line, and counts the most tasks that are seen meanwhile.
func tasksOf(t *testing.T, victim, port, line string) (most int, o outcome) {
	t.Helper()
	done := make(chan outcome, 1)
	go func() { done <- inside(t, port, line) }()
	for {
		for _, n := range leasedTasks(t, victim) {
			most = max(most, n)
		}
		select {
		case o = <-done:
			return most, o
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// leasedTasks counts the threads of the processes of each leased uid that run
// victim, or wait for it as its init.
func leasedTasks(t *testing.T, victim string) map[uint32]int {
	t.Helper()
	out := map[uint32]int{}
	dirs, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no tasks: %v", err)
	}
	victims := map[uint32]bool{}
	for _, d := range dirs {
		info, err := os.Stat(d)
		if err != nil {
			continue // ended
		}
		uid := info.Sys().(*syscall.Stat_t).Uid
		if uid < 0x70000000 || uid > 0x7000ffff {
			continue
		}
		out[uid]++
		if exe, _ := os.Readlink(d + "/exe"); exe == victim {
			victims[uid] = true
		}
	}
	for uid := range out {
		if !victims[uid] {
			delete(out, uid)
		}
	}
	return out
}
