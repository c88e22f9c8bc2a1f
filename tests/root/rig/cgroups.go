package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"casemate/tests/need"
)

// cgroupMounts are where the version 2 tree is, the unified and the hybrid way.
var cgroupMounts = []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}

// CgroupTop is the mount point of the version 2 tree; the test is left out where
// there is none, or where one of the controllers is not in it.
func CgroupTop(t testing.TB, controllers ...string) string {
	t.Helper()
	for _, top := range cgroupMounts {
		text, err := os.ReadFile(filepath.Join(top, "cgroup.controllers"))
		if err != nil {
			continue
		}
		for _, c := range controllers {
			if !strings.Contains(" "+strings.TrimSpace(string(text))+" ", " "+c+" ") {
				need.Kernel(t, "the version 2 tree has no %s controller, only %q", c, strings.TrimSpace(string(text)))
			}
		}
		return top
	}
	need.Kernel(t, "no version 2 tree is mounted")
	return ""
}

// What the groups are called that tests make at the top of a tree.
const unitGroup, pidsGroup = "test-unit-", "casemate-pids-"

// ownGroup is a name that no other test has: it may have the same pid in a namespace of its own.
func ownGroup(kind string) string {
	return fmt.Sprintf("%s%d-%d", kind, os.Getpid(), time.Now().UnixNano())
}

// Unit is a control group such as a service manager makes for a service.
type Unit struct{ Path string }

// NewUnit makes a group with the controllers at the top of the tree, which goes
// with everything in it at the end of the test. A delegated one carries the mark
// that systemd leaves on the group of a unit with Delegate=yes.
func NewUnit(t testing.TB, delegated bool, controllers ...string) *Unit {
	t.Helper()
	top := CgroupTop(t, controllers...)
	for _, c := range controllers {
		if err := os.WriteFile(filepath.Join(top, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
			t.Fatal(err)
		}
	}
	u := &Unit{filepath.Join(top, ownGroup(unitGroup))}
	if err := os.Mkdir(u.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		u.Write(t, "cgroup.kill", "1")
		if err := Until(10*time.Second, func() error { return removeGroups(u.Path) }); err != nil {
			t.Error(err)
		}
	})
	if delegated {
		if err := unix.Setxattr(u.Path, "trusted.delegate", []byte("1"), 0); err != nil {
			t.Fatalf("mark %s as delegated: %v", u.Path, err)
		}
	}
	return u
}

// Write writes one of the group's control files.
func (u *Unit) Write(t testing.TB, file, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(u.Path, file), []byte(value), 0); err != nil {
		t.Error(err)
	}
}

// Unreclaimable is the memory of the group that the kernel cannot take back from it, in bytes (memory.stat): all but the files' pages.
func (u *Unit) Unreclaimable(t testing.TB) (sum int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(u.Path, "memory.stat"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var key string
		var n int
		if _, err := fmt.Sscan(line, &key, &n); err == nil && slices.Contains([]string{"anon", "kernel", "shmem"}, key) {
			sum += n
		}
	}
	return sum
}

// Under is a command line that moves into the group and then runs what follows.
func (u *Unit) Under() []string {
	return []string{"/bin/sh", "-c", `echo 0 >"$0/cgroup.procs" && exec "$@"`, u.Path}
}

// Groups lists the groups below the unit's own, with their processes' number.
func (u *Unit) Groups(t testing.TB) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := filepath.WalkDir(u.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		out[strings.TrimPrefix(path, u.Path)] = strings.Count(string(procs), "\n")
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// PidsGroup makes a control group that counts tasks, in whichever tree has that
// controller, and a command line that moves into it and runs what follows. Where the host
// has none, both are empty.
func PidsGroup(t testing.TB) (under []string, group string) {
	t.Helper()
	for _, top := range append([]string{"/sys/fs/cgroup/pids"}, cgroupMounts...) {
		group = filepath.Join(top, ownGroup(pidsGroup))
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			if err := Until(10*time.Second, func() error { return removeGroups(group) }); err != nil {
				t.Error(err)
			}
		})
		if _, err := os.Stat(filepath.Join(group, "pids.max")); err == nil {
			return (&Unit{group}).Under(), group
		}
	}
	return nil, ""
}

// SetPids leaves room for so many tasks more in a group of PidsGroup; -1 is no limit.
func SetPids(t testing.TB, group string, more int) {
	t.Helper()
	limit := "max"
	if more >= 0 {
		text, err := os.ReadFile(filepath.Join(group, "pids.current"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		limit = strconv.Itoa(n + more)
	}
	(&Unit{group}).Write(t, "pids.max", limit)
}

// removeGroups removes a group with all below it, deepest first.
func removeGroups(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			err = errors.Join(err, removeGroups(filepath.Join(path, e.Name())))
		}
	}
	return errors.Join(err, syscall.Rmdir(path))
}

// CgroupOf is the version 2 group of a process.
func CgroupOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if group, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(group, "\n"), nil
		}
	}
	return "", fmt.Errorf("process %d is in no version 2 group", pid)
}

// Uncommon leaves out the loss that every shipped profile has where there is no
// version 2 controller, or none is ours.
func Uncommon(losses []string) []string {
	return slices.DeleteFunc(slices.Clone(losses), func(l string) bool { return strings.HasPrefix(l, "cgroup") })
}
