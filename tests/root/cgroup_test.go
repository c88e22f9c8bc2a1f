package root

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// greedy is a policy whose services do what their client asks: one has limits
// that are counted for all its processes, the other one has none.
func greedy(t *testing.T, resources string) (text string, bounded, free string) {
	t.Helper()
	rig.Root(t)
	program := rig.Compile(t, "testdata/greedy.c")
	bounded, free = rig.Port(t), rig.Port(t)
	profile := func(name, resources string) string {
		return fmt.Sprintf("\nprofile %q {\n  base = profile.server\n  init = false\n%s}\n", name, resources)
	}
	return head + `
limit "strict" {
  penalty {
    on    = ["crash", "violation", "timeout"]
    first = "60s"
    max   = "10m"
  }
}
` + profile("bounded", resources) + profile("free", "") +
		service("bounded", "tcp://127.0.0.1:"+bounded, []string{program}, "profile = profile.bounded", "limit = limit.strict") +
		service("free", "tcp://127.0.0.1:"+free, []string{program}, "profile = profile.free"), bounded, free
}

const bounds = `  resources {
    memory    = "48MiB"
    processes = 16
    cpu       = "5%"
  }
`

// orderGreedy sends a line to a greedy service and returns its answer, "" when it died.
func orderGreedy(t *testing.T, port, line string) string {
	t.Helper()
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%s: %v", line, err)
	}
	return strings.TrimSpace(answer)
}

// TestCgroupsInsideTheUnit: where the broker's group is delegated to it, the
// services' groups lie inside, and hold what they are to hold.
func TestCgroupsInsideTheUnit(t *testing.T) {
	text, bounded, free := greedy(t, bounds)
	unit := rig.NewUnit(t, true, "memory", "pids", "cpu")
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Under: unit.Under()})
	hold, err := rig.Dial(bounded)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	placed(t, unit, b, session(t, b, "bounded").PID)

	if got := orderGreedy(t, free, "fork 32"); got != "forked 32" {
		t.Errorf("without a limit: %q", got)
	}
	if got := orderGreedy(t, bounded, "fork 32"); got == "forked 32" || !strings.HasPrefix(got, "forked ") {
		t.Errorf("16 processes: %q", got)
	}
	var used, all int
	if _, err := fmt.Sscanf(orderGreedy(t, free, "spin 2000")+" "+orderGreedy(t, bounded, "spin 2000"), "spun %d spun %d", &all, &used); err != nil || used*2 > all {
		t.Errorf("with a twentieth of a processor %d ms, without a limit %d ms (%v)", used, all, err)
	}
	t.Logf("2 s at a twentieth of a processor: %d ms, without a limit %d ms", used, all)

}

// TestCgroupsAfterAKill: the broker that follows one that was killed clears its
// groups, but for those whose services the policy lets live, and serves with
// limits again in the same unit.
func TestCgroupsAfterAKill(t *testing.T) {
	for _, stop := range []string{"end", "leave"} {
		t.Run(stop, func(t *testing.T) {
			text, bounded, _ := greedy(t, bounds)
			text = strings.Replace(text, "{ edition = 1 }", "{\n  edition = 1\n  on_stop = \""+stop+"\"\n}", 1)
			unit := rig.NewUnit(t, true, "memory", "pids", "cpu")
			serve := func() *rig.Broker {
				return rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Under: unit.Under()})
			}
			b := serve()
			hold, err := rig.Dial(bounded)
			if err != nil {
				t.Fatal(err)
			}
			defer hold.Close()
			pid := session(t, b, "bounded").PID
			if err := b.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Ended(30 * time.Second); err != nil {
				t.Fatal(err)
			}
			if stop == "end" {
				if err := gone(30*time.Second, pid); err != nil {
					t.Error(err)
				}
			}
			// A group that hands controllers on takes no process: the unit's ExecStopPost= does this.
			unit.Write(t, "cgroup.subtree_control", "-memory -pids -cpu")
			old := unit.Groups(t)
			if len(old) < 3 {
				t.Fatalf("the broker that was killed left no group to clear: %v", old)
			}
			b = serve()
			now := unit.Groups(t)
			for g := range old {
				if _, left := now[g]; g != "" && g != "/broker" && left != (stop == "leave" && strings.Contains(g, ".bounded.")) {
					t.Errorf("the old group %s is there: %v", g, left)
				}
			}
			if err := unix.Kill(pid, 0); (err == nil) != (stop == "leave") {
				t.Errorf("the session of the broker that was killed: %v", err)
			}
			if got := orderGreedy(t, bounded, "fork 32"); got == "forked 32" || !strings.HasPrefix(got, "forked ") {
				t.Errorf("16 processes after the restart: %q", got)
			}
		})
	}
}

