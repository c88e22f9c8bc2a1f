package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
		{Entry{Kind: Device, Path: node}, "not below /dev", nil},
		{Entry{Kind: Device, Path: "/dev/ptmx"}, "is a terminal of others: write pty = true", nil},
	} {
		ns, err := Build(Tree{Entries: []Entry{c.entry}}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) || ns >= 0 {
			t.Errorf("%+v: %v, want %q", c.entry, err, c.want)
		}
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
	ns := build(t, Tree{Entries: []Entry{{Kind: ReadOnly, Path: dir}}}, nil)
	err := within(t, ns, func() error {
		if _, err := os.ReadFile(dir + "/sub/f"); err != nil {
			t.Error(err)
		}
		return os.WriteFile(dir+"/sub/f", nil, 0o644)
	})
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("writing in a mount below a read-only bind: %v", err)
	}
	if err := os.WriteFile(filepath.Join(sub, "f"), nil, 0o644); err != nil {
		t.Errorf("the host's own mount was restricted: %v", err)
	}
}
