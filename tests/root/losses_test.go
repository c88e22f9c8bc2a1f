package root

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestMissingCgroup: on a host without cgroup v2 a memory limit is a load error
// that says so; a profile that allows the loss serves, and status shows it.
func TestMissingCgroup(t *testing.T) {
	bin := rig.Root(t)
	if !alone(t) {
		return
	}
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	text := func(extra string) string {
		return head + "profile \"bounded\" {\n  base = profile.line\n  " + extra + "\n  resources {\n    memory = \"64MiB\"\n    processes = 8\n  }\n}\n" +
			service("once", "tcp4://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.bounded")
	}
	refuse := func(words ...string) {
		t.Helper()
		b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": text("")}})
		if err == nil {
			t.Log("this host has the controllers")
			b.Stop()
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("the error does not say %q: %v", w, err)
			}
		}
	}
	if own, err := rig.CgroupOf(unix.Getpid()); err == nil && own == "/" {
		refuse("once", "memory", "pids") // by name, where version 2 is there without them
	}
	noCgroups(t)
	refuse("once", "cgroup")
	b := rig.Serve(t, text("best_effort = [\"cgroup\"]"))
	exchange(t, port, "", "once\n")
	s, err := b.Service("once")
	if err != nil || len(s.Losses) == 0 || !strings.Contains(strings.Join(s.Losses, " "), "cgroup") {
		t.Errorf("status %+v (%v), want the loss of the cgroup", s, err)
	}
	out, err := exec.Command(filepath.Join(bin, "casemate"), "status", "--control", b.Control).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cgroup") {
		t.Errorf("casemate status printed (%v)\n%s", err, out)
	}
}

// noCgroups takes every cgroup v2 hierarchy out of this mount namespace.
func noCgroups(t *testing.T) {
	t.Helper()
	mounts, err := rig.Mounts(unix.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		if m := mounts[i]; m.Type == "cgroup2" {
			if err := unix.Unmount(m.Point, unix.MNT_DETACH); err != nil {
				t.Fatalf("unmount %s: %v", m.Point, err)
			}
		}
	}
}
