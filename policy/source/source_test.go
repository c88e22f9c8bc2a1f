package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"casemate/policy"
	"casemate/policy/input"
)

func TestRead(t *testing.T) {
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
	files, err := Read(dir)
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
	one, err := Read(filepath.Join(dir, "notes.txt"))
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

func TestReadRefuses(t *testing.T) {
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
		{"large", "larger than 1MiB", func(dir, file string) error { return os.Truncate(file, input.MaxSourceFile+1) }},
		{"large together", "the policy is larger than 8MiB", func(dir, file string) error {
			for _, c := range "bcdefghij" {
				name := filepath.Join(dir, string(c)+input.SourceSuffix)
				if err := os.WriteFile(name, make([]byte, input.MaxSourceFile), 0o600); err != nil {
					return err
				}
			}
			return nil
		}},
		{"missing", "no such file", func(dir, file string) error { return os.RemoveAll(dir) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "p")
			file := filepath.Join(dir, "a"+input.SourceSuffix)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(dir, file); err != nil {
				t.Fatal(err)
			}
			files, err := Read(dir)
			var se *Error
			if files != nil || !errors.As(err, &se) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("want ...%s..., got %v", tt.want, err)
			}
			if d := se.Diagnostic(); d.File == "" || d.Severity != policy.SeverityError {
				t.Errorf("diagnostic %+v", d)
			}
		})
	}
}

func TestGroupWritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a"+input.SourceSuffix)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, file, 0o660)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Read(file)
	if root := info.Sys().(*syscall.Stat_t).Gid == 0; root != (err == nil) {
		t.Errorf("group root %v, error %v", root, err)
	}
}
