package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/zygote"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestTreesAreShared: sandboxes of equal trees have one, whatever else of them differs; it goes
// with the last of them, and one that could not be made is nobody's.
func TestTreesAreShared(t *testing.T) {
	needRoot(t)
	trees := new(Trees)
	prepare := func(name string, change func(*Profile, *Command)) (*Sandbox, error) {
		t.Helper()
		p, c := realistic(), shell("echo "+name)
		c.Service = name
		change(&p, &c)
		pl, err := planOf(t, p, c)
		if err != nil {
			t.Fatal(err)
		}
		return Prepare(pl, Options{Trees: trees})
	}
	var boxes []*Sandbox
	for name, change := range map[string]func(*Profile, *Command){
		"a": func(*Profile, *Command) {}, "b": func(*Profile, *Command) {},
		"files": func(p *Profile, _ *Command) { p.Resources[OpenFiles] = 32 },
	} {
		s, err := prepare(name, change)
		if err != nil {
			t.Fatal(err)
		}
		boxes = append(boxes, s)
		if s.tree != boxes[0].tree || s.Start.Mnt != boxes[0].Start.Mnt {
			t.Errorf("%s has a tree of its own", name)
		}
	}
	for name, change := range map[string]func(*Profile, *Command){
		"program": func(_ *Profile, c *Command) { c.Path = "/bin/cat" },
		"read":    func(p *Profile, _ *Command) { p.Files.Read = []string{"/etc/hostname"} },
		"scratch": func(p *Profile, _ *Command) { p.Files.Tmp = 0 },
		"listens": func(_ *Profile, c *Command) { c.Listens = true },
		"dir":     func(_ *Profile, c *Command) { c.Dir = "/usr" },
	} {
		s, err := prepare(name, change)
		if err != nil {
			t.Fatal(err)
		}
		if s.tree == boxes[0].tree {
			t.Errorf("%s has the tree of others", name)
		}
		s.Close()
	}
	for range 2 {
		if s, err := prepare("gone", func(p *Profile, _ *Command) { p.Files.Read = []string{"/nowhere"} }); !errors.Is(err, unix.ENOENT) {
			t.Errorf("a tree that cannot be made: %v %v", s, err)
		}
		if _, err := prepare("nowhere", func(_ *Profile, c *Command) { c.Dir = "/usr/bin/sh" }); err == nil || !strings.Contains(err.Error(), "/usr/bin/sh") {
			t.Errorf("a working directory that is none: %v", err)
		}
	}
	mnt := int(boxes[0].Start.Mnt)
	trees.Close()
	mounts := map[string]string{}
	for i, s := range boxes {
		z, err := s.Spawn()
		if err != nil {
			t.Fatal(err)
		}
		out, _, _ := once(t, z, zygote.Request{})
		if strings.TrimSpace(out) != s.name {
			t.Errorf("%s says %q", s.name, out)
		}
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", z.PID()))
		if err != nil {
			t.Fatal(err)
		}
		if of := mounts[ns]; of != "" {
			t.Errorf("the zygote of %s is in the mount namespace of that of %s", s.name, of)
		}
		mounts[ns] = s.name
		defer func() { // all live at once
			z.Close()
			wait(t, z.PID())
		}()
		s.Close()
		var st unix.Stat_t
		if err := unix.Fstat(mnt, &st); (err == nil) != (i < len(boxes)-1) {
			t.Errorf("after %d of %d are closed: %v", i+1, len(boxes), err)
		}
	}
}

