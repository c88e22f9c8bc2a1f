package output

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInto writes several files at once, each whole or as it was.
func TestInto(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("old"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("old", in("link")); err != nil {
		t.Fatal(err)
	}
	into := &Into{Formats: All}
	for _, word := range []string{"json=" + in("new"), "sarif=" + in("link")} {
		if err := into.Set(word); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := into.Open(nil); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(in("old")); string(text) != "old" {
		t.Errorf("before anything is written: %q", text)
	}
	if err := into.Write(func(f Format, w io.Writer) error { _, err := io.WriteString(w, string(f)); return err }); err != nil {
		t.Fatal(err)
	}
	into.Close()
	for name, want := range map[string]string{"new": "json", "old": "sarif"} {
		if text, _ := os.ReadFile(in(name)); string(text) != want {
			t.Errorf("%s: %q", name, text)
		}
	}
	if info, err := os.Lstat(in("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	if info, err := os.Stat(in("old")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode has changed: %v %v", info, err)
	}
}

// TestIntoFails leaves what was there, and nothing else.
func TestIntoFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "old")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	into := &Into{Formats: All}
	if err := errors.Join(into.Set("json="+name), into.Set("text="+filepath.Join(dir, "new"))); err != nil {
		t.Fatal(err)
	}
	if _, err := into.Open(nil); err != nil {
		t.Fatal(err)
	}
	if err := into.Write(func(Format, io.Writer) error { return errors.New("no answer") }); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Error(err)
	}
	into.Close()
	left, err := os.ReadDir(dir)
	if text, _ := os.ReadFile(name); err != nil || string(text) != "old" || len(left) != 1 {
		t.Errorf("%q, %v %v", text, left, err)
	}
	for _, word := range []string{"json", "json=", "yaml=x", "=x", ""} {
		if err := (&Into{Formats: All}).Set(word); err == nil {
			t.Errorf("%q is taken", word)
		}
	}
	twice := &Into{Formats: All}
	if err := errors.Join(twice.Set("json="+name), twice.Set("text="+dir+"/./old")); err != nil {
		t.Fatal(err)
	}
	if _, err := twice.Open(nil); err == nil || !strings.Contains(err.Error(), "one file") {
		t.Error(err)
	}
	twice.Close()
	if _, err := (&Into{Formats: All, files: []*target{{JSON, dir, "", nil}}}).Open(nil); err == nil {
		t.Error("a directory is taken for a file")
	}
}

// TestIntoRefuses what is no regular file (without waiting for who reads a pipe), what a policy's files are named like, and
// what is read; nothing is left beside.
func TestIntoRefuses(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"compiled.json", "p.cm.hcl"} {
		if err := os.WriteFile(in(name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", in("socket"))
	if err := errors.Join(err, syscall.Mkfifo(in("pipe"), 0o600), os.Symlink("pipe", in("to-pipe")), os.Symlink("p.cm.hcl", in("to-policy")), os.Symlink("nothing", in("nowhere"))); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]string{"pipe": "no regular file", "to-pipe": "no regular file", "socket": "no regular file", "/dev/null": "no regular file", "/dev/full": "no regular file",
		"nowhere": "leads nowhere", "compiled.json": "what is read", "p.cm.hcl": "files of a policy", "to-policy": "files of a policy", "new.cm.hcl": "files of a policy",
		"new.cmtest.hcl": "files of a policy", "inetd.conf": "files of a policy"} {
		if !filepath.IsAbs(name) {
			name = in(name)
		}
		into := &Into{Formats: All}
		if err := into.Set("json=" + name); err != nil {
			t.Fatal(err)
		}
		if _, err := into.Open([]string{"finger", in("compiled.json")}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		into.Close()
	}
	for _, name := range []string{"compiled.json", "p.cm.hcl"} {
		if text, err := os.ReadFile(in(name)); err != nil || string(text) != "old" {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 7 {
		t.Errorf("%v %v", left, err)
	}
}
