// Package cgroup makes, limits, kills and removes version 2 control groups
// (the kernel's Documentation/admin-guide/cgroup-v2.rst). Version 1 is not used:
// a limit that only version 1 could hold is reported as missing.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNone means that no version 2 hierarchy is mounted.
var ErrNone = errors.New("cgroup: no cgroup v2 hierarchy is mounted")

// Hierarchy is where version 2 is mounted.
type Hierarchy struct {
	// Path is the mount point.
	Path string
	// Controllers are those its root offers, as "memory", sorted. Those that
	// version 1 has taken are not among them.
	Controllers []string
}

// preferred are the usual mount points, the unified and the hybrid one.
var preferred = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// Find looks for the version 2 hierarchy among this process's mounts.
func Find() (Hierarchy, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Hierarchy{}, fmt.Errorf("cgroup: %w", err)
	}
	points := mountPoints(string(text))
	if len(points) == 0 {
		return Hierarchy{}, ErrNone
	}
	h := Hierarchy{Path: points[0]}
	for _, p := range preferred {
		if slices.Contains(points, p) {
			h.Path = p
			break
		}
	}
	if h.Controllers, err = words(filepath.Join(h.Path, "cgroup.controllers")); err != nil {
		return Hierarchy{}, fmt.Errorf("cgroup: %w", err)
	}
	return h, nil
}

// mountPoints lists where mountinfo (proc_pid_mountinfo(5)) shows the root of a
// cgroup2. Binds of a part of it are left out.
func mountPoints(mountinfo string) []string {
	var points []string
	for line := range strings.SplitSeq(mountinfo, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 6 || !strings.HasPrefix(after, "cgroup2 ") || fields[3] != "/" {
			continue
		}
		if p := unescape(fields[4]); filepath.IsAbs(p) {
			points = append(points, p)
		}
	}
	return points
}

// unescape undoes mountinfo's octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
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
