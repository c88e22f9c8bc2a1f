package rootfs

import (
	"errors"
	"testing"
	"time"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// TestHungTree: a tree that something of the host holds up is told of as late, and others
// are built meanwhile; so many may hang, and none is begun beyond. When they come
// back they end as any other, and leave no thread in a namespace.
func TestHungTree(t *testing.T) {
	needRoot(t)
	build(t, Tree{}, nil) // the thread is there
	before := len(namespaces(t))
	hold, late, built := make(chan struct{}), make(chan struct{}, maxHung), make(chan error, maxHung)
	held := errors.New("held")
	hang := func(inside func() error) {
		panics.Go(func() error {
			ns, err := Build(Tree{Late: func() { late <- struct{}{} }}, inside)
			closeAll(ns)
			return err
		}, func(err error) { built <- err })
	}
	began := time.Now()
	hang(func() error { <-hold; return held })
	<-late
	if took := time.Since(began); took < Patience {
		t.Errorf("late after %s", took)
	}
	build(t, Tree{Entries: []Entry{{Kind: ReadOnly, Path: "/etc"}}}, nil)
	trees.Lock()
	trees.hung += maxHung - 1
	trees.Unlock()
	build(t, Tree{}, nil) // on the thread that there is
	hang(func() error { <-hold; return nil })
	<-late
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
