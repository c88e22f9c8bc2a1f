package hostpath

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	need.Root(t, "it gives files to other users")
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// aclOf lets uid 1000 write to a directory whose mode shows rwx for its group.
func aclOf(dir string) error {
	var text []byte
	text = binary.LittleEndian.AppendUint32(text, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, ^uint32(0)}, {2, 7, 1000}, {4, 5, ^uint32(0)}, {16, 7, ^uint32(0)}, {32, 5, ^uint32(0)}} {
		text = binary.LittleEndian.AppendUint16(text, e.tag)
		text = binary.LittleEndian.AppendUint16(text, e.perm)
		text = binary.LittleEndian.AppendUint32(text, e.id)
	}
	return unix.Setxattr(dir, "system.posix_acl_access", text, 0)
}

// A path that somebody other than root could have led elsewhere is refused, with
// the component at fault, its owner and what to do.
func TestUnsafePaths(t *testing.T) {
	needRoot(t)
	const bob, eve = 1000, 1001
	for _, c := range []struct {
		name string
		make func(dir string) error // makes dir/a/f unusual
		want string                 // "" where it is safe
	}{
		{"root's", func(string) error { return nil }, ""},
		{"bob's file in root's directory", func(d string) error { return os.Chown(d+"/a/f", bob, bob) }, ""},
		{"bob's file in bob's directory", func(d string) error { return errors.Join(os.Chown(d+"/a", bob, bob), os.Chown(d+"/a/f", bob, bob)) }, ""},
		{"root's file in bob's directory", func(d string) error { return os.Chown(d+"/a", bob, bob) },
			"/a belongs to uid 1000, who could put something else in place of f (of uid 0): name a path in directories of root's, or run chown root "},
		{"eve's file in bob's directory", func(d string) error { return errors.Join(os.Chown(d+"/a", bob, bob), os.Chown(d+"/a/f", eve, eve)) }, "belongs to uid 1000"},
		{"root's link", func(d string) error { return errors.Join(os.Rename(d+"/a", d+"/b"), os.Symlink("b", d+"/a")) }, ""},
		{"bob's link", func(d string) error {
			return errors.Join(os.Rename(d+"/a", d+"/b"), os.Symlink("b", d+"/a"), os.Lchown(d+"/a", bob, bob))
		}, "/a is a link of uid 1000, who chooses where it leads: name the path that is meant, or run chown -h root "},
		{"bob's link to bob's file", func(d string) error {
			return errors.Join(os.Rename(d+"/a/f", d+"/a/g"), os.Symlink("g", d+"/a/f"), os.Chown(d+"/a", bob, bob), os.Chown(d+"/a/g", bob, bob), os.Lchown(d+"/a/f", bob, bob))
		}, "/a/f is a link of uid 1000"},
		{"everybody's directory", func(d string) error { return os.Chmod(d+"/a", 0o777) }, "/a has mode 0777: everybody may change what is in it: "},
		{"a group's directory", func(d string) error { return errors.Join(os.Chown(d+"/a", 0, bob), os.Chmod(d+"/a", 0o775)) }, "/a has mode 0775: its group (gid 1000)"},
		{"root's group's directory", func(d string) error { return os.Chmod(d+"/a", 0o775) }, ""},
		{"root's group's directory with an access list", func(d string) error { return aclOf(d + "/a") }, "an access list lets others"},
		{"sticky directory", func(d string) error { return os.Chmod(d+"/a", 0o777|os.ModeSticky) }, ""},
		{"hard link in a sticky directory", func(d string) error {
			return errors.Join(os.Chmod(d+"/a", 0o777|os.ModeSticky), os.Link(d+"/a/f", d+"/g"))
		}, "/a/f has 2 names"},
		{"hard link in root's directory", func(d string) error { return os.Link(d+"/a/f", d+"/g") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			try(t, os.Mkdir(dir+"/a", 0o755), os.WriteFile(dir+"/a/f", nil, 0o644), c.make(dir))
			f, err := Open(dir + "/a/f")
			if err == nil {
				defer f.Close()
			}
			var unsafe *UnsafeError
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.As(err, &unsafe) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(unsafe.Path, dir)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestBelow(t *testing.T) {
	dir := t.TempDir()
	try(t, os.MkdirAll(dir+"/w/sub", 0o755), os.Symlink("w/sub", dir+"/link"))
	w, err := Open(dir + "/w")
	try(t, err)
	defer w.Close()
	for p, want := range map[string]bool{"/w": false, "/w/sub": true, "/link": true, "": false} {
		f, err := Open(dir + p)
		try(t, err)
		if at, got := f.Below([]ID{{}, w.ID()}); got != want || got && at != w.Real {
			t.Errorf("%s: below %q %v, want %v", p, at, got, want)
		}
		f.Close()
	}
}

func TestMake(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	f, err := Make(dir + "/a/b")
	try(t, err)
	f.Close()
	if st, err := os.Stat(dir + "/a/b"); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", st, err)
	}
	try(t, os.Chown(dir+"/a", 1000, 1000))
	if _, err := Make(dir + "/a/c/d"); err == nil || !strings.Contains(err.Error(), "belongs to uid 1000") {
		t.Errorf("made in somebody's directory: %v", err)
	}
	if _, err := os.Lstat(dir + "/a/c"); err == nil {
		t.Error("a directory was left in somebody's directory")
	}
}

func TestCreate(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		name, want string
		make       func(dir string) error
	}{
		{"nothing", "", func(string) error { return nil }},
		{"root's file", "", func(d string) error { return os.WriteFile(d+"/f", nil, 0o600) }},
		{"a null device", "", func(d string) error { return unix.Mknod(d+"/f", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) }},
		{"link", "too many levels", func(d string) error { return os.Symlink("g", d+"/f") }},
		{"second name", "is not a plain file of one name", func(d string) error {
			return errors.Join(os.WriteFile(d+"/g", nil, 0o600), os.Link(d+"/g", d+"/f"))
		}},
		{"a user's file", "/f belongs to uid 1000", func(d string) error {
			return errors.Join(os.WriteFile(d+"/f", nil, 0o600), os.Chown(d+"/f", 1000, 1000))
		}},
		{"unread pipe", "no such device or address", func(d string) error { return unix.Mkfifo(d+"/f", 0o600) }},
		{"a user's directory", "belongs to uid 1000", func(d string) error { return os.Chown(d, 1000, 1000) }},
		{"everybody's directory", "everybody may change what is in it", func(d string) error { return os.Chmod(d, 0o777) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			try(t, os.Chmod(dir, 0o755), c.make(dir))
			d, err := Open(dir)
			try(t, err)
			defer d.Close()
			f, err := d.Create("f", unix.O_WRONLY|unix.O_APPEND, 0o640)
			if err == nil {
				_, werr := f.WriteString("x")
				try(t, werr, f.Close())
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Stat(dir + "/g"); c.name == "link" && err == nil {
				t.Error("made through the link")
			}
		})
	}
}

// TestRace has a user swap a directory, a link and a file under the walk: what it
// opens is never root's secret, whatever it says otherwise.
func TestRace(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	const bob = 1000
	try(t, os.Chmod(dir, 0o755), os.MkdirAll(dir+"/secret/cfg", 0o755), os.MkdirAll(dir+"/bob/sub/cfg", 0o755),
		os.Symlink(dir+"/secret", dir+"/bob/evil"))
	for _, p := range []string{"", "/sub", "/sub/cfg", "/evil"} {
		try(t, os.Lchown(dir+"/bob"+p, bob, bob))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, dir+"/bob/sub", unix.AT_FDCWD, dir+"/bob/evil", unix.RENAME_EXCHANGE)
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	secret, err := Open(filepath.Join(dir, "secret/cfg"))
	try(t, err)
	defer secret.Close()
	var good, refused int
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		f, err := Open(dir + "/bob/sub/cfg")
		if err != nil {
			refused++
			continue
		}
		good++
		if f.ID() == secret.ID() {
			t.Fatal("the walk followed bob's link")
		}
		f.Close()
	}
	t.Logf("opened %d times, refused %d times", good, refused)
	if good == 0 || refused == 0 {
		t.Error("the walk never met both: nothing was raced")
	}
}
