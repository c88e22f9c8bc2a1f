package escape

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// reloaded loads the policy again, which must work.
func reloaded(t *testing.T, b *rig.Broker) {
	t.Helper()
	a, err := b.Request(control.Request{Verb: control.VerbReload})
	if err != nil || !a.OK {
		t.Fatalf("reload: %+v (%v)", a, err)
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSwappedSource: a granted folder, or one above it, that becomes somebody's symbolic
// link between two connections changes nothing for the next one, not even when
// the service's zygote is a new one and looks at the host again (attempt 14).
func TestSwappedSource(t *testing.T) {
	s := newSite(t)
	dir := s.canaries.dir
	aside := dir + ".aside"
	look := func(when string) {
		t.Helper()
		for line, want := range map[string]string{
			"open-read " + dir + "/read/f": "ok", "open-read " + dir + "/read/passwd": "ENOENT",
			"open-read " + dir + "/read/etc/passwd": "ENOENT", "open-read " + dir + "/etc/passwd": "ENOENT",
			"open-read " + dir + "/write/f": "ok", "create " + dir + "/write/made": "ok|EEXIST", "create " + dir + "/read/made": readonly,
		} {
			if o := inside(t, s.port, line); !denied(want, o) {
				t.Errorf("%s: %s: %s, want %s", when, line, o, want)
			}
		}
	}
	fresh := func() {
		t.Helper()
		st, err := s.broker.Service("victim")
		if err != nil {
			t.Fatal(err)
		}
		if st.ZygotePID > 0 {
			try(t, unix.Kill(st.ZygotePID, unix.SIGKILL))
		}
		_ = inside(t, s.port, "identity") // may meet the zygote's end
	}
	look("before")
	try(t, os.Rename(filepath.Join(dir, "read"), filepath.Join(dir, "read.aside")))
	try(t, os.Symlink("/etc", filepath.Join(dir, "read")))
	try(t, os.Lchown(filepath.Join(dir, "read"), nobody, nobody))
	look("with read a link to /etc")
	fresh()
	look("with read a link to /etc and a new zygote")
	try(t, os.Remove(filepath.Join(dir, "read")))
	try(t, os.Rename(filepath.Join(dir, "read.aside"), filepath.Join(dir, "read")))

	try(t, os.Rename(dir, aside))
	t.Cleanup(func() { _ = os.RemoveAll(aside) })
	try(t, os.Symlink("/", dir))
	try(t, os.Lchown(dir, nobody, nobody))
	look("with the folder above a link to /")
	fresh()
	look("with the folder above a link to / and a new zygote")
	try(t, os.Remove(dir))
	try(t, os.Rename(aside, dir))
	if _, err := os.Stat("/made"); err == nil {
		t.Error("a file was made in the host's /")
	}
}

// TestSwappedProgram: a program that is replaced while it is served goes on as
// it was until the policy is loaded again; a load takes the new one, if it is
// one that only root could have put there (attempt 15).
func TestSwappedProgram(t *testing.T) {
	rig.Root(t)
	victim, port := compileVictim(t), rig.Port(t)
	dir := rig.PublicDir(t)
	program := copied(t, dir, "true", 0o755)
	put := func(from string, mode os.FileMode, owner int) {
		t.Helper()
		text, err := os.ReadFile(from)
		try(t, err)
		try(t, os.WriteFile(program+".new", text, 0o700))
		try(t, os.Chown(program+".new", owner, owner))
		try(t, os.Chmod(program+".new", mode))
		try(t, os.Rename(program+".new", program))
	}
	put(victim, 0o755, 0)
	b := rig.Serve(t, policyHead+serviceText("victim", port, program, "  base = profile.line"))
	runs := func(when, want string) {
		t.Helper()
		if o := inside(t, port, "identity"); o.result != want {
			t.Errorf("%s: %s, want %s", when, o, want)
		}
	}
	const old, replaced = "ok", "killed" // true(1) answers nothing
	runs("before", old)
	put("/bin/true", 0o755, 0)
	runs("replaced", old)
	for when, c := range map[string]struct {
		mode  os.FileMode
		owner int
		why   string
	}{
		"by a program of nobody's":     {0o755, nobody, "who may change it"},
		"by one that all may change":   {0o757, 0, "others than root may change it"},
		"by one without the right bit": {0o644, 0, "not executable"},
	} {
		put("/bin/true", c.mode, c.owner)
		a, err := b.Request(control.Request{Verb: control.VerbReload})
		if err != nil || a.OK || !strings.Contains(a.Error, c.why) {
			t.Errorf("%s: reload: %+v (%v), want %q", when, a, err, c.why)
		}
		runs(when, old)
	}
	try(t, os.Remove(program))
	runs("removed", old)
	put("/bin/true", 0o755, 0)
	reloaded(t, b)
	runs("loaded again", replaced)
	put(victim, 0o755, 0)
	reloaded(t, b)
	runs("and back", old)
}
