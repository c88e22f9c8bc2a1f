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
// what lives in them, and spares what the policy let live.
func TestClearCgroups(t *testing.T) {
	needRoot(t)
	h, err := cgroup.Find()
	if err != nil {
		need.Skip(t, "needs cgroup v2, and none is mounted: %v", err)
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(h.Path, groupPrefix+strconv.Itoa(gone.Process.Pid))
	t.Cleanup(func() { cgroup.Destroy(root, clearTimeout) })
	var procs []*exec.Cmd
	for _, name := range []string{"", "web.1", "shell.2" + groupLeave} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "" {
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
	if err := ClearCgroups(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "web.1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the group is still there: %v", err)
	}
	if err := procs[0].Wait(); err == nil {
		t.Error("what lived in the group was not killed")
	}
	if err := unix.Kill(procs[1].Process.Pid, 0); err != nil {
		t.Errorf("what may outlive the broker did not: %v", err)
	}
}
