package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"casemate/sandbox/hostpath"
)

// maxName is NAME_MAX of limits.h.
const maxName = 255

// Check validates every entry by itself, without looking at the host. Build
// calls it; what only shows between entries (overlaps) is an error of Build.
func (t Tree) Check() error {
	for i := range t.Entries {
		e := &t.Entries[i]
		if err := e.check(); err != nil {
			return fmt.Errorf("rootfs: %s %q: %w", e.Kind, e.Path, err)
		}
	}
	return nil
}

func (e *Entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch e.Kind {
	case ReadOnly, Exec, Write, Device:
		if e.Kind == Device && !strings.HasPrefix(e.Path, "/dev/") {
			return errors.New("not below /dev")
		}
	case Symlink:
		if e.Text == "" || len(e.Text) > hostpath.MaxPath || strings.ContainsRune(e.Text, 0) {
			return errors.New("link text must be 1 to 4095 bytes without NUL")
		}
	case Dir:
		if e.Mode&^0o1777 != 0 {
			return fmt.Errorf("mode %#o has more than 01777", e.Mode)
		}
	case File, Proc:
	default:
		return fmt.Errorf("unknown kind %d", int(e.Kind))
	}
	return nil
}

// checkPath accepts absolute clean paths other than "/" that the kernel can take.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return errors.New("path is not absolute")
	case p == "/":
		return errors.New("the root itself cannot be an entry")
	case len(p) > hostpath.MaxPath:
		return errors.New("path is longer than 4095 bytes")
	case strings.ContainsRune(p, 0):
		return errors.New("path contains a NUL byte")
	case path.Clean(p) != p:
		return fmt.Errorf("path is not clean, write %q", path.Clean(p))
	}
	for name := range strings.SplitSeq(p[1:], "/") {
		if len(name) > maxName {
			return errors.New("path has a name longer than 255 bytes")
		}
	}
	return nil
}
