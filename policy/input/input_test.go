package input

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"casemate/tests/need"
)

// Who writes the policy becomes root: the broker takes it only from root, from
// root's directories, whatever its mode.
func TestReadOwn(t *testing.T) {
	need.Root(t, "it gives files to other users")
	const bob = 1000
	for _, tt := range []struct {
		name, want string
		make       func(up string) error // up holds the directory p with a.cm.hcl
	}{
		{"root's", "", func(string) error { return nil }},
		{"root's link", "", func(up string) error { return errors.Join(os.Rename(up+"/p", up+"/q"), os.Symlink("q", up+"/p")) }},
		{"bob's file", "/p/a.cm.hcl belongs to uid 1000, who may change it: run chown root ", func(up string) error { return os.Chown(up+"/p/a.cm.hcl", bob, bob) }},
		{"bob's directory", "/p belongs to uid 1000", func(up string) error { return os.Chown(up+"/p", bob, bob) }},
		{"bob's directory above", "belongs to uid 1000, who could put something else in place of p", func(up string) error { return os.Chown(up, bob, bob) }},
		{"a directory of all above", "everybody may change what is in it", func(up string) error { return os.Chmod(up, 0o777) }},
		{"all bob's", "belongs to uid 1000", func(up string) error {
			return errors.Join(os.Chown(up, bob, bob), os.Chown(up+"/p", bob, bob), os.Chown(up+"/p/a.cm.hcl", bob, bob))
		}},
		{"bob's link", "is a link of uid 1000", func(up string) error {
			return errors.Join(os.Rename(up+"/p", up+"/q"), os.Symlink("q", up+"/p"), os.Lchown(up+"/p", bob, bob))
		}},
		{"a file of all", "/p/a.cm.hcl has mode 0646: others than root may change it: run chmod go-w ", func(up string) error { return os.Chmod(up+"/p/a.cm.hcl", 0o646) }},
		{"fifo", "not a regular file", func(up string) error { return errors.Join(os.RemoveAll(up+"/p"), syscall.Mkfifo(up+"/p", 0o600)) }},
	} {
		for _, name := range []string{"/p", "/p/a.cm.hcl"} {
			t.Run(tt.name+name, func(t *testing.T) {
				up := t.TempDir()
				if err := errors.Join(os.Chmod(up, 0o755), os.Mkdir(up+"/p", 0o755), os.WriteFile(up+"/p/a.cm.hcl", []byte("x"), 0o644), tt.make(up)); err != nil {
					t.Fatal(err)
				}
				files, err := ReadOwn(up + name)
				switch {
				case tt.want == "" && (err != nil || len(files) != 1 || files[0].Name != up+"/p/a.cm.hcl" || string(files[0].Data) != "x"):
					t.Errorf("%+v %v", files, err)
				case tt.want != "" && name == "/p" && (files != nil || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("want ...%s..., got %v", tt.want, err)
				case tt.want != "" && err == nil:
					t.Error("read")
				}
			})
		}
	}
	dir := t.TempDir() // where others may add a file, one that is named may lie, but not be found
	if err := errors.Join(os.WriteFile(dir+"/a.cm.hcl", nil, 0o644), os.Chmod(dir, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadOwn(dir); err == nil || !strings.Contains(err.Error(), "has mode 1777: others than root may change it") {
		t.Error(err)
	}
	if _, err := ReadOwn(dir + "/a.cm.hcl"); err != nil {
		t.Error(err)
	}
}

// TestMissingTables: the files that libwrap and an inetd take for empty where they are missing are so
// here, and no other.
func TestMissingTables(t *testing.T) {
	for _, path := range []string{"/etc/hosts.deny.x", "/nowhere/hosts.deny", "/etc/no-such.cm.hcl"} {
		if _, err := ReadOwn(path); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"/etc/hosts.allow", "/etc/hosts.deny", "/etc/inetd.d"} {
		_, err := os.Stat(path)
		files, got := ReadOwn(path)
		if errors.Is(err, os.ErrNotExist) && (got != nil || files != nil) {
			t.Errorf("%s: %v, %v", path, files, got)
		}
	}
}
