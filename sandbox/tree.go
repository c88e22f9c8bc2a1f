package sandbox

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/landlock"
	"casemate/sandbox/panics"
	"casemate/sandbox/rootfs"

	"golang.org/x/sys/unix"
)

// tree is a root tree with what was resolved for it. Nothing in it can be changed, so
// sandboxes for which all of it would be the same share one.
type tree struct {
	made  sync.Once
	err   error
	users atomic.Int32 // the last one closes it

	mnt, ruleset int // its namespace, and the Landlock ruleset made inside, -1 for none
	program      int // the verified program
	byFD         bool
}

// Trees are the trees of sandboxes that are prepared together, on the host as it is then.
// Its methods may be called by several at once.
type Trees struct {
	mu    sync.Mutex
	known map[string]*tree
}

// Close ends the sharing. The sandboxes keep what they have.
func (ts *Trees) Close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.known {
		t.leave()
	}
	ts.known = nil
}

// patience is how long a tree may take, behind others that hang too.
const patience = 10 * time.Second

func (ts *Trees) get(key string) *tree {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.known[key]
	if t == nil {
		if ts.known == nil {
			ts.known = map[string]*tree{}
		}
		t = &tree{mnt: -1, ruleset: -1, program: -1}
		ts.known[key] = t
		t.users.Add(1) // ts itself
	}
	t.users.Add(1)
	return t
}

func (t *tree) leave() {
	if t.users.Add(-1) == 0 {
		for _, fd := range []int{t.mnt, t.ruleset, t.program} {
			unix.Close(fd) // -1 is none
		}
	}
}

// plant gives the plan's tree, which somebody else may have made already.
func (pl *Plan) plant(ts *Trees, abi int, writable []hostpath.ID) (*tree, error) {
	dir := ""
	if !pl.chdirLate() {
		dir = cmp.Or(pl.Command.Dir, "/")
	}
	t := ts.get(fmt.Sprintf("%d %q %v %q %#v %#v %#v %v %q", abi, pl.Command.Path, pl.Filter.Code, dir, pl.tree.Entries, pl.landlock, pl.landlockNet(), writable, pl.Profile.Files.Map))
	t.made.Do(func() {
		t.users.Add(1) // who makes it, maybe for nobody
		t.err = panics.Within(patience, func() error { defer t.leave(); return t.make(pl, dir, abi, writable) })
	})
	return t, t.err
}

// make builds it and, inside, the ruleset.
func (t *tree) make(pl *Plan, dir string, abi int, writable []hostpath.ID) error {
	prog, err := pl.OpenProgram()
	if err != nil {
		return err
	}
	defer prog.Close()
	t.program, t.byFD = prog.FD, prog.byFD()
	t.mnt, err = rootfs.Build(pl.TreeWith(prog, writable), func() (err error) {
		if err := prog.RunsInside(inside); err != nil {
			return err
		}
		if dir != "" { // zygotes do not prove it for each tree
			if err := unix.Chdir(dir); err != nil {
				return fmt.Errorf("change directory to %s: %w", dir, err)
			}
		}
		if abi >= 1 {
			t.ruleset, err = landlock.Ruleset(abi, pl.landlock, pl.landlockNet())
		}
		return err
	})
	return err
}
