package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Check validates every entry by itself, without looking at the host. Build
// calls it; what only shows between entries (overlaps) is an error of Build, and
// what no file system takes (a NUL, a name that is too long) one of the kernel's.
func (t Tree) Check() error {
	for i := range t.Entries {
		e := &t.Entries[i]
		err := checkPath(e.Path)
		if err == nil && e.Kind == Device && !strings.HasPrefix(e.Path, "/dev/") {
			err = errors.New("not below /dev")
		}
		if err != nil {
			return fmt.Errorf("rootfs: %s %q: %w", e.Kind, e.Path, err)
		}
	}
	return nil
}

// checkPath accepts absolute clean paths other than "/".
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return errors.New("path is not absolute")
	case p == "/":
		return errors.New("the root itself cannot be an entry")
	case path.Clean(p) != p:
		return fmt.Errorf("path is not clean, write %q", path.Clean(p))
	}
	return nil
}
