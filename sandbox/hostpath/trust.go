package hostpath

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// UnsafeError says that somebody other than root could have chosen where a path
// leads.
type UnsafeError struct {
	Path   string // the file or directory at fault, on the way
	Reason string // what is wrong with it and who it belongs to
	Next   string // one step that repairs it
}

// Error returns the path, the reason and the step.
func (e *UnsafeError) Error() string { return e.Path + " " + e.Reason + ": " + e.Next }

// Self is who runs this process, trusted beside root. Who asks what a process of root's would say sets it to 0.
var Self = uint32(os.Geteuid())

// trusted reports whether uid is root or who runs this process.
func trusted(uid uint32) bool { return uid == 0 || uid == Self }

// judge decides about one step of a walk, from the directory dir (at path in)
// to the name at. It is systemd's rule of unsafe transitions, and more strict:
// what an unprivileged user's directory holds may lead to that user's own files
// only, and to no link; and nobody else may change a directory of root's.
func judge(in string, dir *step, at string, next *unix.Stat_t) error {
	link := next.Mode&unix.S_IFMT == unix.S_IFLNK
	switch {
	case link && !trusted(next.Uid):
		return &UnsafeError{at, fmt.Sprintf("is a link of uid %d, who chooses where it leads", next.Uid),
			"name the path that is meant, or run chown -h root " + at}
	case !trusted(dir.stat.Uid) && next.Uid != dir.stat.Uid:
		return &UnsafeError{in, fmt.Sprintf("belongs to uid %d, who could put something else in place of %s (of uid %d)", dir.stat.Uid, path.Base(at), next.Uid),
			fmt.Sprintf("name a path in directories of root's, or run chown root %s", in)}
	case !trusted(dir.stat.Uid):
		return nil
	case dir.stat.Mode&unix.S_ISVTX == 0:
		return judgeDir(in, dir)
	case others(dir) && trusted(next.Uid) && next.Mode&unix.S_IFMT != unix.S_IFDIR && next.Nlink > 1:
		// A hard link made by anybody, where fs.protected_hardlinks is off.
		return &UnsafeError{at, fmt.Sprintf("has %d names and lies where others may add one", next.Nlink), "move a copy of it to a directory of root's"}
	}
	return nil
}

// judgeDir refuses a directory in which somebody else may put a file, or
// another one in a file's place.
func judgeDir(in string, dir *step) error {
	if !trusted(dir.stat.Uid) {
		return &UnsafeError{in, fmt.Sprintf("belongs to uid %d", dir.stat.Uid), "use a directory of root's, or run chown root " + in}
	}
	if !others(dir) {
		return nil
	}
	who := "everybody may"
	if dir.stat.Mode&0o002 == 0 {
		who = fmt.Sprintf("its group (gid %d) or an access list lets others", dir.stat.Gid)
	}
	return &UnsafeError{in, fmt.Sprintf("has mode %04o: %s change what is in it", dir.stat.Mode&0o7777, who),
		"use a directory that only root can change, or run chmod go-w " + in}
}

// others reports whether others than the owner may write to dir. The group bit
// of root's own group counts only with an access list, of which it is the mask.
func others(dir *step) bool {
	switch {
	case dir.stat.Mode&0o002 != 0, dir.stat.Mode&0o020 != 0 && dir.stat.Gid != 0:
		return true
	case dir.stat.Mode&0o020 == 0:
		return false
	}
	_, err := unix.Getxattr(fmt.Sprintf("/proc/self/fd/%d", dir.fd), "system.posix_acl_access", nil)
	return err != unix.ENODATA && err != unix.EOPNOTSUPP
}

// Private refuses f unless it is a directory of root's in which nobody else can
// put another file in a file's place. Sticky ones pass: others may add files.
func (f *File) Private() error {
	dir := &step{fd: f.FD, stat: f.Stat}
	if trusted(f.Stat.Uid) && f.Stat.Mode&unix.S_ISVTX != 0 {
		return nil
	}
	return judgeDir(f.Host, dir)
}

// Program refuses a program that cannot run, or that others than root can change.
func (f *File) Program() error {
	switch {
	case f.Stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("not a regular file: name the program itself")
	case f.Stat.Mode&0o111 == 0:
		return errors.New("not executable: run chmod a+x " + f.Host)
	}
	return f.Owned()
}

// Owned refuses f unless only root can change its content.
func (f *File) Owned() error {
	held := &step{fd: f.FD}
	if err := unix.Fstat(f.FD, &held.stat); err != nil {
		return fmt.Errorf("stat %s: %w", f.Host, err)
	}
	switch {
	case !trusted(held.stat.Uid):
		return &UnsafeError{f.Host, fmt.Sprintf("belongs to uid %d, who may change it", held.stat.Uid), "run chown root " + f.Host}
	case others(held):
		return &UnsafeError{f.Host, fmt.Sprintf("has mode %04o: others than root may change it", held.stat.Mode&0o7777), "run chmod go-w " + f.Host}
	}
	return nil
}
