package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"casemate/sandbox/hostpath"

	"golang.org/x/sys/unix"
)

// Build makes the tree in a fresh mount namespace and returns that, as a descriptor for
// setns(2) (close-on-exec). inside, when not nil, runs in the finished tree
// with "/" as root and working directory, on the thread that is in the
// namespace; an error from it is Build's error. It must not start goroutines or
// processes that outlive it, nor keep the thread.
//
// The finished root is a tmpfs that is ro, nosuid, nodev, noexec, private, and
// no bigger than what is in it takes; the host's tree is not reachable from it.
// On an error nothing is left behind, and the descriptor is -1.
func Build(t Tree, inside func() error) (mnt int, err error) {
	if err := t.Check(); err != nil {
		return -1, err
	}
	mnt = -1
	err = onThread(func(on *thread) (err error) {
		b := &builder{thread: on, entries: t.Entries, writable: slices.Clone(t.Writable), paths: t.Map, tmpfs: -1}
		defer b.close()
		if mnt, err = b.build(); err != nil || inside == nil {
			return err
		}
		return inside()
	})
	if err != nil {
		closeAll(mnt) // inside has failed, or the thread could not go back
		return -1, err
	}
	return mnt, nil
}

// builder is one Build, on its thread. Its descriptors end with it.
type builder struct {
	*thread
	entries  []Entry
	writable []hostpath.ID
	paths    hostpath.Map
	sources  []int // clones of the mounts there, one for each entry, -1 for those that are no binds
	files    []*hostpath.File
	tmpfs    int // the root of the tree
}

func (b *builder) close() { closeAll(append(b.sources, b.tmpfs)...) }

func closeAll(fds ...int) {
	for _, fd := range fds {
		unix.Close(fd) // -1 is none
	}
}

func (b *builder) build() (int, error) {
	if err := b.resolve(); err != nil {
		return -1, err
	}
	if err := b.leave(); err != nil {
		return -1, fmt.Errorf("rootfs: %w", err)
	}
	l, err := Lay(b.entries, b.files)
	if err != nil {
		return -1, err
	}
	if err := b.makeRoot(l); err != nil {
		return -1, fmt.Errorf("rootfs: %w", err)
	}
	for _, m := range l.binds() {
		if err := b.bind(m); err != nil {
			return -1, &EntryError{m.kind, m.path, err}
		}
	}
	mnt, err := b.finish()
	return mnt, os.NewSyscallError("rootfs", err)
}

// finish makes the tree read-only, enters it, and opens its namespace.
func (b *builder) finish() (int, error) {
	if err := b.freeze(); err != nil {
		return -1, err
	}
	mnt, err := b.namespace()
	if err == nil {
		err = b.verify(mnt)
	}
	if err != nil {
		closeAll(mnt)
		return -1, err
	}
	return mnt, nil
}

// verify enters the finished tree, and proves that whoever joins the namespace finds it at
// "/". Joining leads to what lies uppermost at the root of the namespace. Where this process
// is in a chroot(2), its own root is another, and what joins would be on the host.
func (b *builder) verify(mnt int) error {
	if err := unix.Setns(mnt, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("join the finished tree: %w", err)
	}
	var got, want unix.Stat_t
	if err := errors.Join(unix.Stat("/", &got), unix.Fstat(b.tmpfs, &want)); err != nil {
		return fmt.Errorf("stat the finished tree: %w", err)
	}
	if got.Dev != want.Dev || got.Ino != want.Ino {
		return errors.New("this process is in a chroot, which a sandbox cannot be built in: start it outside, or make its root that of a mount namespace (pivot_root)")
	}
	return nil
}
