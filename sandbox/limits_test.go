package sandbox

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"casemate/sandbox/cgroup"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// A broker that was killed leaves its groups; the next one clears them, with
// what lives in them, and spares what the policy let live and what another
// broker has.
func TestClaimCgroups(t *testing.T) {
	needRoot(t)
	h, err := cgroup.Claim()
	if err != nil {
		need.Kernel(t, "no cgroup v2 is mounted: %v", err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	group := func(pid int, name string) string {
		return filepath.Join(h.Path, groupPrefix+strconv.Itoa(pid)+"."+name)
	}
	web, shell, idle := group(gone.Process.Pid, "web.1"), group(gone.Process.Pid, "shell.2"+groupLeave), group(gone.Process.Pid, "idle.3"+groupLeave)
	again := group(os.Getpid(), "web.1") // this one's pid was another's before
	alive := group(os.Getppid(), "web.1")
	var procs []*exec.Cmd
	for _, dir := range []string{web, shell, alive, again, idle} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cgroup.Destroy(dir, clearTimeout) })
		if dir == idle {
			continue
		}
		p := exec.Command("sleep", "1000")
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Process.Kill(); p.Wait() })
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(p.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
		procs = append(procs, p)
	}
	if err := ClaimCgroups(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{web, again, idle} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
	if err := procs[0].Wait(); err == nil {
		t.Error("what lived in the group was not killed")
	}
	for i, what := range []string{"what may outlive the broker", "another broker's"} {
		if err := unix.Kill(procs[i+1].Process.Pid, 0); err != nil {
			t.Errorf("%s did not live on: %v", what, err)
		}
	}
}

func TestGroupOf(t *testing.T) {
	for name, want := range map[string]int{
		"casemate-17.web.1": 17, "casemate-17.a.b.1.leave": 17,
		"": 0, "casemate-": 0, "casemate-17": 0, "casemate-.web.1": 0, "casemate--1.web.1": 0, "casemate-0.web.1": 0,
		"casemate-x.web.1": 0, "casemated.service": 0, "broker": 0, "17.web.1": 0,
	} {
		if got := groupOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
