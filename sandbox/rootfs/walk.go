package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// walker goes from "/" to a host path one name at a time, so that every link
// on the way is seen, none is followed by the kernel, and the file reached in
// the end is held by descriptor.
type walker struct {
	fds   []int // O_PATH, one for each directory from "/" down, and the current file
	names []string
	links []link
}

// walk opens p (absolute, clean) with O_PATH and reports its path without
// links and the links it went through. The caller closes the descriptor.
func walk(p string) (int, found, error) {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, found{}, fmt.Errorf("open /: %w", err)
	}
	w := &walker{fds: []int{root}}
	defer w.drop(0)
	todo := strings.Split(p[1:], "/")
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		text, err := w.enter(name)
		if err != nil {
			return -1, found{}, err
		}
		if text != "" {
			todo = append(strings.Split(text, "/"), todo...)
		}
	}
	last := len(w.fds) - 1
	fd := w.fds[last]
	h := found{real: w.path(), links: w.links}
	if h.dir, err = inspect(fd, h.real); err != nil {
		return -1, found{}, err
	}
	if last == 0 {
		return -1, found{}, errors.New("leads to the root directory, which is too much")
	}
	w.fds = w.fds[:last]
	return fd, h, nil
}

func (w *walker) path() string { return "/" + strings.Join(w.names, "/") }

// drop closes all but the first n descriptors.
func (w *walker) drop(n int) {
	for _, fd := range w.fds[n:] {
		unix.Close(fd)
	}
	w.fds = w.fds[:n]
}

// enter goes one name further. For a link it stays and returns the text.
func (w *walker) enter(name string) (string, error) {
	switch name {
	case "", ".":
		return "", nil
	case "..": // only from a link's text
		if len(w.names) > 0 {
			w.names = w.names[:len(w.names)-1]
			w.drop(len(w.fds) - 1)
		}
		return "", nil
	}
	at := path.Join(w.path(), name)
	fd, err := unix.Openat(w.fds[len(w.fds)-1], name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", at, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return "", fmt.Errorf("stat %s: %w", at, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		w.fds, w.names = append(w.fds, fd), append(w.names, name)
		return "", nil
	}
	defer unix.Close(fd)
	return w.follow(fd, at)
}

// follow reads the link fd, found at path at, and notes it.
func (w *walker) follow(fd int, at string) (string, error) {
	if err := refuseProc(fd, at); err != nil {
		return "", err // a magic link there, whose text is not where it leads
	}
	if len(w.links) == maxLinks {
		return "", fmt.Errorf("open %s: %w", at, unix.ELOOP)
	}
	buf := make([]byte, maxPath+1)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", fmt.Errorf("read link %s: %w", at, err)
	}
	text := string(buf[:n])
	w.links = append(w.links, link{at, text})
	if strings.HasPrefix(text, "/") {
		w.names = nil
		w.drop(1)
	}
	return text, nil
}

func refuseProc(fd int, at string) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Errorf("statfs %s: %w", at, err)
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return fmt.Errorf("%s is on procfs, which shows the host's processes", at)
	}
	return nil
}

// inspect refuses what no bind may show and tells directories from files.
func inspect(fd int, at string) (dir bool, err error) {
	if err := refuseProc(fd, at); err != nil {
		return false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, fmt.Errorf("stat %s: %w", at, err)
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, nil
}

// suits checks that the file fd can serve as a bind of this kind: what the
// host itself forbids there would only show when the service runs.
func suits(fd int, kind Kind, source string) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)); err != nil {
		return fmt.Errorf("stat %s: %w", source, err)
	}
	char := st.Mode&unix.S_IFMT == unix.S_IFCHR
	block := st.Mode&unix.S_IFMT == unix.S_IFBLK
	switch {
	case kind == Device:
		want := Devices[source]
		if !char || unix.Major(st.Rdev) != want.Major || unix.Minor(st.Rdev) != want.Minor {
			return fmt.Errorf("%s is not the character device %d:%d", source, want.Major, want.Minor)
		}
		if fs.Flags&unix.ST_NODEV != 0 {
			return fmt.Errorf("%s: the host mounts it nodev: %w", source, unix.EACCES)
		}
	case char || block:
		return fmt.Errorf("%s is a device node", source)
	case kind == Exec && fs.Flags&unix.ST_NOEXEC != 0:
		return fmt.Errorf("%s: the host mounts it noexec: %w", source, unix.EACCES)
	case kind == Write && fs.Flags&unix.ST_RDONLY != 0:
		return fmt.Errorf("%s: the host mounts it read-only: %w", source, unix.EROFS)
	}
	return nil
}
