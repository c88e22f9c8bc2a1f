package rootfs

import (
	"errors"
	"fmt"

	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// resolve opens the source of every bind and clones the mounts there. It runs
// before the thread leaves the host's namespace, as only mounts of the caller's
// own namespace can be cloned (open_tree(2)): what was opened, and checked, by
// another thread is then what is bound, and no path is looked up twice.
func (b *builder) resolve() error {
	b.hosts = make([]found, len(b.entries))
	files := make([]*hostpath.File, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		b.sources = append(b.sources, -1)
		if !e.Kind.bind() {
			continue
		}
		if e.Kind == Proc {
			tree, err := procfs()
			if err != nil {
				return fmt.Errorf("rootfs: %w", err)
			}
			b.sources[i], b.hosts[i] = tree, found{real: e.Path, dir: true}
			continue
		}
		f, err := e.open()
		if err == nil {
			b.sources[i], err = clone(f)
		}
		if f != nil && f != e.Held {
			f.Close()
		}
		if err != nil {
			return fmt.Errorf("rootfs: %s %s: %w", e.Kind, e.Path, err)
		}
		files[i], b.hosts[i] = f, found{real: f.Real, dir: f.IsDir(), links: f.Links}
		if e.Kind == Write {
			b.writable = append(b.writable, f.ID())
		}
	}
	return b.apart(files)
}

// open resolves the source of e, or takes what is held, and checks it. The
// caller closes what is opened, also with an error.
func (e *Entry) open() (f *hostpath.File, err error) {
	if f = e.Held; f == nil {
		if f, err = hostpath.Open(e.Path); err != nil {
			return nil, err
		}
	}
	if f.Real == "/" {
		return f, errors.New("leads to the root directory, which is too much")
	}
	return f, suits(f, e.Kind, e.Path)
}

// apart refuses sources that lie in what a service may write: it could have put
// there what it wants to be shown, or shown to another service.
//
// The files are closed by now: their clones keep the mounts and what they show.
func (b *builder) apart(files []*hostpath.File) error {
	for i, f := range files {
		if f == nil {
			continue
		}
		if dir, ok := f.Below(b.writable); ok {
			e := &b.entries[i]
			return fmt.Errorf("rootfs: %s %s: %w", e.Kind, e.Path, &hostpath.UnsafeError{
				Path: f.Real, Reason: fmt.Sprintf("lies in %s, which a service of the policy may write, and so put something else there", dir),
				Next: fmt.Sprintf("name %s as a whole, or move what is read out of it", dir)})
		}
	}
	return nil
}

// clone copies the mounts at f, detached.
func clone(f *hostpath.File) (int, error) {
	var recursive uint
	if f.IsDir() {
		recursive = unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(f.FD, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if err != nil {
		return -1, fmt.Errorf("clone %s: %w", f.Real, err)
	}
	return tree, nil
}

// suits checks that f can serve as a bind of this kind: what no bind may show,
// and what the host itself forbids there, would only show when the service runs.
func suits(f *hostpath.File, kind Kind, source string) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(f.FD, &fs); err != nil {
		return fmt.Errorf("statfs %s: %w", source, err)
	}
	char := f.Stat.Mode&unix.S_IFMT == unix.S_IFCHR
	block := f.Stat.Mode&unix.S_IFMT == unix.S_IFBLK
	switch {
	case fs.Type == unix.PROC_SUPER_MAGIC:
		return fmt.Errorf("%s is on procfs, which shows the host's processes", f.Real)
	case kind == Device:
		if fs.Flags&unix.ST_NODEV != 0 {
			return fmt.Errorf("%s: the host mounts it nodev: %w", source, unix.EACCES)
		}
		return device(source, &f.Stat)
	case char || block:
		return fmt.Errorf("%s is a device node", source)
	case kind == Exec && fs.Flags&unix.ST_NOEXEC != 0:
		return fmt.Errorf("%s: the host mounts it noexec: %w", source, unix.EACCES)
	case kind == Write && fs.Flags&unix.ST_RDONLY != 0:
		return fmt.Errorf("%s: the host mounts it read-only: %w", source, unix.EROFS)
	}
	return nil
}
