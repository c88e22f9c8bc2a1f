package landlock

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// needABI skips where the kernel lacks Landlock of that ABI.
func needABI(t *testing.T, abi int) {
	t.Helper()
	if have := ABI(); have < abi {
		need.Kernel(t, "needs Landlock ABI %d, the kernel has %d", abi, have)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// stage makes the files the attempts work on.
func stage(t *testing.T) (string, scene) {
	t.Helper()
	need.Root(t, "device files")
	dir := t.TempDir()
	for _, d := range []string{"read", "exec", "single", "write/d", "write2", "other", "dev/pts"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"read/f", "exec/f", "single/f", "single/g", "single/w", "write/f", "other/f"} {
		must(t, os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o644))
	}
	for _, d := range []string{"read", "exec", "single", "write"} {
		must(t, copyFile("/bin/true", filepath.Join(dir, d, "true")))
	}
	must(t, os.Symlink("read", filepath.Join(dir, "link")), unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(filepath.Join(dir, "control"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mknod(filepath.Join(dir, "dev/pts/0"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	s := scene{Abstract: "@casemate-landlock-" + filepath.Base(filepath.Dir(dir)), Parent: os.Getpid(),
		Open: listen(t), Closed: listen(t), Bindable: free(t), Taken: free(t)}
	l, err := net.Listen("unix", s.Abstract)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return dir, s
}

func TestRulesetConfines(t *testing.T) {
	needABI(t, 6)
	dir, s := stage(t)
	at := func(a Access, name string) Rule { return Rule{filepath.Join(dir, name), a} }
	fd, err := Ruleset(ABI(), []Rule{
		{"/usr", Exec}, {"/lib64", Exec}, // what /bin/true needs itself
		at(Read, "link"), at(Exec, "exec"), at(Write, "write"), at(Write, "write2"), at(Device, "null"), at(Control, "control"), at(Terminal, "dev"),
		at(Exec, "single/true"), at(Read, "single/f"), at(Write, "single/w"),
	}, Net{Connect: []uint16{uint16(s.Open)}, Bind: []uint16{uint16(s.Bindable)}})
	must(t, err)
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor is not close-on-exec: %v %v", flags, err)
	}
	control, confined := runVictim(t, dir, s, -1), runVictim(t, dir, s, fd)
	for _, a := range attempts {
		if control[a.name] != a.free {
			t.Errorf("%s: without a ruleset %v, want %v", a.name, control[a.name], a.free)
		}
		if confined[a.name] != a.want {
			t.Errorf("%s: %v, want %v", a.name, confined[a.name], a.want)
		}
	}
}

// Connecting and binding are two rights: what frees one leaves the other as it
// was. And what an ABI does not know is free, on any kernel.
func TestEachRightAlone(t *testing.T) {
	needABI(t, 6)
	free := []string{"connect", "connect elsewhere", "bind", "bind elsewhere", "signal parent", "abstract socket"}
	for _, c := range []struct {
		name    string
		abi     int
		net     Net
		allowed []string
	}{
		{"none", ABI(), Net{}, nil},
		{"any connect", ABI(), Net{Connect: []uint16{0}}, free[:2]},
		{"any bind", ABI(), Net{Bind: []uint16{0}}, free[2:4]},
		{"any of both", ABI(), Net{Connect: []uint16{0}, Bind: []uint16{0}}, free[:4]},
		{"ports of nobody", ABI(), Net{Connect: []uint16{1}, Bind: []uint16{1}}, nil},
		{"any among others", ABI(), Net{Connect: []uint16{1, 0}, Bind: []uint16{0, 1}}, free[:4]},
		{"before scopes", 5, Net{}, free[4:]},
		{"before tcp", 3, Net{}, free},
		{"first", 1, Net{}, free},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, s := stage(t)
			fd, err := Ruleset(c.abi, []Rule{{"/usr", Exec}}, c.net)
			must(t, err)
			defer unix.Close(fd)
			got := runVictim(t, dir, s, fd)
			for _, name := range free {
				if (got[name] == 0) != slices.Contains(c.allowed, name) {
					t.Errorf("%s: %v", name, got[name])
				}
			}
			for _, name := range []string{"read file", "write", "list other", "exec"} {
				if got[name] == 0 {
					t.Errorf("%s: the file system is free as well", name)
				}
			}
		})
	}
}

func TestRulesetErrors(t *testing.T) {
	needABI(t, 6)
	dir, _ := stage(t)
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(d)
	}
	before := count()
	for _, r := range []Rule{
		{filepath.Join(dir, "missing"), Read},
		{filepath.Join(dir, "read"), 0},
		{filepath.Join(dir, "read"), Device},
		{filepath.Join(dir, "read/f"), Device},
		{filepath.Join(dir, "read/f"), Control},
		{filepath.Join(dir, "null"), Terminal},
		{"/proc/self/exe", Read},
	} {
		if fd, err := Ruleset(ABI(), []Rule{{"/usr", Read}, r}, Net{}); err == nil || fd != -1 {
			t.Errorf("%v: %d, %v", r, fd, err)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestHandled(t *testing.T) {
	any, port := []uint16{0}, []uint16{80}
	for _, c := range []struct {
		abi             int
		net             Net
		fs, tcp, scoped uint64
	}{
		{abi: 1, fs: 0x1fff},
		{abi: 2, fs: 0x3fff},
		{abi: 3, fs: 0x7fff},
		{abi: 4, fs: 0x7fff, tcp: 3},
		{abi: 5, net: Net{Connect: port}, fs: 0xffff, tcp: 3},
		{abi: 6, fs: 0xffff, tcp: 3, scoped: 3},
		{abi: 7, net: Net{Connect: any}, fs: 0xffff, tcp: 1, scoped: 3},
		{abi: 7, net: Net{Connect: any, Bind: port}, fs: 0xffff, tcp: 1, scoped: 3},
		{abi: 7, net: Net{Bind: any}, fs: 0xffff, tcp: 2, scoped: 3},
		{abi: 7, net: Net{Connect: any, Bind: any}, fs: 0xffff, scoped: 3},
		{abi: 10, fs: 0x1ffff, tcp: 0xf, scoped: 3},
		{abi: 10, net: Net{Bind: port, UDP: true}, fs: 0x1ffff, tcp: 3, scoped: 3},
		{abi: 99, net: Net{Connect: any, Bind: any, UDP: true}, fs: 0x1ffff, scoped: 3},
	} {
		attr := handled(c.abi, c.net)
		if attr.Handled_access_fs != c.fs || attr.Handled_access_net != c.tcp || attr.Scoped != c.scoped {
			t.Errorf("ABI %d: %+v, want fs %#x net %#x scoped %d", c.abi, attr, c.fs, c.tcp, c.scoped)
		}
	}
	if fd, err := Ruleset(0, nil, Net{}); err == nil || fd != -1 {
		t.Errorf("without Landlock: %d, %v", fd, err)
	}
	for _, a := range []Access{Read, Exec, Write, Device, Control, Terminal} {
		rights := uint64(a)
		if rights&(unix.LANDLOCK_ACCESS_FS_MAKE_CHAR|unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK) != 0 ||
			rights&unix.LANDLOCK_ACCESS_FS_IOCTL_DEV != 0 && a != Terminal && a != Control {
			t.Errorf("%#x grants rights on devices", a)
		}
		if rights&^known(99).Handled_access_fs != 0 {
			t.Errorf("%#x grants more than is handled", a)
		}
	}
}
