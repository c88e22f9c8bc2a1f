package rootfs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// trees are made on one thread, one after another. A thread for each would have to be
// replaced by Go's runtime, which ends a process that gets no other: where services have
// taken the last task, loads would end their broker.
var trees struct {
	sync.Mutex
	jobs chan func(*thread) error // nil while there is no thread
	done chan outcome
	hung int // threads that were given up and have not come back
}

// patience is how long one tree may take before others are built on another thread, and
// maxHung how many may hang so.
const (
	patience = time.Second
	maxHung  = 16
)

// outcome answers one job. last says that the thread has ended with it, as it could not
// be put back where it was.
type outcome struct {
	err  error
	last bool
}

// onThread runs f there, in the host's mount namespace, which f may leave. Where f hangs, the
// next one gets another thread, and f's ends with it.
func onThread(f func(*thread) error) error {
	trees.Lock()
	defer trees.Unlock()
	switch {
	case trees.jobs != nil:
	case trees.hung >= maxHung:
		return fmt.Errorf("rootfs: not built while %d others hang on file systems that do not answer", maxHung)
	default:
		trees.jobs, trees.done = make(chan func(*thread) error), make(chan outcome, 1)
		begin(trees.jobs, trees.done, func() {})
	}
	done := trees.done
	trees.jobs <- f
	select {
	case o := <-done:
		if o.last {
			trees.jobs = nil
		}
		return o.err
	case <-time.After(patience):
	}
	close(trees.jobs)
	trees.jobs = nil
	trees.hung++
	trees.Unlock()
	o := <-done
	trees.Lock()
	trees.hung--
	return o.err
}

// begin starts the thread and calls begun on it. It is never the main one, which cannot
// end and stands for the process in /proc: that is held until there is another.
func begin(jobs <-chan func(*thread) error, done chan<- outcome, begun func()) {
	panics.Go(func() error {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			other := make(chan struct{})
			begin(jobs, done, func() { close(other) })
			<-other
			return nil
		}
		begun()
		return work(jobs, done)
	}, func(err error) {
		if err != nil {
			done <- outcome{err, true}
		}
	})
}

// work answers jobs until the thread cannot go on. It never returns nil.
func work(jobs <-chan func(*thread) error, done chan<- outcome) error {
	var t *thread
	defer func() { t.close() }()
	for f := range jobs {
		var err error
		if t == nil {
			if t, err = newThread(); err != nil {
				return fmt.Errorf("rootfs: %w", err)
			}
		}
		err = panics.Try(func() error { return f(t) })
		if back := t.home(); back != nil {
			return errors.Join(err, fmt.Errorf("rootfs: return to the host's tree: %w", back))
		}
		done <- outcome{err, false}
	}
	return errors.New("rootfs: no more trees are wanted")
}

// thread is what the thread holds. Its root, working directory and umask are its own.
type thread struct {
	self int // the host's /proc/self/task/TID/ns
	host int // the mount namespace it was started in
	root int // and its root there
	seed int // a namespace of nothing but an empty tmpfs, which each tree begins as a copy of
}

func (t *thread) close() {
	if t != nil {
		closeAll(t.self, t.host, t.root, t.seed)
	}
}

// newThread makes the seed. On an error the thread must end.
func newThread() (_ *thread, err error) {
	t := &thread{-1, -1, -1, -1}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	// Opened while there is a /proc: a tree may have none.
	self := fmt.Sprintf("/proc/self/task/%d/ns", unix.Gettid())
	if t.self, err = unix.Open(self, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open %s: %w", self, err)
	}
	if t.host, err = t.namespace(); err != nil {
		return nil, err
	}
	if t.root, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open /: %w", err)
	}
	// CLONE_NEWNS also gives the thread a root, working directory and umask of its own.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("unshare mount namespace: %w", err)
	}
	unix.Umask(0)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	b := &builder{thread: t, tmpfs: -1}
	defer b.close()
	if err := b.makeRoot(&Layout{}); err != nil {
		return nil, err
	}
	if err := b.pivot(); err != nil {
		return nil, err
	}
	if t.seed, err = b.finish(); err != nil {
		return nil, err
	}
	if err := t.home(); err != nil {
		return nil, err
	}
	return t, nil
}

// namespace opens the mount namespace that the thread is in, for setns(2).
func (t *thread) namespace() (int, error) {
	fd, err := unix.Openat(t.self, "mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open mount namespace", err)
}

// leave moves the thread into a new namespace, which holds the seed's tmpfs and nothing else.
func (t *thread) leave() error {
	if err := unix.Setns(t.seed, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("join the empty tree: %w", err)
	}
	return os.NewSyscallError("unshare mount namespace", unix.Unshare(unix.CLONE_NEWNS))
}

// home moves it back to where it was started.
func (t *thread) home() error {
	if err := unix.Setns(t.host, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Fchdir(t.root); err != nil {
		return err
	}
	return unix.Chroot(".")
}
