package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox/panics"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// needRoot skips where there is no right to make mount namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	need.Root(t, "it makes mount namespaces")
}

// build builds a tree and closes it with the test.
func build(t testing.TB, tree Tree, inside func() error) int {
	t.Helper()
	needRoot(t)
	ns, err := Build(tree, inside)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ns) })
	return ns
}

// within runs f on a thread that has joined the mount namespace.
func within(t testing.TB, ns int, f func() error) error {
	t.Helper()
	done := make(chan error)
	panics.Go(func() error {
		aside() // for good
		if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Setns(ns, unix.CLONE_NEWNS)); err != nil {
			return err
		}
		return f()
	}, func(err error) { done <- err })
	return <-done
}

// aside locks the goroutine to a thread that is not the main one, which cannot end.
func aside() {
	for runtime.LockOSThread(); unix.Gettid() == unix.Getpid(); runtime.LockOSThread() {
		runtime.UnlockOSThread()
		time.Sleep(time.Millisecond)
	}
}

// run starts a program inside and returns what it wrote and its exit status.
func run(t testing.TB, ns int, argv ...string) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var status syscall.WaitStatus
	err = within(t, ns, func() error {
		defer w.Close()
		pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Dir: "/", Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, Files: []uintptr{^uintptr(0), w.Fd(), w.Fd()}})
		if err != nil {
			return fmt.Errorf("exec %s: %w", argv[0], err)
		}
		_, err = syscall.Wait4(pid, &status, 0, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return out.String(), status.ExitStatus()
}

// mountinfo reads /proc/thread-self/mountinfo through a descriptor of the
// host's /proc, from inside.
func mountinfo(t testing.TB, tree Tree) []string {
	t.Helper()
	proc, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Close()
	var text []byte
	build(t, tree, func() error {
		fd, err := unix.Openat(int(proc.Fd()), "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "mountinfo")
		defer f.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(f)
		text = b.Bytes()
		return err
	})
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// program is a tree in which the given programs of the host run.
func program(t testing.TB, names ...string) []Entry {
	t.Helper()
	libs, err := filepath.Glob("/lib*/ld-linux*")
	if err != nil {
		t.Fatal(err)
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	libs = append(libs, "/usr/lib/"+arch+"-linux-gnu", "/lib/"+arch+"-linux-gnu")
	var entries []Entry
	for _, p := range append(libs, names...) {
		entries = append(entries, Entry{Kind: Exec, Path: p})
	}
	return entries
}
