package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits are counted over everything in a group; 0 is no limit.
type Limits struct {
	// Memory is in bytes (memory.max). No swap is allowed beside it, or the
	// limit would only move the excess there.
	Memory int64
	// Pids is the number of tasks, threads included (pids.max).
	Pids int64
	// CPU is in thousandths of one processor (cpu.max), at least 10 (sandbox.ResourceRows).
	CPU int64
}

// ErrMissing is of controllers that limits need and the group below which they
// are to be made lacks.
var ErrMissing = errors.New("cgroup: no version 2 controller")

// setting is one file to write. An optional one may be absent.
type setting struct {
	controller, file, value string
	optional                bool
}

// settings are the files that l is written to.
func (l Limits) settings() (s []setting) {
	if l.Memory > 0 {
		// memory.swap.max is absent on kernels without swap accounting.
		s = append(s, setting{controller: "memory", file: "memory.max", value: fmt.Sprint(l.Memory)},
			setting{controller: "memory", file: "memory.swap.max", value: "0", optional: true})
	}
	if l.Pids > 0 {
		s = append(s, setting{controller: "pids", file: "pids.max", value: fmt.Sprint(l.Pids)})
	}
	if l.CPU > 0 {
		// Quota and period in microseconds. The quota is at least 1 ms, which smaller
		// shares would need a longer period for.
		s = append(s, setting{controller: "cpu", file: "cpu.max", value: fmt.Sprintf("%d 100000", l.CPU*100)})
	}
	return s
}

// apply writes the settings into the group dir.
func apply(dir string, settings []setting) error {
	for _, s := range settings {
		err := write(filepath.Join(dir, s.file), s.value)
		if err != nil && !(s.optional && errors.Is(err, os.ErrNotExist)) {
			return fmt.Errorf("cgroup: set %s to %q: %w", s.file, s.value, err)
		}
	}
	return nil
}

// enable makes the controllers that the settings are of available to the groups in h.Path.
func (h Hierarchy) enable(settings []setting) error {
	var missing []string
	control := filepath.Join(h.Path, "cgroup.subtree_control")
	for _, s := range settings {
		err := write(control, "+"+s.controller) // no change where it is on
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EINVAL): // of a controller that the kernel does not have
			if !slices.Contains(missing, s.controller) {
				missing = append(missing, s.controller)
			}
		case errors.Is(err, unix.EBUSY): // "no internal processes"
			return fmt.Errorf("%w: %s holds processes of somebody's, so it cannot hand %s on", ErrUnavailable, h.Path, s.controller)
		case err != nil:
			return fmt.Errorf("cgroup: enable %s below %s: %w", s.controller, h.Path, err)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w for %s in %s", ErrMissing, strings.Join(missing, ", "), h.Path)
	}
	return nil
}

// write writes a control file in one call and creates nothing.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
