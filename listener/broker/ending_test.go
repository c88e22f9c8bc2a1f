package broker

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/journal"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/cgroup/events"

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

// Whose limits the counts of a control group are, and what limit an end tells of.
func TestBounds(t *testing.T) {
	doc := &policy.Document{Policy: &policy.Policy{Profiles: []sandbox.Profile{{Name: "p", Resources: sandbox.Resources{
		sandbox.Memory: 5, sandbox.Processes: 7, sandbox.CPUTime: 2, sandbox.FileSize: 9, sandbox.Tasks: 3}}, {Name: "q"}, {Name: "r", Resources: sandbox.Resources{sandbox.Tasks: 6}}}}}
	oom, own := events.Events{OOMKills: 2}, events.Events{OOM: 1, OOMKills: 2}
	for name, tt := range map[string]struct {
		profile string
		end     journal.Session
		now     events.Events
		live    int
		want    string
	}{
		"slow":               {"p", journal.Session{Reason: journal.Slow, Status: syscall.WaitStatus(unix.SIGTERM)}, events.Events{}, 3, "[{limit.l min_rate 8 1 0}]"},
		"idle":               {"p", journal.Session{Reason: journal.Idle}, events.Events{}, 3, "[{service.s idle 3ns 1 0}]"},
		"silent":             {"p", journal.Session{Reason: journal.Silent}, events.Events{}, 3, "[{limit.l first_byte 4ns 1 0}]"},
		"late":               {"p", journal.Session{Reason: journal.Timeout}, events.Events{}, 3, "[{limit.l session 6ns 1 0}]"},
		"nothing":            {"p", journal.Session{Reason: journal.Exit}, events.Events{}, 3, "[]"},
		"own limit":          {"p", journal.Session{Reason: journal.Exit}, own, 3, "[{profile.p resources.memory 5 2 3}]"},
		"limit above":        {"p", journal.Session{Reason: journal.Exit}, oom, 0, "[{host memory <nil> 2 0}]"},
		"killed itself":      {"p", journal.Session{Reason: journal.Memory, Status: syscall.WaitStatus(unix.SIGKILL)}, own, 3, "[{profile.p resources.memory 5 1 0}]"},
		"forks":              {"p", journal.Session{Reason: journal.Exit}, events.Events{Forks: 4}, 1, "[{profile.p resources.processes 7 4 1}]"},
		"forks of all":       {"r", journal.Session{Reason: journal.Exit}, events.Events{Forks: 4}, 1, "[{profile.r resources.tasks 6 4 1}]"},
		"file":               {"p", journal.Session{Reason: journal.Crash, Status: syscall.WaitStatus(unix.SIGXFSZ)}, events.Events{}, 1, "[{profile.p resources.file_size 9 1 0}]"},
		"processor":          {"p", journal.Session{Reason: journal.Crash, Status: syscall.WaitStatus(unix.SIGKILL), User: time.Second, Sys: 997 * time.Millisecond}, events.Events{}, 1, "[{profile.p resources.cpu_time 2 1 0}]"},
		"somebody's SIGKILL": {"p", journal.Session{Reason: journal.Crash, Status: syscall.WaitStatus(unix.SIGKILL), User: time.Second}, events.Events{}, 1, "[]"},
		"no limits":          {"q", journal.Session{Reason: journal.Crash, Status: syscall.WaitStatus(unix.SIGXFSZ)}, events.Events{Forks: 4}, 1, "[]"},
		"no start":           {"p", journal.Session{Reason: journal.Failed, Detail: execFull}, events.Events{}, 0, "[{profile.p resources.tasks 3 1 0}]"},
		"another failure":    {"p", journal.Session{Reason: journal.Failed, Detail: "exec: no such file"}, events.Events{}, 0, "[]"},
	} {
		s := &session{visit: visit{svc: &service{name: "s", limit: &limit.Spec{Name: "l", MinRate: 8, FirstByte: 4, Session: 6}, spec: &policy.Service{Profile: tt.profile, Idle: 3}, gen: &generation{doc: doc}}}, run: &runner{live: tt.live}}
		if got := fmt.Sprint(s.bounds(&tt.end, tt.now)); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if got := s.bounds(&journal.Session{Reason: journal.Exit}, tt.now); len(got) > 0 {
			t.Errorf("%s: told again: %v", name, got)
		}
		if r := s.run; r.events() != tt.now {
			t.Errorf("%s: without a cell %+v", name, r.events())
		}
	}
}
