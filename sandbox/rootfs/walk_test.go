package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWalk(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.MkdirAll(at("d/e"), 0o755), os.WriteFile(at("d/f"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"up": "d/../d/./e/..//f", "abs": at("d"), "chain": "abs", "loop": "loop", "top": strings.Repeat("../", 60), "mounts": "/proc/self/mounts", "magic": "/proc/self/exe", "gone": "nowhere"} {
		if err := os.Symlink(text, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, real string
		links      []string
		fails      string
	}{
		{name: "d", real: "d"},
		{name: "d/f", real: "d/f"},
		{name: "up", real: "d/f", links: []string{"up"}},
		{name: "chain/e", real: "d/e", links: []string{"chain", "abs"}},
		{name: "d/nope/x", fails: at("d/nope") + ": no such file"},
		{name: "gone", fails: at("nowhere") + ": no such file"},
		{name: "d/f/x", fails: "not a directory"},
		{name: "loop", fails: "too many levels"},
		{name: "top", fails: "leads to the root"},
		{name: "mounts", fails: "procfs"},
		{name: "magic", fails: "procfs"},
	} {
		before := used(t).fds
		fd, h, err := walk(at(c.name))
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", c.name, err, c.fails)
			}
		} else {
			var links []string
			for _, k := range h.links {
				links = append(links, strings.TrimPrefix(k.path, dir+"/"))
			}
			var a, b unix.Stat_t
			if err := errors.Join(err, unix.Fstat(fd, &a), unix.Stat(at(c.real), &b)); err != nil || a.Ino != b.Ino {
				t.Errorf("%s: %v, not the file at %s", c.name, err, c.real)
			}
			if h.real != at(c.real) || !slices.Equal(links, c.links) || h.dir != (b.Mode&unix.S_IFMT == unix.S_IFDIR) {
				t.Errorf("%s: %+v", c.name, h)
			}
			unix.Close(fd)
		}
		if after := used(t).fds; after != before {
			t.Errorf("%s: %d descriptors before, %d after", c.name, before, after)
		}
	}
}

// FuzzWalk holds the walker to the kernel's own answer: for every path it
// opens, open(2) finds the same file there.
func FuzzWalk(f *testing.F) {
	for _, p := range []string{"/lib", "/bin/sh", "/etc/localtime", "/usr/../bin", "/dev/null", "/proc/self/exe", "/tmp/./x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if checkPath(p) != nil {
			return
		}
		fd, h, err := walk(p)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		var mine, kernel, real unix.Stat_t
		if err := errors.Join(unix.Fstat(fd, &mine), unix.Stat(p, &kernel), unix.Lstat(h.real, &real)); err != nil {
			t.Fatal(err)
		}
		if mine.Ino != kernel.Ino || mine.Dev != kernel.Dev || mine.Ino != real.Ino || checkPath(h.real) != nil {
			t.Errorf("%q leads to %q", p, h.real)
		}
	})
}

// What the host forbids or has no use inside must fail at Build, with the path.
func TestBuildRefuses(t *testing.T) {
	needRoot(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(dir, "m")
	node := filepath.Join(dir, "node")
	if err := errors.Join(os.Mkdir(mounted, 0o755), unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
		unix.Mount("none", mounted, "tmpfs", unix.MS_RDONLY|unix.MS_NOEXEC, "size=4k")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(mounted, unix.MNT_DETACH) })
	for _, c := range []struct {
		entry Entry
		want  string
		is    error
	}{
		{Entry{Kind: ReadOnly, Path: "/no/such/thing"}, "rootfs: read /no/such/thing: open /no: no such file", unix.ENOENT},
		{Entry{Kind: Exec, Path: mounted}, mounted + ": the host mounts it noexec", unix.EACCES},
		{Entry{Kind: Write, Path: mounted}, mounted + ": the host mounts it read-only", unix.EROFS},
		{Entry{Kind: Write, Path: node}, node + " is a device node", nil},
		{Entry{Kind: ReadOnly, Path: "/proc"}, "procfs", nil},
		{Entry{Kind: Device, Path: "/dev/tty"}, "devices", nil},
		{Entry{Kind: Device, Path: "/dev/null", Source: node}, "devices", nil},
	} {
		ns, err := Build(Tree{[]Entry{c.entry}}, Wanted{}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) || ns != nil {
			t.Errorf("%+v: %v, want %q", c.entry, err, c.want)
		}
	}
	inner := []Entry{{Kind: ReadOnly, Path: dir}, {Kind: ReadOnly, Path: dir + "/nope", Source: "/etc"}}
	if _, err := Build(Tree{inner}, Wanted{}, nil); err == nil || !strings.Contains(err.Error(), dir+"/nope: open mount point: no such file") {
		t.Errorf("mount point missing inside a bind: %v", err)
	}
	if _, err := os.Stat(dir + "/nope"); err == nil {
		t.Error("a mount point was made on the host")
	}
}

// A bind brings the mounts below it along, with its restrictions on all of them.
func TestBuildSubmounts(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := errors.Join(os.Mkdir(sub, 0o755), unix.Mount("none", sub, "tmpfs", 0, "size=64k")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(sub, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(sub, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	ns := build(t, Tree{[]Entry{{Kind: ReadOnly, Path: "/data", Source: dir}}}, Wanted{}, nil)
	err := within(t, ns, func() error {
		if _, err := os.ReadFile("/data/sub/f"); err != nil {
			t.Error(err)
		}
		return os.WriteFile("/data/sub/f", nil, 0o644)
	})
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("writing in a mount below a read-only bind: %v", err)
	}
	if err := os.WriteFile(filepath.Join(sub, "f"), nil, 0o644); err != nil {
		t.Errorf("the host's own mount was restricted: %v", err)
	}
}
