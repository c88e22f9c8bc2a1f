package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// rootAttrs are the mount flags of the root tmpfs itself; binds have their own.
const rootAttrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// Attrs are the flags each kind of bind adds to those the host has.
var Attrs = map[Kind]uint64{
	ReadOnly: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
	Exec:     unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV,
	Write:    unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSYMFOLLOW,
	Device:   unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC,
	Proc:     unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
}

// newMount mounts a new instance of a file system, detached, with options of which a flag has no value.
func newMount(kind string, attrs int, options ...[2]string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", kind, err)
	}
	defer unix.Close(fs)
	for _, o := range options {
		if o[1] == "" {
			err = unix.FsconfigSetFlag(fs, o[0])
		} else {
			err = unix.FsconfigSetString(fs, o[0], o[1])
		}
		if err != nil {
			return -1, fmt.Errorf("set %s %s: %w", kind, o[0], err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("create %s: %w", kind, err)
	}
	tree, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attrs)
	return tree, os.NewSyscallError("mount "+kind, err)
}

// restrict sets flags on the mounts of a clone. Before Linux 5.14 there was no
// nosymfollow, and what such a kernel does not know is EINVAL.
func restrict(tree int, attrs uint64) error {
	attr := unix.MountAttr{Attr_set: attrs, Propagation: unix.MS_PRIVATE}
	err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	if err == unix.EINVAL && attrs&unix.MOUNT_ATTR_NOSYMFOLLOW != 0 {
		attr.Attr_set &^= unix.MOUNT_ATTR_NOSYMFOLLOW
		err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr)
	}
	return err
}

// makeRoot fills a tmpfs and mounts it over "/". Lookups still start in what is below.
func (b *builder) makeRoot(l *Layout) (err error) {
	size, inodes := l.size()
	if b.tmpfs, err = newMount("tmpfs", rootAttrs, [2]string{"source", "casemate"}, [2]string{"mode", "0755"},
		[2]string{"size", fmt.Sprint(size)}, [2]string{"nr_inodes", fmt.Sprint(inodes)}); err != nil {
		return err
	}
	for _, p := range l.order() {
		if err := b.create(p, l.nodes[p]); err != nil {
			return fmt.Errorf("create %s %s: %w", l.nodes[p].kind, p, err)
		}
	}
	return os.NewSyscallError("attach tmpfs", unix.MoveMount(b.tmpfs, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// create makes one node; nobody else can see the tmpfs yet.
func (b *builder) create(p string, n node) error {
	switch n.kind {
	case Dir:
		return unix.Mkdirat(b.tmpfs, p[1:], n.mode)
	case Symlink:
		return unix.Symlinkat(n.text, b.tmpfs, p[1:])
	}
	return unix.Mknodat(b.tmpfs, p[1:], unix.S_IFREG|n.mode, 0)
}

// bind restricts the clone of a source and attaches it. Restrictions are in
// place before anything inside can be reached.
func (b *builder) bind(m mount) error {
	tree := b.sources[m.entry]
	if err := restrict(tree, Attrs[m.kind]); err != nil {
		return fmt.Errorf("restrict %s: %w", m.path, err)
	}
	// The point is on the tmpfs, where all links are known, or in a bind at a
	// path that had none a moment ago: a link now is somebody's game.
	at, err := unix.Openat2(b.tmpfs, m.path[1:], &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return fmt.Errorf("open mount point: %w", err)
	}
	defer unix.Close(at)
	if err := unix.MoveMount(tree, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		var st unix.Stat_t
		if err == unix.ENOENT && unix.Fstat(tree, &st) == nil && st.Nlink == 0 { // what has no name is not mounted
			return fmt.Errorf("%s was removed or replaced while it was looked at: load the policy again", m.path)
		}
		return fmt.Errorf("attach: %w", err)
	}
	return nil
}

// pivot makes the tmpfs the root and lets go of the old tree.
func (b *builder) pivot() error {
	if err := unix.Fchdir(b.tmpfs); err != nil {
		return fmt.Errorf("enter the new root: %w", err)
	}
	// pivot_root(2), NOTES: with both names ".", the old root ends up on top of
	// the new one, and unmounting "." takes it off again.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	return os.NewSyscallError("detach the old root", unix.Unmount(".", unix.MNT_DETACH))
}

// freeze closes the tmpfs for writing: the mount, and the file system under it, so that
// clearing the mount's flag in a copy of the namespace would not bring writing back.
func (b *builder) freeze() error {
	attr := unix.MountAttr{Attr_set: rootAttrs | unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(b.tmpfs, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	fs, err := unix.Fspick(b.tmpfs, "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return fmt.Errorf("pick the root's tmpfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetFlag(fs, "ro"); err != nil {
		return fmt.Errorf("set tmpfs ro: %w", err)
	}
	return os.NewSyscallError("make the root's tmpfs read-only", unix.FsconfigReconfigure(fs))
}
