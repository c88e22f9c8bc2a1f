package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"casemate/sandbox/cgroup"

	"golang.org/x/sys/unix"
)

// groups numbers the cgroups: two generations of one service live side by side.
var groups atomic.Uint64

// limits makes the service's cgroup, where its profile wants one, and gives a
// descriptor of its cgroup.procs, or -1.
func (s *Sandbox) limits(o Options) (int, error) {
	r := s.plan.Profile.Resources
	want := cgroup.Limits{Memory: r.Memory, Pids: r.Processes, CPU: r.CPU}
	if want == (cgroup.Limits{}) {
		return -1, nil
	}
	dir, err := s.makeCgroup(o.CgroupRoot, want)
	var missing *cgroup.MissingError
	switch {
	case (errors.As(err, &missing) || errors.Is(err, cgroup.ErrNone)) && slices.Contains(s.plan.Profile.BestEffort, "cgroup"):
		s.losses = append(s.losses, err.Error())
		return -1, nil
	case err != nil:
		return -1, err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s/cgroup.procs: %w", s.group, err)
	}
	s.fds = append(s.fds, fd)
	return fd, nil
}

func (s *Sandbox) makeCgroup(root string, want cgroup.Limits) (int, error) {
	root, err := cgroupRoot(root)
	if err != nil {
		return -1, err
	}
	if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return -1, fmt.Errorf("make cgroup of the broker: %w", err)
	}
	path := filepath.Join(root, fmt.Sprintf("%s.%d", s.name, groups.Add(1)))
	dir, err := cgroup.Create(path, want)
	if err != nil {
		os.Remove(root) // only if it is empty: other services may have theirs in it
		return -1, err
	}
	s.group = path
	return dir, nil
}

func cgroupRoot(root string) (string, error) {
	if root != "" {
		return root, nil
	}
	h, err := cgroup.Find()
	return filepath.Join(h.Path, "casemate"), err
}

// ClearCgroups kills whatever a broker that died has left in its cgroups and
// removes them; root is as in Options. Without cgroup v2 there is nothing to clear.
func ClearCgroups(root string) error {
	root, err := cgroupRoot(root)
	if errors.Is(err, cgroup.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	return cgroup.Destroy(root, clearTimeout)
}

// clearTimeout bounds the wait for killed processes to be gone.
const clearTimeout = 5 * time.Second

// leaveCgroup removes the group, unless services of this generation live on in
// it: whoever prepares or stops next clears what is empty by then.
func (s *Sandbox) leaveCgroup() error {
	if s.group == "" {
		return nil
	}
	err := cgroup.Remove(s.group)
	s.group = ""
	if errors.Is(err, syscall.EBUSY) {
		return nil
	}
	return err
}
