// Package rootfs builds the root tree of a service: a read-only tmpfs with just
// the entries that were named, in a mount namespace of its own.
//
// Everything is resolved once, at load, by file descriptor, and refused where
// somebody other than root had a say in it (hostpath). What the
// namespace holds afterwards does not follow later changes of the host's names: a
// bind of a directory shows the directory that was there at Build, and a bind of
// one file keeps the inode it had then. A host file that is replaced by rename
// (the way package managers write) stays visible inside in its old version until
// the next Build; bind the directory where that is not wanted.
//
// Build needs CAP_SYS_ADMIN and CAP_SYS_CHROOT, /proc on the host, Linux 5.12 (mount_setattr(2)),
// and a root that is not the initial ramfs (pivot_root(2)).
package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// Kind says what an entry of a Tree is.
type Kind int

// The kinds of entries. Binds take the whole mount tree below the source, and
// only ever add restrictions: a host mount that is read-only or noexec stays so
// (and is refused as the source of a Write or Exec entry).
const (
	// ReadOnly is a bind that is ro, nosuid, nodev, noexec.
	ReadOnly Kind = iota + 1
	// Exec is a bind that is ro, nosuid, nodev.
	Exec
	// Write is a bind that is nosuid, nodev, noexec, and (since Linux 5.14) whose
	// symbolic links nobody inside follows.
	Write
	// Device is a bind of one character device below /dev, one of Devices or another that
	// is not the host itself (device.go): nosuid, noexec, and ro, which leaves reading and
	// writing the device alone and forbids chmod and the like.
	Device
	// Proc is procfs of the pid namespace that Build is called in, at Path, with every
	// process shown (no hidepid) and nothing written: ro (the file system too), nosuid, nodev, noexec.
	Proc
	// Symlink is a symbolic link; Text is its own.
	Symlink
	// Dir is an empty directory on the root tmpfs, of mode Mode.
	Dir
	// file is an empty file on the root tmpfs, where a bind of one goes.
	file
)

var kindNames = [...]string{ReadOnly: "read", Exec: "exec", Write: "write", Device: "device", Proc: "proc", Symlink: "symlink", Dir: "directory", file: "file"}

// String is the word the policy language uses for k.
func (k Kind) String() string {
	if k < ReadOnly || k > file {
		return "unknown kind"
	}
	return kindNames[k]
}

// Bind reports whether k shows something of the host.
func (k Kind) Bind() bool { return k >= ReadOnly && k <= Proc }

// Entry is one thing in the root tree. All of them belong to root.
type Entry struct {
	Kind Kind
	// Path is where it is inside: absolute and clean (see path.Clean), not "/".
	//
	// For a bind it is the host's path too, but for the tree's Map: symbolic links on the way
	// (/lib -> usr/lib) are recreated, and what they lead to is bound at its
	// real path, so that every name means inside what it means outside. What is on
	// procfs is refused; a directory that has the host's procfs
	// mounted somewhere below is not, so do not name one.
	Path string
	// Text is that of a Symlink.
	Text string
	// Held, when not nil, is what a bind shows: Path as somebody has resolved
	// it already, and checked. Build does not close it.
	Held *hostpath.File
	// Pin makes the bind of its own even where one around it shows the same name:
	// that one would show whatever has the name later.
	Pin bool
	// Mode is the mode of a Dir, at most 01777; 0 means 0755.
	Mode uint32
}

// Tree is a root tree: the order of its entries means nothing. Directories
// that lead to an entry are made as needed (root, 0755). An entry inside
// another bind is mounted over it and needs a mount point that exists there;
// nothing is ever created on the host.
type Tree struct {
	Entries []Entry
	// Writable are directories that services may write, beside those of the
	// Write entries: no source may lie in one.
	Writable []hostpath.ID
	// Map is where the host has what binds show under other names than its own.
	Map hostpath.Map
}

// EntryError is what is wrong with the entry of that kind and path.
type EntryError struct {
	Kind Kind
	Path string
	Err  error `json:"-"`
}

// Error names the entry first.
func (e *EntryError) Error() string {
	next := ""
	if errors.Is(e.Err, unix.ENOENT) && e.Kind != Device {
		next = `: make it, or name it in files { optional } too`
	}
	return fmt.Sprintf("rootfs: %s %s: %v%s", e.Kind, e.Path, e.Err, next)
}

// Unwrap is the error without the entry.
func (e *EntryError) Unwrap() error { return e.Err }

// Check validates every entry by itself, without looking at the host. Build
// calls it; what only shows between entries (overlaps) is an error of Build, and
// what no file system takes (a NUL, a name that is too long) one of the kernel's.
func (t Tree) Check() error {
	for i := range t.Entries {
		e := &t.Entries[i]
		var err error
		if !proper(e.Path) {
			err = errors.New("not an absolute clean path below the root")
		} else if e.Kind == Device && !strings.HasPrefix(e.Path, "/dev/") {
			err = errors.New("not below /dev")
		}
		if err != nil {
			return fmt.Errorf("rootfs: %s %q: %w", e.Kind, e.Path, err)
		}
	}
	return nil
}

// proper accepts absolute clean paths other than "/".
func proper(p string) bool { return path.IsAbs(p) && path.Clean(p) == p && p != "/" }
