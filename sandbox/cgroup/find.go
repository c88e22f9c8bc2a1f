// Package cgroup makes, limits, kills and removes version 2 control groups
// (the kernel's Documentation/admin-guide/cgroup-v2.rst). Version 1 is not used:
// a limit that only version 1 could hold is reported as missing.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrUnavailable means that this process has no group to make others below.
var ErrUnavailable = errors.New("cgroup v2 is not available")

// Hierarchy is the part of the version 2 tree that is this process's own.
type Hierarchy struct {
	// Path is the directory of the group in which others may be made.
	Path string

	// leaf asks for this process to leave the group: only the root may both
	// hold processes and hand controllers on.
	leaf bool
}

// surroundings is what decides where a process may make groups.
type surroundings struct {
	top string // where the tree is mounted, "" = nowhere
	own string // this process's group, from the root that it sees
	pid int
	// systemd manages the tree (sd_booted(3)): then only what it has delegated is ours.
	systemd   bool
	delegated func(dir string) bool
}

// find gives the group below which this process may make others:
//
//   - its own one, where it is the root: whoever runs there runs no service manager;
//   - its own one, where systemd has delegated that (Delegate=), or where there is
//     no systemd and it has the group to itself, as a container's only program;
//   - the parent, where that one is delegated (DelegateSubgroup=).
//
// Anything else is somebody else's to divide up.
func (s surroundings) find() (h Hierarchy, err error) {
	if s.top == "" {
		return h, fmt.Errorf("%w: no hierarchy of it is mounted", ErrUnavailable)
	}
	if !strings.HasPrefix(s.own, "/") || strings.HasPrefix(s.own, "/..") {
		return h, fmt.Errorf("%w: what is mounted on %s does not show this process's group %q", ErrUnavailable, s.top, s.own)
	}
	h.Path = filepath.Join(s.top, s.own)
	_, err = os.Stat(filepath.Join(h.Path, "cgroup.type"))
	switch {
	case errors.Is(err, fs.ErrNotExist): // only the root has none
	case s.delegated(h.Path):
		h.leaf = true
	case s.own != "/" && s.delegated(filepath.Dir(h.Path)):
		h.Path = filepath.Dir(h.Path)
	case s.systemd:
		return h, fmt.Errorf("%w: systemd has not delegated the group %s to this process: write Delegate=yes into the unit, or start it from a shell with systemd-run -p Delegate=yes", ErrUnavailable, s.own)
	default:
		h.leaf = true
	}
	if h.leaf {
		if err := s.alone(h.Path); err != nil {
			return h, err
		}
	}
	if _, err := words(filepath.Join(h.Path, "cgroup.controllers")); err != nil { // removed since
		return h, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return h, nil
}

// alone refuses a group that others live in: it could hand no controller on, and
// moving them is not for us.
func (s surroundings) alone(dir string) error {
	pids, err := words(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	others := slices.DeleteFunc(pids, func(p string) bool { return p == fmt.Sprint(s.pid) })
	if len(others) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the group %s holds other processes too (%s): give this one a group to itself, as a unit with Delegate=yes or as a container's only program",
		ErrUnavailable, s.own, strings.Join(others[:min(len(others), 5)], " "))
}

// isDelegated reads the mark that systemd puts on a group it has delegated.
func isDelegated(dir string) bool {
	for _, attr := range []string{"trusted.delegate", "user.delegate"} {
		var value [4]byte
		if n, err := unix.Getxattr(dir, attr, value[:]); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// ownGroup takes the version 2 group out of /proc/self/cgroup (cgroups(7)).
func ownGroup(text string) string {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}

// words reads a file of blank-separated words and sorts them.
func words(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	w := strings.Fields(string(text))
	slices.Sort(w)
	return w, nil
}

// leafName is the group that this process moves into, below the one that is its own.
const leafName = "broker"

// Claim finds the group below which this process may make others and, unless it
// is the root, moves the process into a leaf of it: a group with processes cannot
// hand controllers on. It belongs before the first child, which would stay behind.
// The answer is the same for as long as the process lives.
//
// ErrUnavailable says that there is no such group, and why.
var Claim = sync.OnceValues(func() (h Hierarchy, err error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return h, fmt.Errorf("cgroup: %w", err)
	}
	st, err := os.Lstat("/run/systemd/system")
	s := surroundings{
		own: ownGroup(string(own)), pid: os.Getpid(), systemd: err == nil && st.IsDir(), delegated: isDelegated,
	}
	for _, usual := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} { // of the hybrid one, and of all others
		if s.top == "" && check(usual) == nil {
			s.top = usual
		}
	}
	if h, err = s.find(); err == nil && h.leaf {
		err = h.settle()
	}
	return h, err
})

// settle moves this process into the leaf.
func (h Hierarchy) settle() error {
	leaf := filepath.Join(h.Path, leafName)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err) // read-only, as in most containers
	}
	if err := write(filepath.Join(leaf, "cgroup.procs"), "0"); err != nil {
		return fmt.Errorf("%w: move into %s: %w", ErrUnavailable, leaf, err)
	}
	return nil
}
