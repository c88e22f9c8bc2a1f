package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Create makes the group path, whose parent is h.Path, with the limits, and returns
// a descriptor of its directory (close-on-exec) for the caller to close. A process
// joins by writing "0" to cgroup.procs below it.
//
// Controllers are switched on as needed. ErrMissing says that some do not exist; an
// existing group is fs.ErrExist. On an error no directory is left.
func (h Hierarchy) Create(path string, l Limits) (int, error) {
	settings := l.settings()
	if err := h.enable(settings); err != nil {
		return -1, err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return -1, fmt.Errorf("cgroup: %w", err)
	}
	fd, err := -1, apply(path, settings)
	if err == nil {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, errors.Join(err, Remove(path))
	}
	return fd, nil
}

// check accepts only directories of a cgroup2 file system: on any other, Destroy
// would remove somebody's.
func check(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("cgroup: %q is not an absolute path", dir)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("cgroup: %w", &fs.PathError{Op: "statfs", Path: dir, Err: err})
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return fmt.Errorf("cgroup: %s is not in a cgroup v2 hierarchy", dir)
	}
	return nil
}

// Remove removes an empty group; EBUSY (errors.Is with syscall.EBUSY) means that
// something lives in it. Zombies do not count.
func Remove(path string) error {
	if err := check(path); err != nil {
		return err
	}
	return os.NewSyscallError("cgroup: remove "+path, unix.Rmdir(path))
}

// Destroy kills what lives in the group and below, waits until all is dead, and
// removes the groups, deepest first. A group that does not exist is no error, so
// it also clears what a broker that died has left. It fails when wait is over. Needs Linux 5.14.
func Destroy(path string, wait time.Duration) error {
	err := check(path)
	if err == nil { // SIGKILL, also to what is being forked right now
		err = write(filepath.Join(path, "cgroup.kill"), "1")
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cgroup: kill: %w", err)
	}
	return RemoveEmpty(path, wait)
}

// RemoveEmpty is Destroy of a group whose processes are about to end by themselves.
func RemoveEmpty(path string, wait time.Duration) error {
	if err := waitEmpty(path, time.Now().Add(wait)); err != nil {
		return err
	}
	return removeTree(path)
}

func removeTree(path string) error {
	children, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for _, c := range children {
		if c.IsDir() {
			if err := removeTree(filepath.Join(path, c.Name())); err != nil {
				return err
			}
		}
	}
	return Remove(path)
}

// emptyEvery is the time between two looks at a group that is to be empty.
const emptyEvery = 5 * time.Millisecond

// waitEmpty waits for "populated 0" in cgroup.events.
func waitEmpty(path string, until time.Time) error {
	for ; ; time.Sleep(emptyEvery) {
		text, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
		switch {
		case err != nil:
			return fmt.Errorf("cgroup: %w", err)
		case strings.Contains(string(text), "populated 0"):
			return nil
		case time.Now().After(until):
			return fmt.Errorf("cgroup: %s is still populated: %w", path, os.ErrDeadlineExceeded)
		}
	}
}
