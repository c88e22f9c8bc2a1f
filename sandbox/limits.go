package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"casemate/sandbox/cgroup"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// groups numbers the cgroups: two generations of one service live side by side.
var groups atomic.Uint64

// limits makes the service's cgroup, where its profile wants one, and gives a
// descriptor of its cgroup.procs, or -1.
func (s *Sandbox) limits() (int, error) {
	r := s.plan.Profile.Resources
	want := cgroup.Limits{Memory: r.Memory, Pids: r.Processes, CPU: r.CPU}
	if want == (cgroup.Limits{}) {
		return -1, nil
	}
	dir, err := s.makeCgroup(want)
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

// nofile is held while the process's own limit is read and set.
var nofile sync.Mutex

// fitDescriptors sees to it that a zygote can have the profile's open_files,
// and its own descriptors right above: whatever limit this process was started
// with, it raises the hard one. The soft one, which bounds its own table, stays.
func (s *Sandbox) fitDescriptors() error {
	nofile.Lock()
	defer nofile.Unlock()
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	need := uint64(s.plan.files) + fdCount
	if need <= own.Max {
		return nil
	}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: own.Cur, Max: need})
	if err == nil {
		return nil
	}
	why := fmt.Sprintf("%d takes a RLIMIT_NOFILE of %d, and the hard limit of this process is %d, which it may not raise (CAP_SYS_RESOURCE, up to fs.nr_open): %v", s.plan.files, need, own.Max, err)
	if own.Max < minOpenFiles+fdCount || !s.plan.dispenses(openFiles) {
		return fmt.Errorf("open_files: %s: start it with LimitNOFILE=%d, or write a smaller open_files, or best_effort = [%q]", why, need, openFiles)
	}
	s.plan.files = uint32(own.Max - fdCount)
	s.plan.rlimits = s.plan.limits()
	s.losses = append(s.losses, fmt.Sprintf("%s: %d in place of %s", openFiles, s.plan.files, why))
	return nil
}

// fitTasks lowers RLIMIT_NPROC to what this process itself may have: a sum over
// services may be more, and only CAP_SYS_RESOURCE could raise it.
func fitTasks(limits []zygote.Rlimit) error {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &own); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	for i := range limits {
		if l := &limits[i]; l.Resource == unix.RLIMIT_NPROC {
			l.Soft, l.Hard = min(l.Soft, own.Max), min(l.Hard, own.Max)
		}
	}
	return nil
}

// minOpenFiles leaves room for the descriptors a zygote is born with.
const minOpenFiles = 16

// makeCgroup makes a group for the service in the broker's own one, which is
// named by pid: two brokers, or one after a kill, never meet in a name.
func (s *Sandbox) makeCgroup(want cgroup.Limits) (int, error) {
	h, err := cgroup.Find()
	if err != nil {
		return -1, err
	}
	// Asked before anything is made: services are prepared side by side, and a group
	// that is taken away again must not be the one another is about to make its own in.
	if missing := h.Missing(want); len(missing) > 0 {
		return -1, &cgroup.MissingError{Controllers: missing}
	}
	root := filepath.Join(h.Path, groupPrefix+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return -1, fmt.Errorf("make cgroup of the broker: %w", err)
	}
	path := filepath.Join(root, fmt.Sprintf("%s.%d", s.name, groups.Add(1)))
	if s.plan.Command.Leave {
		path += groupLeave
	}
	dir, err := cgroup.Create(path, want)
	if err != nil {
		os.Remove(root) // only if it is empty: other services may have theirs in it
		return -1, err
	}
	s.group = path
	return dir, nil
}

const (
	groupPrefix = "casemate-"
	groupLeave  = ".leave" // its services may outlive the broker
)

// ClearCgroups kills what brokers that died have left in their cgroups, unless
// the policy let it live, and removes the groups. The broker calls it at start.
func ClearCgroups() error {
	h, err := cgroup.Find()
	if err != nil {
		return nil // nothing was made where there is no cgroup v2
	}
	roots, err := filepath.Glob(filepath.Join(h.Path, groupPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for old cgroups: %w", err)
	}
	var errs []error
	for _, root := range roots {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(root), groupPrefix))
		if err != nil || pid == os.Getpid() || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		errs = append(errs, clearBroker(root))
	}
	return errors.Join(errs...)
}

func clearBroker(root string) error {
	left, err := filepath.Glob(filepath.Join(root, "*"+groupLeave))
	if err != nil || len(left) == 0 {
		return errors.Join(err, cgroup.Destroy(root, clearTimeout))
	}
	groups, err := os.ReadDir(root)
	errs := []error{err}
	for _, g := range groups {
		if path := filepath.Join(root, g.Name()); g.IsDir() && !slices.Contains(left, path) {
			errs = append(errs, cgroup.Destroy(path, clearTimeout))
		}
	}
	return errors.Join(errs...)
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
	os.Remove(filepath.Dir(s.group)) // only if it was the last one
	s.group = ""
	if errors.Is(err, syscall.EBUSY) {
		return nil
	}
	return err
}
