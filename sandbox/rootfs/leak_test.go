package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what Build must not add to.
type usage struct{ mounts, fds, threads int }

func used(t *testing.T) usage {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	count := func(dir string) int {
		d, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	return usage{strings.Count(string(text), "\n"), count("/proc/self/fd"), count("/proc/self/task")}
}

// namespaces lists the mount namespaces the threads of this process are in.
func namespaces(t *testing.T) map[string]bool {
	t.Helper()
	all, err := filepath.Glob("/proc/self/task/*/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]bool{}
	for _, p := range all {
		if id, err := os.Readlink(p); err == nil { // a thread may end meanwhile
			in[id] = true
		}
	}
	return in
}

// Two hundred trees, some of them failing half-way, must leave no mount, no
// descriptor and no thread in a namespace of its own.
func TestBuildLeavesNothing(t *testing.T) {
	needRoot(t)
	tree := Tree{Entries: append(connection(), Entry{Kind: Exec, Path: "/usr"}, Entry{Kind: Exec, Path: "/bin"}, Entry{Kind: ReadOnly, Path: "/etc/ssl"})}
	broken := Tree{Entries: append([]Entry{{Kind: ReadOnly, Path: "/nowhere/at/all"}}, tree.Entries...)}
	late := Tree{Entries: append([]Entry{{Kind: Dir, Path: "/usr/nothing-can-be-made-here"}}, tree.Entries...)}
	once := func(tree Tree, inside func() error, fails bool) {
		ns, err := Build(tree, inside)
		if (err != nil) != fails {
			t.Fatal(err)
		}
		if ns >= 0 {
			if err := unix.Close(ns); err != nil {
				t.Fatal(err)
			}
		}
	}
	once(tree, nil, false)
	before := used(t)
	for range 200 {
		once(tree, nil, false)
	}
	for range 20 {
		once(broken, nil, true)
		once(late, nil, true)
		once(tree, func() error { return errors.New("no") }, true)
		once(tree, func() error { runtime.Goexit(); return nil }, true)
	}
	// A thread ends a moment after its goroutine. The runtime may keep a few
	// more of its own, but none in another namespace.
	deadline := time.Now().Add(30 * time.Second)
	for len(namespaces(t)) > 1 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if in := namespaces(t); len(in) > 1 {
		t.Errorf("threads are left in mount namespaces %v", in)
	}
	after := used(t)
	if after.mounts != before.mounts || after.fds > before.fds || after.threads > before.threads+8 {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// Trees are all made on one thread, which is never the main one and ends only when it
// cannot be put back.
func TestTreesHaveOneThread(t *testing.T) {
	needRoot(t)
	for range 20 {
		first := 0
		for range 10 {
			id := 0
			if err := onThread(func(on *thread) error { id = unix.Gettid(); return on.leave() }); err != nil {
				t.Fatal(err)
			}
			if id == os.Getpid() || first != 0 && id != first {
				t.Fatalf("thread %d after %d, the main one is %d", id, first, os.Getpid())
			}
			first = id
		}
		lost := errors.New("lost")
		err := onThread(func(on *thread) error { unix.Close(on.host); on.host = -1; return lost })
		if !errors.Is(err, lost) || !errors.Is(err, unix.EBADF) {
			t.Fatalf("a thread that cannot go back: %v", err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	needRoot(b)
	tree := Tree{Entries: append(connection(), Entry{Kind: Exec, Path: "/bin/sh"}, Entry{Kind: Exec, Path: "/usr/lib/x86_64-linux-gnu"}, Entry{Kind: Exec, Path: "/lib64"})}
	for b.Loop() {
		ns, err := Build(tree, nil)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(ns)
	}
}
