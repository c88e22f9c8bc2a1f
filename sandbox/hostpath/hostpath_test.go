package hostpath

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestOpen(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.MkdirAll(at("d/e"), 0o755), os.WriteFile(at("d/f"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"up": "d/../d/./e/..//f", "abs": at("d"), "chain": "abs", "loop": "loop", "top": strings.Repeat("../", 60) + dir[1:], "mounts": "/proc/self/mounts", "magic": "/proc/self/exe", "gone": "nowhere"} {
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
		{name: "top", real: "", links: []string{"top"}},
		{name: "d/nope/x", fails: at("d/nope") + ": no such file"},
		{name: "gone", fails: at("nowhere") + ": no such file"},
		{name: "d/f/x", fails: "not a directory"},
		{name: "loop", fails: "too many levels"},
		{name: "mounts", fails: "procfs"},
		{name: "magic", fails: "procfs"},
	} {
		before := descriptors(t)
		f, err := Open(at(c.name))
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", c.name, err, c.fails)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else {
			var links []string
			for _, k := range f.Links {
				links = append(links, strings.TrimPrefix(k.Path, dir+"/"))
			}
			var b unix.Stat_t
			if err := unix.Stat(at(c.real), &b); err != nil || f.ID() != id(&b) {
				t.Errorf("%s: %v, not the file at %s", c.name, err, c.real)
			}
			if f.Real != at(c.real) || !slices.Equal(links, c.links) || f.IsDir() != (b.Mode&unix.S_IFMT == unix.S_IFDIR) {
				t.Errorf("%s: %+v", c.name, f)
			}
			f.Close()
		}
		if after := descriptors(t); after != before {
			t.Errorf("%s: %d descriptors before, %d after", c.name, before, after)
		}
	}
}

// FuzzOpen holds the walk to the kernel's own answer: for every path it
// opens, open(2) finds the same file there.
func FuzzOpen(f *testing.F) {
	for _, p := range []string{"/lib", "/bin/sh", "/etc/localtime", "/usr/../bin", "/dev/null", "/proc/self/exe", "/tmp/./x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if !filepath.IsAbs(p) || strings.ContainsRune(p, 0) || filepath.Clean(p) != p {
			return
		}
		h, err := Open(p)
		if err != nil {
			return
		}
		defer h.Close()
		var mine, kernel, real unix.Stat_t
		if err := errors.Join(unix.Fstat(h.FD, &mine), unix.Stat(p, &kernel), unix.Lstat(h.Real, &real)); err != nil {
			t.Fatal(err)
		}
		if mine.Ino != kernel.Ino || mine.Dev != kernel.Dev || mine.Ino != real.Ino || filepath.Clean(h.Real) != h.Real {
			t.Errorf("%q leads to %q", p, h.Real)
		}
	})
}
