package hostpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSource(t *testing.T) {
	m := Map{"/": "/srv/root", "/lib": "/opt/lib", "/lib/a/b": "/srv/b"}
	for in, want := range map[string]string{
		"/": "/srv/root", "/bin/sh": "/srv/root/bin/sh", "/lib": "/opt/lib", "/lib/a": "/opt/lib/a", "/lib/a/b/c": "/srv/b/c", "/libx": "/srv/root/libx", "null": "null",
	} {
		if got := m.Source(in); got != want {
			t.Errorf("%s is at %s, want %s", in, got, want)
		}
	}
	if got := (Map{"/a": "/b"}).Source("/ab/c"); got != "/ab/c" {
		t.Error(got)
	}
}

// TestOpenMap: names lead through the map alone, links of a source with them.
func TestOpenMap(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root/usr/lib", "root/etc", "other/deep", "out"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	for _, name := range []string{"root/usr/lib/f", "root/etc/f", "other/deep/f", "out/f"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	for name, text := range map[string]string{
		"root/lib": "usr/lib", "root/etc/abs": "/usr/lib/f", "root/etc/out": dir + "/out/f", "root/etc/up": "../../../../../../../../../../usr/lib", "root/etc/other": "../other/deep/f", "other/back": "../etc/f",
		"slash": "/",
	} {
		err = errors.Join(err, os.Symlink(text, filepath.Join(dir, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	m := Map{"/": dir + "/root", "/other": dir + "/other", "/new/place": dir + "/out"}
	for _, c := range []struct {
		m                     Map
		name, real, host, err string
	}{
		{m, "/etc/f", "/etc/f", "root/etc/f", ""},
		{m, "/lib/f", "/usr/lib/f", "root/usr/lib/f", ""},
		{m, "/etc/abs", "/usr/lib/f", "root/usr/lib/f", ""},
		{m, "/etc/up/f", "/usr/lib/f", "root/usr/lib/f", ""},
		{m, "/etc/other", "/other/deep/f", "other/deep/f", ""},
		{m, "/other/back", "/etc/f", "root/etc/f", ""},
		{m, "/other", "/other", "other", ""},
		{m, "/new/place/f", "/new/place/f", "out/f", ""},
		{m, "/etc/out", "", "", "no such file"},
		{m, dir + "/out/f", "", "", "no such file"},
		{m, "/new", "", "", "no such file"},
		{m, "/new/f", "", "", "open " + dir + "/root/new/f: no such file"},
		{Map{dir + "/new/way": dir + "/out"}, dir + "/new/way/f", dir + "/new/way/f", "out/f", ""},
		{Map{"/x": dir + "/slash"}, "/x/etc", "", "", "leads to the root directory"},
		{Map{"/": dir + "/nothing"}, "/x", "", "", dir + "/nothing: no such file"},
		{Map{"/": "/proc/self/root"}, "/x", "", "", "procfs"},
	} {
		before := descriptors(t)
		f, err := c.m.Open(c.name)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v %s: %v, want %q", c.m, c.name, err, c.err)
			}
		case err != nil:
			t.Errorf("%v %s: %v", c.m, c.name, err)
		default:
			if f.Real != c.real || f.Host != filepath.Join(dir, c.host) {
				t.Errorf("%s is %s, of the host %s", c.name, f.Real, f.Host)
			}
			f.Close()
		}
		if n := descriptors(t); n != before {
			t.Errorf("%s: %d descriptors, %d before", c.name, n, before)
		}
	}
	// What may be written on the way to a source counts as what may be written on the way to a name.
	w, err := Open(dir + "/other")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f, err := (Map{"/a": dir + "/other/deep"}).Open("/a/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at, ok := f.Below([]ID{w.ID()}); !ok || at != dir+"/other" {
		t.Errorf("below %q, %v", at, ok)
	}
}
