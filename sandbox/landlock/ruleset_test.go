package landlock

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// needABI skips where the kernel lacks Landlock of that ABI.
func needABI(t *testing.T, abi int) {
	t.Helper()
	if have := ABI(); have < abi {
		need.Skip(t, "needs Landlock ABI %d, the kernel has %d", abi, have)
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
	fd, err := Ruleset([]Rule{
		{"/usr", Exec}, {"/lib64", Exec}, // what /bin/true needs itself
		at(Read, "link"), at(Exec, "exec"), at(Write, "write"), at(Write, "write2"), at(Device, "null"), at(Terminal, "dev"),
		at(Exec, "single/true"), at(Read, "single/f"), at(Write, "single/w"),
	}, Net{Connect: []uint16{uint16(s.Open)}, Bind: []uint16{uint16(s.Bindable)}}, true)
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

// A ruleset without ports and one that leaves the network alone.
func TestRulesetNetModes(t *testing.T) {
	needABI(t, 6)
	for _, c := range []struct {
		name    string
		net     Net
		scopes  bool
		allowed map[string]bool
	}{
		{"none", Net{}, true, nil},
		{"any connect", Net{Connect: []uint16{0}}, true, map[string]bool{"connect": true, "connect elsewhere": true}},
		{"unrestricted", Net{Unrestricted: true}, false, map[string]bool{"connect": true, "connect elsewhere": true, "bind": true, "bind elsewhere": true, "signal parent": true, "abstract socket": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, s := stage(t)
			fd, err := Ruleset([]Rule{{"/usr", Exec}}, c.net, c.scopes)
			must(t, err)
			defer unix.Close(fd)
			got := runVictim(t, dir, s, fd)
			for _, name := range []string{"connect", "connect elsewhere", "bind", "bind elsewhere", "signal parent", "abstract socket"} {
				if (got[name] == 0) != c.allowed[name] {
					t.Errorf("%s: %v", name, got[name])
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
		{filepath.Join(dir, "null"), Terminal},
		{"/proc/self/exe", Read},
	} {
		if fd, err := Ruleset([]Rule{{"/usr", Read}, r}, Net{}, true); err == nil || fd != -1 {
			t.Errorf("%v: %d, %v", r, fd, err)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestHandled(t *testing.T) {
	for _, c := range []struct {
		abi     int
		net     Net
		scopes  bool
		feature string // of the error
		fs, tcp uint64
	}{
		{abi: 0, net: Net{Unrestricted: true}, feature: "landlock"},
		{abi: 1, net: Net{Unrestricted: true}, fs: 0x1fff},
		{abi: 3, feature: "tcp ports"},
		{abi: 4, scopes: true, feature: "scopes"},
		{abi: 4, fs: 0x7fff, tcp: 3},
		{abi: 7, scopes: true, fs: 0xffff, tcp: 3},
		{abi: 7, net: Net{Connect: []uint16{0, 53}}, fs: 0xffff, tcp: 1},
		{abi: 10, fs: 0x1ffff, tcp: 0xf},
		{abi: 10, net: Net{Bind: []uint16{80}}, fs: 0x1ffff, tcp: 3},
		{abi: 99, net: Net{Unrestricted: true}, fs: 0x1ffff},
	} {
		attr, err := handled(c.abi, c.net, c.scopes)
		if c.feature != "" {
			var u *UnsupportedError
			if !errors.As(err, &u) || u.Feature != c.feature || !errors.Is(err, ErrUnsupported) {
				t.Errorf("ABI %d: %v, want missing %s", c.abi, err, c.feature)
			}
			continue
		}
		if err != nil || attr.Handled_access_fs != c.fs || attr.Handled_access_net != c.tcp || (attr.Scoped == 3) != c.scopes {
			t.Errorf("ABI %d: %+v %v, want fs %#x net %#x", c.abi, attr, err, c.fs, c.tcp)
		}
	}
	for a, rights := range grants {
		if rights&(unix.LANDLOCK_ACCESS_FS_MAKE_CHAR|unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK) != 0 ||
			rights&unix.LANDLOCK_ACCESS_FS_IOCTL_DEV != 0 && a != Terminal {
			t.Errorf("%s grants device rights: %#x", a, rights)
		}
		if rights&^known(99).Handled_access_fs != 0 {
			t.Errorf("%s grants more than is handled: %#x", a, rights)
		}
	}
}
