package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/sandbox/hostpath"
	"casemate/sandbox/zygote"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// stateIn has state directories made below a directory of the test's own. The test's own
// directory is everybody's (/tmp), which is no place for them.
func stateIn(t *testing.T) string {
	t.Helper()
	need.IDMaps(t, "/var/lib")
	dir, err := os.MkdirTemp("/var/lib", "casemate-test-")
	if err != nil {
		t.Fatal(err)
	}
	old := StateDir
	StateDir = filepath.Join(dir, "state")
	t.Cleanup(func() {
		StateDir = old
		os.RemoveAll(dir)
	})
	return StateDir
}

func stateful() Profile {
	p := realistic()
	p.Files.State = true
	p.Syscalls.Allow = []string{"@server", "@file-write", "@file-attr"}
	return p
}

// stateBox prepares a sandbox with a state directory.
func stateBox(t *testing.T, c Command, o Options) (*Sandbox, error) {
	t.Helper()
	pl, err := planOf(t, stateful(), c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Prepare(pl, o)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// session runs the command once as that user, with the state directory as the broker hands it over.
func stateSession(t *testing.T, s *Sandbox, uid uint32) string {
	t.Helper()
	z, err := s.Spawn()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		z.Close()
		wait(t, z.PID())
	}()
	fd, err := s.State(uid, uid)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	out, r, _ := once(t, z, zygote.Request{UID: uid, GID: uid, FDs: []int{fd}})
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return strings.TrimSpace(out)
}

// TestStateFollowsTheService: what a session with one uid leaves is another's with another uid, and
// with a fixed user that the service gets later; on the disk all of it is StateID's.
func TestStateFollowsTheService(t *testing.T) {
	dir := stateIn(t)
	c := shell(`exec 2>&1; cat $STATE_DIRECTORY/note; umask 077; echo "by $(id -u)" >> /state/note && stat -c %u:%g:%a /state/note /state/; cd /state && pwd -P`)
	c.Dynamic = true
	box, err := stateBox(t, c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := uint32(LeaseBase+7), uint32(LeaseBase+4711)
	own := func(uid uint32) string {
		return fmt.Sprintf("%d:%d:600\n%d:%d:755\n/private/state", uid, uid, uid, uid)
	}
	if out, want := stateSession(t, box, first), "cat: /state/note: No such file or directory\n"+own(first); out != want {
		t.Errorf("the first session: %q, want %q", out, want)
	}
	if out, want := stateSession(t, box, second), fmt.Sprintf("by %d\n", first)+own(second); out != want {
		t.Errorf("another uid: %q, want %q", out, want)
	}
	c.Dynamic = false
	if box, err = stateBox(t, c, Options{}); err != nil {
		t.Fatal(err)
	}
	if out, want := stateSession(t, box, 0), fmt.Sprintf("by %d\nby %d\n", first, second)+own(65534); out != want {
		t.Errorf("a user of its own: %q, want %q", out, want)
	}
	for path, want := range map[string]string{dir: "0 700", dir + "/test": fmt.Sprint(StateID, " 755"), dir + "/test/note": fmt.Sprint(StateID, " 600")} {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || fmt.Sprintf("%d %o", st.Uid, st.Mode&0o7777) != want {
			t.Errorf("outside %s is uid %d's, mode %o (%v), want %s", path, st.Uid, st.Mode, err, want)
		}
	}
}

// TestStateAtOnce: two sessions with different uids have it at the same time.
func TestStateAtOnce(t *testing.T) {
	stateIn(t)
	c := shell(`echo $$ > /state/$1; for i in $(seq 600); do test -e /state/$2 && { cat /state/$2 > /dev/null && echo met; exit; }; sleep 0.05; done; echo alone`)
	c.Dynamic, c.Argv = true, append(c.Argv, "sh")
	met := make(chan string, 2)
	for i, args := range [][]string{{"a", "b"}, {"b", "a"}} {
		c := c
		c.Argv = append(c.Argv[:len(c.Argv):len(c.Argv)], args...)
		box, err := stateBox(t, c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		z, err := box.Spawn()
		if err != nil {
			t.Fatal(err)
		}
		defer wait(t, z.PID())
		defer z.Close()
		uid := uint32(LeaseBase + 100 + i)
		fd, err := box.State(uid, uid)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer unix.Close(fd)
			out, r, _ := once(t, z, zygote.Request{UID: uid, GID: uid, FDs: []int{fd}})
			met <- fmt.Sprint(strings.TrimSpace(out), " ", r.Err())
		}()
	}
	for range 2 {
		select {
		case out := <-met:
			if out != "met <nil>" {
				t.Errorf("a session says %q", out)
			}
		case <-time.After(time.Minute):
			t.Fatal("the sessions do not end")
		}
	}
}

// TestStateHolds: nothing in it runs, with a bit for another's uid or without, is a device, or leads elsewhere.
func TestStateHolds(t *testing.T) {
	dir := stateIn(t)
	c := shell(`exec 2>&1; cp /bin/true /state/t; chmod 4755 /state/t; /state/t; echo "run $?"; mknod /state/null c 1 3; echo "device $?"
ln -s /etc/passwd /state/link; cat /state/link; ln -s /state/t /state/near; cat /state/near > /dev/null; chmod 777 /state; ls /var/lib; grep /private/state /proc/self/mountinfo`)
	box, err := stateBox(t, c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := stateSession(t, box, 0)
	for _, want := range []string{"changing permissions of '/state/t': Operation not permitted", "/state/t: Permission denied\nrun 126", "device 1", "/state/link: Too many levels", "/state/near: Too many levels", "nosuid,nodev,noexec", "idmapped", "/var/lib': No such file"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir+"/test/t", &st); err != nil || st.Mode&0o7000 != 0 || st.Uid != StateID {
		t.Errorf("outside: uid %d, mode %o, %v", st.Uid, st.Mode, err)
	}
	// It is in nobody's reach: what lies above is root's alone, whatever the service made of its own mode.
	if err := unix.Lstat(dir, &st); err != nil || st.Uid != 0 || st.Mode&0o777 != 0o700 {
		t.Errorf("above it uid %d, mode %o, %v", st.Uid, st.Mode, err)
	}
}

// TestStateRefused: what is no place for a state directory refuses the service, by name.
func TestStateRefused(t *testing.T) {
	c := shell("true")
	c.Dynamic = true
	for _, r := range []struct {
		name, want string
		spoil      func(dir string) ([]hostpath.ID, error)
	}{
		{"a file system without id maps", "map the ids of the state directory", func(dir string) ([]hostpath.ID, error) {
			return nil, unix.Mount("ramfs", dir, "ramfs", 0, "mode=0700")
		}},
		{"somebody's", "is not a directory of root's or of uid", func(dir string) ([]hostpath.ID, error) {
			if err := os.Mkdir(dir+"/test", 0o700); err != nil {
				return nil, err
			}
			return nil, os.Chown(dir+"/test", 65534, 65534)
		}},
		{"somebody's above it", "belongs to uid 65534", func(dir string) ([]hostpath.ID, error) { return nil, os.Chown(dir, 65534, 65534) }},
		{"a file", "is not a directory", func(dir string) ([]hostpath.ID, error) { return nil, os.WriteFile(dir+"/test", nil, 0o600) }},
		{"a link of somebody's", "is a link of uid 65534", func(dir string) ([]hostpath.ID, error) {
			if err := os.Symlink("/etc", dir+"/test"); err != nil {
				return nil, err
			}
			return nil, os.Lchown(dir+"/test", 65534, 65534)
		}},
		{"below what a service writes", "which a service of the policy may write", func(dir string) ([]hostpath.ID, error) {
			f, err := hostpath.Open(filepath.Dir(dir))
			if err != nil {
				return nil, err
			}
			defer f.Close()
			return []hostpath.ID{f.ID()}, nil
		}},
	} {
		t.Run(r.name, func(t *testing.T) {
			dir := stateIn(t)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) }) // before the directory is removed
			writable, err := r.spoil(dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stateBox(t, c, Options{Writable: writable}); err == nil || !strings.Contains(err.Error(), "files.state: ") || !strings.Contains(err.Error(), r.want) {
				t.Errorf("it says %v, want %q", err, r.want)
			}
		})
	}
}

// TestStateRefusedUntouched: what a service that writes above the state directories has led elsewhere is refused
// as it was found: nothing there is made root's alone, made, or given away.
func TestStateRefusedUntouched(t *testing.T) {
	dir := stateIn(t)
	up := filepath.Dir(dir)
	led := filepath.Join(up, "led")
	if err := os.Mkdir(led, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("led", dir); err != nil {
		t.Fatal(err)
	}
	f, err := hostpath.Open(up)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := shell("true")
	c.Dynamic = true
	for _, existing := range []bool{false, true} {
		if existing {
			if err := os.Mkdir(led+"/test", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := stateBox(t, c, Options{Writable: []hostpath.ID{f.ID()}}); err == nil || !strings.Contains(err.Error(), "which a service of the policy may write") {
			t.Errorf("it says %v", err)
		}
		var st unix.Stat_t
		if err := unix.Lstat(led, &st); err != nil || st.Mode&0o777 != 0o755 {
			t.Errorf("where the link leads the mode is %o now, %v", st.Mode, err)
		}
		if err := unix.Lstat(led+"/test", &st); existing != (err == nil) || existing && st.Uid != 0 {
			t.Errorf("the directory there: %v, uid %d", err, st.Uid)
		}
	}
}

// BenchmarkState shows what a session's mount costs.
func BenchmarkState(b *testing.B) {
	need.IDMaps(b, b.TempDir())
	fd, err := unix.Open(b.TempDir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	s := &Sandbox{state: fd}
	for b.Loop() {
		m, err := s.State(LeaseBase, LeaseBase)
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(m)
	}
}
