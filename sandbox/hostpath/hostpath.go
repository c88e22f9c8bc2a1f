// Package hostpath resolves paths of the host for the privileged process: one
// name at a time, so that whoever is not root has had no say in where a path
// leads, and what it led to is held by descriptor and never looked up again.
package hostpath

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of paths: path_resolution(7), and PATH_MAX of limits.h without its NUL.
const (
	MaxLinks = 40
	MaxPath  = 4095
)

// ID identifies a file as long as somebody holds it.
type ID struct{ Dev, Ino uint64 }

// Link is a symbolic link met on the way: its real path and its text.
type Link struct{ Path, Text string }

// File is what a path led to.
type File struct {
	FD    int    // O_PATH: what may be done with it was not asked yet
	Real  string // the path without links
	Host  string // where the host has it: Real, but for a Map
	Links []Link
	Stat  unix.Stat_t // as it was when it was reached

	// Through are the directories in which a name was looked up.
	Through []Place
}

// Place is a directory on the way.
type Place struct {
	Path string
	ID   ID
}

func id(st *unix.Stat_t) ID { return ID{st.Dev, st.Ino} }

// ID is the file's identity.
func (f *File) ID() ID { return id(&f.Stat) }

// IsDir reports whether f is a directory.
func (f *File) IsDir() bool { return f.Stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// Close lets go of the file.
func (f *File) Close() error { return unix.Close(f.FD) }

// Below returns the first directory on the way to f that is in trees: who may write there had a say in where the path led.
func (f *File) Below(trees []ID) (dir string, ok bool) {
	i := slices.IndexFunc(f.Through, func(p Place) bool { return slices.Contains(trees, p.ID) })
	if i < 0 {
		return "", false
	}
	return f.Through[i].Path, true
}

// Reopen opens the very file that f is, with the flags and close-on-exec.
func (f *File) Reopen(flags int) (int, error) {
	// openat2(2) has no empty path before Linux 6.x; the magic link leads to the file held, whatever its names.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", f.FD), flags|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open "+f.Host, err)
}

// Map is a tree of names that is the host's but for its keys, each of which is what the
// host has at the path that is its value. Keys and values are absolute and clean.
type Map map[string]string

// Source is where the host has p, as far as names tell it.
func (m Map) Source(p string) string {
	for at := p; ; at = path.Dir(at) {
		if source, ok := m[at]; ok {
			return path.Join(source, p[len(at):])
		}
		if at == "/" || at == "." {
			return p
		}
	}
}

// Open resolves p, which is absolute, from the root directory. It follows no
// magic link, and fails with an *UnsafeError where somebody other than root
// could have chosen what comes next, and with a *SilentError as Ask does. The caller closes the file.
func Open(p string) (*File, error) { return Map(nil).Open(p) }

// Open resolves p as package Open does, with links that lead from name to name of m: those of a
// source do not lead out of what m shows. Real and Links are names of m.
func (m Map) Open(p string) (*File, error) {
	if _, err := Ask(m.Source(p)); errors.As(err, new(*SilentError)) {
		return nil, err
	}
	w := &walker{m: m}
	defer w.drop(0)
	if err := w.root(); err != nil {
		return nil, err
	}
	for todo := p; todo != ""; {
		name, rest, _ := strings.Cut(todo, "/")
		text, err := w.enter(name)
		if err != nil {
			return nil, err
		}
		if todo = rest; text != "" {
			todo = text + "/" + rest
		}
	}
	last := w.top()
	if last.fd < 0 {
		return nil, fmt.Errorf("open %s: %w", last.host, unix.ENOENT)
	}
	f := &File{FD: last.fd, Real: w.path(), Host: last.host, Links: w.links, Stat: last.stat, Through: w.through}
	w.at = w.at[:len(w.at)-1]
	return f, nil
}

// walker goes from "/" to a path, holding each directory on the way.
type walker struct {
	m       Map
	at      []step // from "/" down; all but the last are directories
	links   []Link
	through []Place
}

type step struct {
	fd   int // -1 for a directory that only leads to a key of the map
	name string
	host string // where the host has it
	stat unix.Stat_t
}

func (w *walker) top() *step { return &w.at[len(w.at)-1] }

func (w *walker) path() string {
	p := "/"
	for _, s := range w.at[1:] {
		p = path.Join(p, s.name)
	}
	return p
}

// drop closes all but the first n steps.
func (w *walker) drop(n int) {
	for _, s := range w.at[n:] {
		unix.Close(s.fd)
	}
	w.at = w.at[:n]
}

// root begins at "/".
func (w *walker) root() error {
	if source, ok := w.m["/"]; ok {
		return w.turn("", source)
	}
	s := step{host: "/"}
	var err error
	if s.fd, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open /: %w", err)
	}
	if err := unix.Fstat(s.fd, &s.stat); err != nil {
		unix.Close(s.fd)
		return fmt.Errorf("stat /: %w", err)
	}
	w.at = append(w.at, s)
	return nil
}

