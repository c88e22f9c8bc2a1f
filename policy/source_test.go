package policy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate/tests/need"
)

func TestReadSources(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o755)
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("b.cm.hcl", "b")
	put("a.cm.hcl", "a")
	put("B.cm.hcl", "B")
	put(".hidden.cm.hcl", "x")
	put("notes.txt", "x")
	put("a.cm.hcl~", "x")
	files, err := ReadSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range files {
		got += filepath.Base(f.Name) + "=" + string(f.Data) + " "
	}
	if got != "B.cm.hcl=B a.cm.hcl=a b.cm.hcl=b " {
		t.Errorf("got %s", got)
	}
	one, err := ReadSources(filepath.Join(dir, "notes.txt"))
	if err != nil || len(one) != 1 {
		t.Errorf("a file that is named is read whatever its name: %v", err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestReadSourcesRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		make       func(dir, file string) error
	}{
		{"empty directory", "no policy file", func(dir, file string) error { return os.Remove(file) }},
		{"world-writable file", "world-writable (mode 0666)", func(dir, file string) error { return os.Chmod(file, 0o666) }},
		{"world-writable directory", "world-writable", func(dir, file string) error { return os.Chmod(dir, 0o777) }},
		{"sticky directory", "world-writable", func(dir, file string) error { return os.Chmod(dir, 0o777|fs.ModeSticky) }},
		{"fifo", "not a regular file", func(dir, file string) error { return syscall.Mkfifo(filepath.Join(dir, "b.cm.hcl"), 0o600) }},
		{"directory", "not a regular file", func(dir, file string) error { return os.Mkdir(filepath.Join(dir, "b.cm.hcl"), 0o700) }},
		{"link out", "escapes", func(dir, file string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "b.cm.hcl")) }},
		{"large", "larger than 1MiB", func(dir, file string) error { return os.Truncate(file, MaxSourceFile+1) }},
		{"large together", "larger than 8MiB", func(dir, file string) error {
			for _, c := range "bcdefghij" {
				name := filepath.Join(dir, string(c)+SourceSuffix)
				if err := os.WriteFile(name, make([]byte, MaxSourceFile), 0o600); err != nil {
					return err
				}
			}
			return nil
		}},
		{"missing", "no such file", func(dir, file string) error { return os.RemoveAll(dir) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "p")
			file := filepath.Join(dir, "a"+SourceSuffix)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(dir, file); err != nil {
				t.Fatal(err)
			}
			files, err := ReadSources(dir)
			var se *SourceError
			if files != nil || !errors.As(err, &se) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("want ...%s..., got %v", tt.want, err)
			}
			if d := se.Diagnostic(); d.File == "" || d.Severity != SeverityError {
				t.Errorf("diagnostic %+v", d)
			}
		})
	}
}

func TestGroupWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a"+SourceSuffix)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, file, 0o660)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ReadSources(file)
	if root := info.Sys().(*syscall.Stat_t).Gid == 0; root != (err == nil) {
		t.Errorf("group root %v, error %v", root, err)
	}
}

// Who writes the policy becomes root: the broker takes it only from root, from
// root's directories, whatever its mode.
func TestReadOwnSources(t *testing.T) {
	need.Root(t, "it gives files to other users")
	const bob = 1000
	for _, tt := range []struct {
		name, want string
		make       func(up string) error // up holds the directory p with a.cm.hcl
	}{
		{"root's", "", func(string) error { return nil }},
		{"root's link", "", func(up string) error { return errors.Join(os.Rename(up+"/p", up+"/q"), os.Symlink("q", up+"/p")) }},
		{"bob's file", "/p/a.cm.hcl: belongs to uid 1000, who may change it: run chown root ", func(up string) error { return os.Chown(up+"/p/a.cm.hcl", bob, bob) }},
		{"bob's directory", "/p: belongs to uid 1000", func(up string) error { return os.Chown(up+"/p", bob, bob) }},
		{"bob's directory above", "belongs to uid 1000, who could put something else in place of p", func(up string) error { return os.Chown(up, bob, bob) }},
		{"a directory of all above", "everybody may change what is in it", func(up string) error { return os.Chmod(up, 0o777) }},
		{"all bob's", "belongs to uid 1000", func(up string) error {
			return errors.Join(os.Chown(up, bob, bob), os.Chown(up+"/p", bob, bob), os.Chown(up+"/p/a.cm.hcl", bob, bob))
		}},
		{"bob's link", "is a link of uid 1000", func(up string) error {
			return errors.Join(os.Rename(up+"/p", up+"/q"), os.Symlink("q", up+"/p"), os.Lchown(up+"/p", bob, bob))
		}},
		{"fifo", "not a regular file", func(up string) error { return errors.Join(os.RemoveAll(up+"/p"), syscall.Mkfifo(up+"/p", 0o600)) }},
	} {
		for _, name := range []string{"/p", "/p/a.cm.hcl"} {
			t.Run(tt.name+name, func(t *testing.T) {
				up := t.TempDir()
				chmod(t, up, 0o755)
				if err := errors.Join(os.Mkdir(up+"/p", 0o755), os.WriteFile(up+"/p/a.cm.hcl", []byte("x"), 0o644), tt.make(up)); err != nil {
					t.Fatal(err)
				}
				files, err := ReadOwnSources(up + name)
				var se *SourceError
				switch {
				case tt.want == "" && (err != nil || len(files) != 1 || files[0].Name != up+"/p/a.cm.hcl" || string(files[0].Data) != "x"):
					t.Errorf("%+v %v", files, err)
				case tt.want != "" && name == "/p" && (files != nil || !errors.As(err, &se) || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("want ...%s..., got %v", tt.want, err)
				case tt.want != "" && err == nil:
					t.Error("read")
				}
			})
		}
	}
}