// TestProofs: all that a zygote does before its first request, but for the tree, makes another proof.
func TestProofs(t *testing.T) {
	needRoot(t)
	proof := func(change func(*Profile, *Command)) string {
		t.Helper()
		p, c := realistic(), shell("true")
		change(&p, &c)
		pl, err := planOf(t, p, c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Prepare(pl, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		text, err := s.Proof()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := proof(func(*Profile, *Command) {})
	for name, c := range map[string]struct {
		change func(*Profile, *Command)
		same   bool
	}{
		"program":   {func(_ *Profile, c *Command) { c.Path, c.Argv = "/bin/cat", []string{"cat"} }, true},
		"name":      {func(_ *Profile, c *Command) { c.Service, c.Env = "other", []string{"A=b"} }, true},
		"read":      {func(p *Profile, _ *Command) { p.Files.Read = []string{"/etc/hostname"} }, true},
		"files":     {func(p *Profile, _ *Command) { p.Resources[OpenFiles] = 32 }, false},
		"user":      {func(_ *Profile, c *Command) { c.UID = 65533 }, false},
		"groups":    {func(_ *Profile, c *Command) { c.Groups = []uint32{9} }, false},
		"calls":     {func(p *Profile, _ *Command) { p.Syscalls.Deny = []string{"flock"} }, false},
		"network":   {func(p *Profile, _ *Command) { p.Network.Mode = NetworkHost }, false},
		"init":      {func(p *Profile, _ *Command) { p.Init = true }, false},
		"violation": {func(p *Profile, _ *Command) { p.Syscalls.OnViolation = "kill" }, false},
		"script":    {func(_ *Profile, c *Command) { c.Path, c.Argv = script(t, "#!/bin/sh\n"), []string{"x"} }, false},
	} {
		if got := proof(c.change); (got == first) != c.same {
			t.Errorf("%s: the proof is the same: %v, want %v", name, got == first, c.same)
		}
	}
}

// TestHalfDeadFileSystem: wherever a file system below a plan's path falls silent while its tree is made, that
// plan alone is refused, in time, and others are prepared meanwhile and afterwards. When it
// is gone nothing of what hung is left.
func TestHalfDeadFileSystem(t *testing.T) {
	needRoot(t)
	base := filepath.Dir(script(t, ""))
	prepare := func(read ...string) error {
		p, c := realistic(), shell("echo")
		p.Files.Read = read
		pl, err := planOf(t, p, c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Prepare(pl, Options{})
		if err == nil {
			s.Close()
		}
		return err
	}
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	fds := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before := fds()
	const most = 10
	var heals []func()
	type end struct {
		answers int
		err     error
	}
	ended := make(chan end)
	for n := range most {
		dir := fmt.Sprintf("%s/%d", base, n)
		heals = append(heals, need.DeadMount(t, dir, n))
		go func() { ended <- end{n, prepare(dir)} }()
	}
	late := time.After(patience + 30*time.Second)
	made := 0
	for range most {
		select {
		case e := <-ended:
			if e.err == nil {
				made++
			} else if !strings.Contains(e.err.Error(), "does not answer") {
				t.Errorf("after %d answers: %v", e.answers, e.err)
			}
		case <-late:
			t.Fatal("a plan is neither prepared nor refused")
		}
	}
	if made == 0 || made == most {
		t.Errorf("%d of %d were prepared: this test shows nothing", made, most)
	}
	if err := prepare(); err != nil {
		t.Errorf("beside them: %v", err)
	}
	for _, heal := range heals {
		heal()
	}
	for end := time.Now().Add(30 * time.Second); fds() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors, before %d", fds(), before)
		}
	}
}

// TestFiltersAreShared: sandboxes keep the filter that was compiled for all of them, and no copy of it for their own
// descriptors and user, which only a zygote gets.
func TestFiltersAreShared(t *testing.T) {
	needRoot(t)
	pl, err := planOf(t, realistic(), shell("exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	other := *pl
	other.files++
	var filters [][]byte
	for _, p := range []*Plan{pl, &other} {
		s, err := Prepare(p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if &s.Start.Filter[0] != &pl.Filter.Program[0] {
			t.Errorf("with %d files it has a filter of its own", p.files)
		}
		start, err := s.Filled()
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := pl.Filter.Fill(p.files, p.Command.UID)
		if filters = append(filters, start.Filter); err != nil || !bytes.Equal(start.Filter, want) {
			t.Errorf("with %d files it starts with another filter than its own: %v", p.files, err)
		}
	}
	if bytes.Equal(filters[0], filters[1]) {
		t.Error("the filters of two numbers of files are the same")
	}
}
