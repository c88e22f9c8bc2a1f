package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"casemate/sandbox/panics"

	"golang.org/x/sys/unix"
)

// connection is what a service with private /tmp, /proc and /dev/null gets.
func connection() []Entry {
	return []Entry{
		{Kind: Dir, Path: "/private"},
		{Kind: Dir, Path: "/private/tmp", Mode: 0o1777},
		{Kind: Symlink, Path: "/tmp", Text: "/private/tmp"},
		{Kind: Dir, Path: "/proc"},
		{Kind: ReadOnly, Path: "/etc/group"},
		{Kind: Device, Path: "/dev/null"},
	}
}

func TestBuildRunsPrograms(t *testing.T) {
	tree := Tree{Entries: append(program(t, "/bin/sh", "/bin/ls", "/bin/cat"), connection()...)}
	ns := build(t, tree, nil)
	for _, c := range []struct {
		script, out string
		code        int
	}{
		{"echo hello", "hello\n", 0},
		{"cat /etc/group > /dev/null && echo ok", "ok\n", 0},
		{"echo x > /dev/null && cat /dev/null && echo ok", "ok\n", 0},
		{"ls -1A /", "bin\ndev\netc\nlib\nlib64\nprivate\nproc\ntmp\nusr\n", 0},
		{"ls -1A /dev /proc /tmp/", "/dev:\nnull\n\n/proc:\n\n/tmp/:\n", 0},
		{"cd /../../..; ls -1dA etc; ls /etc", "etc\ngroup\n", 0},
		{"echo x 2>&- > /x", "", 2},
		{"echo x 2>&- > /tmp/x", "", 2},
		{"echo x 2>&- > /bin/sh", "", 2},
		{"test -e /etc/passwd", "", 1},
	} {
		out, code := run(t, ns, "/bin/sh", "-c", c.script)
		if out != c.out || code != c.code {
			t.Errorf("%s: %d %q, want %d %q", c.script, code, out, c.code, c.out)
		}
	}
}

func TestBuildShowsNothingElse(t *testing.T) {
	dir := t.TempDir()
	lines := mountinfo(t, Tree{Entries: []Entry{
		{Kind: ReadOnly, Path: dir},
		{Kind: Exec, Path: "/usr/bin"},
		{Kind: Device, Path: "/dev/null"},
	}})
	var points []string
	for _, l := range lines {
		f := strings.Fields(l)
		points = append(points, f[4])
		// Field 7 on are optional: "-" at once means neither shared nor slave.
		if f[6] != "-" {
			t.Errorf("mount propagates: %s", l)
		}
		for want, on := range map[string]bool{"ro": true, "nosuid": true, "nodev": f[4] != "/dev/null", "noexec": f[4] != "/usr/bin"} {
			if slices.Contains(strings.Split(f[5], ","), want) != on {
				t.Errorf("want %s=%v: %s", want, on, l)
			}
		}
	}
	slices.Sort(points)
	if want := []string{"/", "/dev/null", "/usr/bin"}; !slices.Equal(slices.DeleteFunc(points, func(p string) bool { return p == dir }), want) {
		t.Errorf("mounts %v, want %v and %s", points, want, dir)
	}
	if root := slices.IndexFunc(lines, func(l string) bool { return strings.Fields(l)[4] == "/" }); !strings.Contains(lines[root], " - tmpfs casemate ro,") {
		t.Errorf("root super block is not a read-only tmpfs: %s", lines[root])
	}
}

func TestBuildWriteReachesTheHost(t *testing.T) {
	dir := t.TempDir()
	public := t.TempDir()
	ns := build(t, Tree{Entries: []Entry{{Kind: Write, Path: dir}, {Kind: ReadOnly, Path: public}}}, nil)
	err := within(t, ns, func() error { return os.WriteFile(dir+"/a", []byte("x"), 0o600) })
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
	err = within(t, ns, func() error { return os.WriteFile(public+"/a", []byte("x"), 0o600) })
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("writing a read-only place beside a writable one: %v", err)
	}
	if err := within(t, ns, func() error { return os.Mkdir("/d", 0o700) }); !errors.Is(err, unix.EROFS) {
		t.Errorf("mkdir in the root: %v", err)
	}
}

func TestBuildMountPointsForConnections(t *testing.T) {
	ns := build(t, Tree{Entries: connection()}, nil)
	err := within(t, ns, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", "/private/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,mode=1777"); err != nil {
			return err
		}
		return os.WriteFile("/tmp/x", []byte("x"), 0o600)
	})
	if err != nil {
		t.Error(err)
	}
	err = within(t, ns, func() error {
		if st, err := os.Stat("/private/tmp"); err != nil || st.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
			t.Errorf("/private/tmp: %v %v", st, err)
		}
		_, err := os.Stat("/tmp/x")
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one connection's /tmp shows in another: %v", err)
	}
}

// Replacing a host file or directory after Build must not change what is inside.
func TestBuildHoldsInodes(t *testing.T) {
	dir := t.TempDir()
	one, tree := filepath.Join(dir, "one"), filepath.Join(dir, "tree")
	for p, text := range map[string]string{one: "old", tree + "/f": "old"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	ns := build(t, Tree{Entries: []Entry{{Kind: ReadOnly, Path: one}, {Kind: ReadOnly, Path: tree}}}, nil)
	err := errors.Join(
		os.WriteFile(one+"2", []byte("new"), 0o644), os.Rename(one+"2", one),
		os.Rename(tree, tree+"2"), os.Symlink("/", tree))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{one, tree + "/f"} {
		var got []byte
		err := within(t, ns, func() (err error) { got, err = os.ReadFile(p); return })
		if err != nil || string(got) != "old" {
			t.Errorf("%s: %q %v", p, got, err)
		}
	}
}

func TestBuildInside(t *testing.T) {
	wd, failed := "", errors.New("callback failed")
	build(t, Tree{}, func() (err error) { wd, err = os.Getwd(); return })
	if wd != "/" {
		t.Errorf("working directory inside is %q", wd)
	}
	if _, err := Build(Tree{}, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if _, err := Build(Tree{}, func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a callback that ends its goroutine is no error")
	}
	var p *panics.Error
	if _, err := Build(Tree{}, func() error { panic("boom") }); !errors.As(err, &p) {
		t.Errorf("a callback that panics: %v", err)
	}
}
