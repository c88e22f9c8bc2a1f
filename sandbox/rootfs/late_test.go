package rootfs

import (
	"errors"
	"testing"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// TestHungTree: while something of the host holds a tree up, others are built; so many may hang, and
// none is begun beyond. When they come
// back they end as any other, and leave no thread in a namespace.
func TestHungTree(t *testing.T) {
	needRoot(t)
	build(t, Tree{}, nil) // the thread is there
	before := len(namespaces(t))
	hold, built := make(chan struct{}), make(chan error, maxHung)
	late := func(want int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			trees.Lock() // held by who builds, until it is late
			hung := trees.hung
			trees.Unlock()
			if hung == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d trees are late, want %d", hung, want)
			}
		}
	}
	held := errors.New("held")
	hang := func(inside func() error) {
		panics.Go(func() error {
			ns, err := Build(Tree{}, inside)
			closeAll(ns)
			return err
		}, func(err error) { built <- err })
	}
	hang(func() error { <-hold; return held })
	late(1)
	build(t, Tree{Entries: []Entry{{Kind: ReadOnly, Path: "/etc"}}}, nil)
	trees.Lock()
	trees.hung += maxHung - 1
	trees.Unlock()
	build(t, Tree{}, nil) // on the thread that there is
	hang(func() error { <-hold; return nil })
	late(maxHung + 1)
	if ns, err := Build(Tree{}, nil); err == nil {
		unix.Close(ns)
		t.Errorf("a tree is built on one more thread than may hang")
	}
	close(hold)
	var got []error
	for range 2 {
		got = append(got, <-built)
	}
	if !errors.Is(errors.Join(got...), held) || got[0] != nil && got[1] != nil {
		t.Errorf("%v, want nil and %q", got, held)
	}
	trees.Lock()
	trees.hung -= maxHung - 1
	left := trees.hung
	trees.Unlock()
	if left != 0 {
		t.Errorf("%d trees still hang", left)
	}
	build(t, Tree{}, nil)
	for end := time.Now().Add(30 * time.Second); len(namespaces(t)) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("threads in namespaces %v", namespaces(t))
		}
	}
}
