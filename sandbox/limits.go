package sandbox

import (
	"errors"
	"fmt"
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
	"casemate/sandbox/seccomp/program"

	"golang.org/x/sys/unix"
)

// groups numbers the cgroups: two generations of one service live side by side.
var groups atomic.Uint64

// limits makes the service's cgroup, where its profile wants one, and gives a
// descriptor of its cgroup.procs, or -1.
func (s *Sandbox) limits() (int, error) {
	r := s.plan.Profile.Resources
	want := cgroup.Limits{Memory: r[Memory], Pids: r[Processes], CPU: r[CPU]}
	if want.Pids > 0 && s.plan.Profile.Init {
		want.Pids += starts // the inits that are parked
	}
	if want.Pids > 0 && s.plan.slots() > 0 {
		want.Pids++ // who makes mount namespaces
	}
	if want == (cgroup.Limits{}) {
		return -1, nil
	}
	s.limit = want
	dir, err := s.makeCgroup(want)
	switch {
	case err != nil && !errors.Is(err, cgroup.ErrMissing) && !errors.Is(err, cgroup.ErrUnavailable):
		return -1, err
	case err != nil && slices.Contains(s.plan.Profile.BestEffort, "cgroup"):
		s.losses = append(s.losses, err.Error())
		return -1, nil
	case err != nil:
		return -1, fmt.Errorf("%w; or write best_effort = [\"cgroup\"] into the profile, for rlimits of each process in its place", err)
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s/cgroup.procs: %w", s.group, err)
	}
	s.fds = append(s.fds, fd)
	return fd, s.openEvents(dir, want.Memory, want.Pids)
}

// openEvents opens the Events of the group in dir, which has these limits. Without a controller its file is absent.
func (s *Sandbox) openEvents(dir int, limits ...int64) (err error) {
	for i, file := range [...]string{"memory.events", "pids.events"} {
		if s.Events[i], err = unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			s.fds = append(s.fds, s.Events[i])
		} else if s.Events[i] = -1; limits[i] > 0 || !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("open %s/%s: %w", s.group, file, err)
		}
	}
	return nil
}

// rlimits is held while the process's own limits are read and set.
var rlimits sync.Mutex

// raise sees to it that this process has a hard limit that high, and gives the one it
// has. The soft one stays.
func raise(resource int, to uint64) (hard uint64, err error) {
	rlimits.Lock()
	defer rlimits.Unlock()
	var own unix.Rlimit
	if err := unix.Getrlimit(resource, &own); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	if to <= own.Max || unix.Setrlimit(resource, &unix.Rlimit{Cur: own.Cur, Max: to}) == nil {
		return max(own.Max, to), nil
	}
	return own.Max, nil // CAP_SYS_RESOURCE, and for descriptors up to fs.nr_open
}

// fitDescriptors sees to it that a zygote can have the profile's open_files,
// and its own descriptors right above, whatever limit this process was started with.
func (s *Sandbox) fitDescriptors() error {
	need := uint64(s.plan.files) + program.FDCount
	hard, err := raise(unix.RLIMIT_NOFILE, need)
	if err != nil || need <= hard {
		return err
	}
	why := fmt.Sprintf("%d takes a RLIMIT_NOFILE of %d, and the hard limit of this process is %d, which it may not raise (CAP_SYS_RESOURCE, up to fs.nr_open)", s.plan.files, need, hard)
	if hard < minOpenFiles+program.FDCount || !slices.Contains(s.plan.Profile.BestEffort, openFiles) {
		return fmt.Errorf("open_files: %s: start it with LimitNOFILE=%d, or write a smaller open_files, or best_effort = [%q]", why, need, openFiles)
	}
	s.plan.files = uint32(hard - program.FDCount)
	s.losses = append(s.losses, fmt.Sprintf("%s: %d in place of %s", openFiles, s.plan.files, why))
	return nil
}

// fitLimits sees to it that a zygote may set the limits: where this process may not raise
// its own hard ones, nothing that it starts gets more than it has.
func fitLimits(limits []uint64) error {
	for i, n := range limits {
		hard, err := raise(i, n)
		if err != nil {
			return err
		}
		limits[i] = min(n, hard)
	}
	return nil
}

// openFiles is the word of best_effort for that.
const openFiles = "resources.open_files"

// minOpenFiles leaves room for the descriptors a zygote is born with.
const minOpenFiles = 16

// makeCgroup makes a group for the service. Its name begins with the broker's
// pid: two brokers, or one after a kill, never meet in one. The groups lie beside
// each other, not in one of the broker's: a service manager can then take the
// controllers back with one write, which it has to before it starts a broker
// over services that outlived the last one.
func (s *Sandbox) makeCgroup(want cgroup.Limits) (int, error) {
	h, err := cgroup.Claim()
	if err != nil {
		return -1, err
	}
	path := filepath.Join(h.Path, fmt.Sprintf("%s%d.%s.%d", groupPrefix, os.Getpid(), s.name, groups.Add(1)))
	if s.plan.Command.Leave {
		path += groupLeave
	}
	dir, err := h.Create(path, want)
	if err != nil {
		return -1, err
	}
	s.group = path
	return dir, nil
}

const (
	groupPrefix = "casemate-"
	groupLeave  = ".leave" // its services may outlive the broker
)

// groupOf gives the pid of the broker that made the group of that name, or 0.
func groupOf(name string) int {
	rest, ours := strings.CutPrefix(name, groupPrefix)
	of, _, named := strings.Cut(rest, ".")
	pid, err := strconv.Atoi(of)
	if !ours || !named || err != nil || pid < 1 {
		return 0
	}
	return pid
}

// ClaimCgroups takes the broker's place among the control groups, where it has
// one; then it kills what brokers that died have left in theirs, unless the policy
// let it live, and removes the groups. It belongs before the broker's first child:
// what bears this process's own pid then is a former one's, as in a container that
// was started again.
func ClaimCgroups() error {
	h, err := cgroup.Claim()
	if errors.Is(err, cgroup.ErrUnavailable) {
		return nil // the services that need one are refused, with the reason
	}
	if err != nil {
		return err
	}
	groups, err := os.ReadDir(h.Path)
	errs := []error{err}
	for _, g := range groups {
		pid, path := groupOf(g.Name()), filepath.Join(h.Path, g.Name())
		switch {
		case pid == 0 || pid != os.Getpid() && !errors.Is(unix.Kill(pid, 0), unix.ESRCH):
		case strings.HasSuffix(path, groupLeave):
			if err := cgroup.Remove(path); !errors.Is(err, syscall.EBUSY) { // something lives in it
				errs = append(errs, err)
			}
		default:
			errs = append(errs, cgroup.Destroy(path, clearTimeout))
		}
	}
	return errors.Join(errs...)
}

// clearTimeout bounds the wait for ended processes to be gone.
const clearTimeout = 5 * time.Second
