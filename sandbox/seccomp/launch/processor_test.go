package launch

import (
	"slices"
	"strings"
	"testing"

	"casemate/sandbox/seccomp/filter"
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// TestLacks: what the kernel has no control for refuses a shape by its name, unless best_effort has that or the whole;
// it is no part of Landlock, which may be given up beside it.
func TestLacks(t *testing.T) {
	words := []string{storeBypass, indirectBranch, ownCore}
	for _, word := range words {
		for _, c := range []struct {
			abi        int
			bestEffort []string
			losses     []string
			refused    string
		}{
			{7, nil, nil, word}, {7, []string{"cgroup", "landlock"}, nil, word}, {0, []string{"landlock"}, nil, word},
			{7, []string{word}, []string{word}, ""}, {7, []string{processor}, []string{word}, ""},
			{0, []string{"landlock", processor}, []string{"landlock", word}, ""}, {0, []string{word}, nil, "landlock"},
		} {
			f, err := Facts(program.Shape{Names: []string{"@strict"}, ABI: c.abi, BestEffort: c.bestEffort, Lacks: []string{word}})
			if err != nil {
				t.Fatal(err)
			}
			var losses []string
			for _, l := range f.Losses {
				name, why, _ := strings.Cut(l, ": ")
				losses = append(losses, name)
				if why == "" {
					t.Errorf("%s is lost for no reason", name)
				}
			}
			if refused, rest, _ := strings.Cut(f.Refused, ": "); refused != c.refused || !slices.Equal(losses, c.losses) || refused != "" && !strings.Contains(rest, refused) {
				t.Errorf("%s, Landlock %d, best effort %v: lost %v, refused %q", word, c.abi, c.bestEffort, losses, f.Refused)
			}
		}
	}
	if f, err := Facts(program.Shape{Names: []string{"@strict"}, ABI: 7}); err != nil || f.Refused != "" || f.Losses != nil {
		t.Errorf("nothing is lacking, and %+v (%v)", f, err)
	}
}

// TestOwnCoreRule: the launch of a session with a core of its own may make that of its own process, and nothing else of core
// scheduling; others may do nothing of it.
func TestOwnCoreRule(t *testing.T) {
	const pid, group = unix.PR_SCHED_CORE_SCOPE_THREAD, unix.PR_SCHED_CORE_SCOPE_THREAD_GROUP
	for _, own := range []bool{false, true} {
		s, err := read(program.Shape{Names: []string{"@server"}, OnViolation: filter.Errno, OwnCore: own})
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := s.filters()
		for what := range uint32(unix.PR_SCHED_CORE_MAX) {
			for _, of := range []uint32{0, 1, 4711} {
				for _, scope := range []uint32{pid, group, unix.PR_SCHED_CORE_SCOPE_PROCESS_GROUP} {
					want := own && what == unix.PR_SCHED_CORE_CREATE && of == 0 && scope == group
					if got := filter.Allows(whole.Rules, call(unix.SYS_PRCTL, eq(0, unix.PR_SCHED_CORE), eq(1, what), eq(2, of), eq(3, scope))); got != want {
						t.Errorf("own %v: core scheduling %d of %d, scope %d: %v", own, what, of, scope, got)
					}
				}
			}
		}
	}
}
