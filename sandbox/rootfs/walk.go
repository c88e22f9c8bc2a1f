package rootfs

import (
	"errors"
	"fmt"
	"os"

	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// resolve opens the source of every bind and clones the mounts there. It runs
// before the thread leaves the host's namespace, as only mounts of the caller's
// own namespace can be cloned (open_tree(2)): what was opened, and checked, by
// another thread is then what is bound, and no path is looked up twice.
func (b *builder) resolve() error {
	b.files = make([]*hostpath.File, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		b.sources = append(b.sources, -1)
		if !e.Kind.Bind() {
			continue
		}
		f, err := e.Open(b.paths)
		if err == nil {
			b.sources[i], err = clone(f)
		}
		if f != nil && f != e.Held && e.Kind != Proc {
			f.Close()
		}
		if err != nil {
			return &EntryError{e.Kind, e.Path, err}
		}
		b.files[i] = f
		if e.Kind == Write {
			b.writable = append(b.writable, f.ID())
		}
	}
	return Apart(b.entries, b.files, b.writable)
}

// Open resolves the source of e, a bind, in the names of m, or takes what is held, and checks it. The
// caller closes what is opened, also with an error; for Proc nothing is.
func (e *Entry) Open(m hostpath.Map) (f *hostpath.File, err error) {
	if e.Kind == Proc {
		return &hostpath.File{FD: -1, Real: e.Path, Stat: unix.Stat_t{Mode: unix.S_IFDIR}}, nil
	}
	if e.Kind == Device {
		m = nil // the host's, under its own name
	}
	if f = e.Held; f == nil {
		if f, err = m.Open(e.Path); err != nil {
			return nil, err
		}
	}
	if f.Real == "/" {
		return f, errors.New("leads to the root directory, which is too much")
	}
	return f, suits(f, e.Kind, e.Path)
}

// Apart refuses sources that lie in what a service may write: it could have put
// there what it wants to be shown, or shown to another service.
//
// The files may be closed by now: their clones keep the mounts and what they show.
func Apart(entries []Entry, files []*hostpath.File, writable []hostpath.ID) error {
	for i, f := range files {
		if f == nil {
			continue
		}
		if dir, ok := f.Below(writable); ok {
			return &EntryError{entries[i].Kind, entries[i].Path, &hostpath.UnsafeError{
				Path: f.Host, Reason: fmt.Sprintf("lies in %s, which a service of the policy may write, and so put something else there", dir),
				Next: fmt.Sprintf("name %s as a whole, or move what is read out of it", dir)}}
		}
	}
	return nil
}

// clone copies the mounts at f, detached, or makes the procfs that stands for itself.
func clone(f *hostpath.File) (int, error) {
	if f.FD < 0 {
		return newMount("proc", int(Attrs[Proc]), [2]string{"ro"}) // the host's own may hide processes
	}
	tree, err := unix.OpenTree(f.FD, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	return tree, os.NewSyscallError("clone "+f.Host, err)
}

// suits checks that f can serve as a bind of this kind: what no bind may show,
// and what the host itself forbids there, would only show when the service runs.
func suits(f *hostpath.File, kind Kind, source string) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(f.FD, &fs); err != nil {
		return fmt.Errorf("statfs %s: %w", source, err)
	}
	switch form := f.Stat.Mode & unix.S_IFMT; {
	case fs.Type == unix.PROC_SUPER_MAGIC:
		return fmt.Errorf("%s is on procfs, which shows the host's processes", f.Host)
	case kind == Device:
		if fs.Flags&unix.ST_NODEV != 0 {
			return fmt.Errorf("%s: the host mounts it nodev: %w", source, unix.EACCES)
		}
		return device(source, &f.Stat)
	case form == unix.S_IFCHR, form == unix.S_IFBLK:
		return fmt.Errorf("%s is a device node", source)
	case kind == Exec && fs.Flags&unix.ST_NOEXEC != 0:
		return fmt.Errorf("%s: the host mounts it noexec: %w", source, unix.EACCES)
	case kind == Write && fs.Flags&unix.ST_RDONLY != 0:
		return fmt.Errorf("%s: the host mounts it read-only: %w", source, unix.EROFS)
	}
	return nil
}