// placed: the broker is in a leaf of the unit's group, the session in a group
// beside it, and nothing of ours lies anywhere else.
func placed(t *testing.T, unit *rig.Unit, b *rig.Broker, pid int) {
	t.Helper()
	own := "/" + filepath.Base(unit.Path)
	if got, err := rig.CgroupOf(b.PID); err != nil || got != own+"/broker" {
		t.Errorf("the broker is in %s (%v), want %s/broker", got, err, own)
	}
	want := fmt.Sprintf("%s/casemate-%d.bounded.*", own, b.PID)
	got, err := rig.CgroupOf(pid)
	if ok, _ := path.Match(want, got); err != nil || !ok {
		t.Errorf("the session is in %s (%v), want %s", got, err, want)
	}
	if n := unit.Groups(t)[""]; n != 0 {
		t.Errorf("%d processes are left in the unit's group", n)
	}
	if stray, err := filepath.Glob(filepath.Join(filepath.Dir(unit.Path), fmt.Sprintf("casemate-%d*", b.PID))); err != nil || len(stray) > 0 {
		t.Errorf("groups lie at the root of the tree: %v (%v)", stray, err)
	}
}

// TestMemoryIsNoCrash: a session that runs into its service's memory limit, or
// into the unit's, ends with the reason memory and costs its client nothing.
func TestMemoryIsNoCrash(t *testing.T) {
	text, bounded, free := greedy(t, bounds)
	unit := rig.NewUnit(t, true, "memory", "pids", "cpu")
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Under: unit.Under()})
	if got := orderGreedy(t, free, "eat 96"); got != "ate 96" {
		t.Errorf("without a limit: %q", got)
	}
	for range 2 { // a penalty would refuse the second one
		if got := orderGreedy(t, bounded, "eat 96"); got != "" {
			t.Errorf("with 48 MiB: %q", got)
		}
	}
	if got := orderGreedy(t, bounded, "eat 16"); got != "ate 16" {
		t.Errorf("after two that were killed: %q", got)
	}
	if _, err := b.Await(2, 30*time.Second, "msg", "session", "service", "bounded", "reason", "memory", "signal", "SIGKILL"); err != nil {
		t.Error(err)
	}
	// The unit has less than the profile's for a session beside what the broker itself cannot do without.
	if err := b.Idle(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	unit.Write(t, "memory.max", fmt.Sprint(unit.Unreclaimable(t)+20<<20))
	if got := orderGreedy(t, bounded, "eat 44"); got != "" {
		t.Errorf("with 20 MiB for the whole unit: %q", got)
	}
	if _, err := b.Await(3, 30*time.Second, "msg", "session", "service", "bounded", "reason", "memory"); err != nil {
		t.Error(err)
	}
	unit.Write(t, "memory.max", "max")

	// A SIGKILL of other origin is a crash still.
	c, err := rig.Dial(bounded)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := unix.Kill(session(t, b, "bounded").PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "bounded", "reason", "crash"); err != nil {
		t.Error(err)
	}
}

// TestCgroupsNotDelegated: under systemd, in a group that is not delegated, a
// profile with such limits is refused with what to write; one that may lose them
// is served, and nothing is made in a tree that is the manager's.
func TestCgroupsNotDelegated(t *testing.T) {
	bin := rig.Root(t)
	if !alone(t) {
		return
	}
	privately(t, "/run")
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil { // sd_booted(3)
		t.Fatal(err)
	}
	text, _, _ := greedy(t, bounds)
	text = allOrNothing(text)
	shared := []string{"/bin/sh", "-c", `echo 0 >"$0/cgroup.procs" && sleep 60 & echo 0 >"$0/cgroup.procs" && sleep 1 && exec "$@"`}
	for _, c := range []struct {
		name      string
		delegated bool
		under     func(u *rig.Unit) []string
		words     []string
	}{
		{"unit", false, (*rig.Unit).Under, []string{"bounded", "not delegated", "Delegate=yes", `best_effort = ["cgroup"]`}},
		{"shell", true, func(u *rig.Unit) []string { return append(shared, u.Path) }, []string{"bounded", "other processes", "Delegate=yes", `best_effort = ["cgroup"]`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			unit := rig.NewUnit(t, c.delegated)
			b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": text}, Under: c.under(unit)})
			if err == nil {
				b.Stop()
				t.Fatal("it serves")
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error does not say %q: %v", w, err)
				}
			}
			if c.delegated {
				return // once is enough
			}
			lenient := strings.Replace(text, bounds, "  best_effort = [\"cgroup\"]\n"+bounds, 1)
			b = rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": lenient}, Under: c.under(unit)})
			s, err := b.Service("bounded")
			if err != nil || !strings.Contains(strings.Join(s.Losses, " "), "Delegate=yes") {
				t.Errorf("status %+v (%v), want the loss of the cgroup with its reason", s, err)
			}
			if groups := unit.Groups(t); len(groups) != 1 {
				t.Errorf("groups were made in it: %v", groups)
			}
			b.Stop()
		})
	}
}
