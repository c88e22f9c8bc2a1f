package rootfs

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"casemate/sandbox/hostpath"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// Build makes the tree in a fresh mount namespace and returns that, as a descriptor for
// setns(2) (close-on-exec). inside, when not nil, runs in the finished tree
// with "/" as root and working directory, on the thread that is in the
// namespace; an error from it is Build's error. It must not start goroutines or
// processes that outlive it, nor keep the thread.
//
// The finished root is a tmpfs that is ro, nosuid, nodev, noexec, private, and
// just big enough for what is in it; the host's tree is not reachable from it.
// On an error nothing is left behind, and the descriptor is -1.
func Build(t Tree, inside func() error) (mnt int, err error) {
	if err := t.Check(); err != nil {
		return -1, err
	}
	mnt = -1
	err = onThrowAwayThread(func() (err error) {
		b := &builder{entries: t.Entries, writable: slices.Clone(t.Writable), root: -1, self: -1}
		defer b.close()
		mnt, err = b.build(inside)
		return err
	})
	return mnt, err
}

// onThrowAwayThread runs f on a thread that ends with it: a goroutine that
// returns while locked takes its thread along. The main thread cannot end (the
// runtime parks it for good, in whatever namespaces it is in), so f never gets it.
func onThrowAwayThread(f func() error) error {
	done := make(chan error, 1)
	panics.Go(func() error {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			return f()
		}
		defer runtime.UnlockOSThread()
		return onThrowAwayThread(f) // the main thread stays ours until f has run on another one
	}, func(err error) { done <- err })
	return <-done
}

// builder is one Build, on its thread. Its descriptors end with it.
type builder struct {
	entries  []Entry
	writable []hostpath.ID
	self     int   // the host's /proc/self/task/TID/ns
	sources  []int // clones of the mounts there, one for each entry, -1 for those that are no binds
	hosts    []found
	root     int // the root tmpfs
}

func (b *builder) close() {
	for _, fd := range append(b.sources, b.root, b.self) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (b *builder) build(inside func() error) (int, error) {
	if err := b.resolve(); err != nil {
		return -1, err
	}
	if err := b.leave(); err != nil {
		return -1, fmt.Errorf("rootfs: %w", err)
	}
	l, err := plan(b.entries, b.hosts)
	if err != nil {
		return -1, err
	}
	if err := b.makeRoot(l); err != nil {
		return -1, fmt.Errorf("rootfs: %w", err)
	}
	for _, m := range l.binds() {
		if err := b.bind(m); err != nil {
			return -1, fmt.Errorf("rootfs: %s %s: %w", m.kind, m.path, err)
		}
	}
	if err := b.enter(); err != nil {
		return -1, fmt.Errorf("rootfs: %w", err)
	}
	mnt, err := unix.Openat(b.self, "mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("rootfs: open mount namespace: %w", err)
	}
	done := false
	defer func() {
		if !done { // also when inside calls runtime.Goexit
			unix.Close(mnt)
		}
	}()
	if err := b.verify(mnt); err != nil {
		return -1, fmt.Errorf("rootfs: %w", err)
	}
	if inside != nil {
		if err := inside(); err != nil {
			return -1, err
		}
	}
	done = true
	return mnt, nil
}

// verify proves that whoever joins the namespace finds the tree at "/". Joining
// leads to the root of the namespace, pivot_root(2) has replaced the root of
// this process: in a chroot(2) these are two, and what joins would be on the host.
func (b *builder) verify(mnt int) error {
	if err := unix.Setns(mnt, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("join the finished tree: %w", err)
	}
	var got, want unix.Stat_t
	if err := unix.Stat("/", &got); err != nil {
		return fmt.Errorf("stat the finished tree: %w", err)
	}
	if err := unix.Fstat(b.root, &want); err != nil {
		return fmt.Errorf("stat the finished tree: %w", err)
	}
	if got.Dev != want.Dev || got.Ino != want.Ino {
		return errors.New("this process is in a chroot, which a sandbox cannot be built in: start it outside, or make its root that of a mount namespace (pivot_root)")
	}
	return nil
}

// leave moves the thread into a new mount namespace, whose mounts no longer
// propagate to or from the host's.
func (b *builder) leave() (err error) {
	// Opened while there is a /proc: the new tree may have none.
	self := fmt.Sprintf("/proc/self/task/%d/ns", unix.Gettid())
	if b.self, err = unix.Open(self, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open %s: %w", self, err)
	}
	// CLONE_NEWNS also gives the thread a root, working directory and umask of its own.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	unix.Umask(0)
	return nil
}