// turn goes on in what the host has at source, in place of a name of the map.
func (w *walker) turn(name, source string) error {
	f, err := Open(source)
	if err != nil {
		return err
	}
	if f.Real == "/" {
		f.Close()
		return fmt.Errorf("%s leads to the root directory, which is too much", source)
	}
	w.through = append(w.through, f.Through...)
	w.at = append(w.at, step{f.FD, name, f.Real, f.Stat})
	return nil
}

// leads tells whether at is a directory on the way to a key of the map.
func (w *walker) leads(at string) bool {
	for key := range w.m {
		if strings.HasPrefix(key, at+"/") {
			return true
		}
	}
	return false
}

// enter goes one name further. For a link it stays and returns the text.
func (w *walker) enter(name string) (string, error) {
	switch name {
	case "", ".":
		return "", nil
	case "..":
		w.drop(max(len(w.at)-1, 1))
		return "", nil
	}
	dir := w.top()
	next := step{name: name, host: path.Join(dir.host, name)}
	key, at := path.Join(w.path(), name), next.host
	if source, ok := w.m[key]; ok {
		return "", w.turn(name, source)
	}
	var err error
	if next.fd, err = unix.Openat(dir.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		if (err == unix.ENOENT || dir.fd < 0) && w.leads(key) {
			next.fd, next.stat.Mode = -1, unix.S_IFDIR
			w.at = append(w.at, next)
			return "", nil
		}
		if dir.fd < 0 {
			err = unix.ENOENT
		}
		return "", fmt.Errorf("open %s: %w", at, err)
	}
	if err = os.NewSyscallError("stat "+at, unix.Fstat(next.fd, &next.stat)); err == nil {
		err = judge(dir.host, dir, at, &next.stat)
	}
	if err != nil {
		unix.Close(next.fd)
		return "", err
	}
	w.through = append(w.through, Place{dir.host, id(&dir.stat)})
	if next.stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		w.at = append(w.at, next)
		return "", nil
	}
	defer unix.Close(next.fd)
	return w.follow(next.fd, key, at)
}

// follow reads the link fd, called name and found at path at of the host, and notes it.
func (w *walker) follow(fd int, name, at string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", fmt.Errorf("statfs %s: %w", at, err)
	}
	if fs.Type == unix.PROC_SUPER_MAGIC { // a magic link there, whose text is not where it leads
		return "", fmt.Errorf("%s is on procfs, which shows the host's processes", at)
	}
	if len(w.links) == MaxLinks {
		return "", fmt.Errorf("open %s: %w", at, unix.ELOOP)
	}
	buf := make([]byte, MaxPath+1)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", fmt.Errorf("read link %s: %w", at, err)
	}
	text := string(buf[:n])
	w.links = append(w.links, Link{name, text})
	if strings.HasPrefix(text, "/") {
		w.drop(1)
	}
	return text, nil
}

// Make is Open of a directory, which is made (root's, 0755) with those above it
// that do not exist.
func Make(dir string) (*File, error) {
	f, err := Open(dir)
	if !errors.Is(err, unix.ENOENT) {
		return f, err
	}
	up, err := Make(path.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer up.Close()
	if err := up.Private(); err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(up.FD, path.Base(dir), 0o755); err != nil && err != unix.EEXIST {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	return Open(dir)
}

// Keep is Create, by root alone, in a directory that is made where there is none.
func Keep(p string, flags int) (*os.File, error) {
	dir, err := Make(path.Dir(p))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Create(path.Base(p), flags, 0o600)
}

// Create opens the file called name in the directory f, and makes a regular one
// where there is none. It is root's: no link, no second name. A pipe and a
// character device pass; a pipe that nobody reads is an error.
func (f *File) Create(name string, flags int, mode uint32) (*os.File, error) {
	at := path.Join(f.Real, name)
	if err := f.Private(); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(f.FD, name, flags|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	var st unix.Stat_t
	err = errors.Join(unix.Fstat(fd, &st), unix.SetNonblock(fd, false)) // only opening must not wait
	kind := st.Mode & unix.S_IFMT
	switch {
	case err != nil:
		err = fmt.Errorf("open %s: %w", at, err)
	case !trusted(st.Uid):
		err = &UnsafeError{at, fmt.Sprintf("belongs to uid %d", st.Uid), "remove it, or run chown root " + at}
	case kind != unix.S_IFREG && kind != unix.S_IFIFO && kind != unix.S_IFCHR, kind == unix.S_IFREG && st.Nlink > 1:
		err = &UnsafeError{at, fmt.Sprintf("is not a plain file of one name (mode %o, %d names)", st.Mode, st.Nlink), "remove it, or name another path"}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), at), nil
}
