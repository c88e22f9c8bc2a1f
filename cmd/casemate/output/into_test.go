package output

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
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
	if _, err := into.Open(); err != nil {
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
	if _, err := into.Open(); err != nil {
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
	if _, err := twice.Open(); err == nil || !strings.Contains(err.Error(), "one file") {
		t.Error(err)
	}
	twice.Close()
	if _, err := (&Into{Formats: All, files: []*target{{JSON, dir, "", nil, false}}}).Open(); err == nil {
		t.Error("a directory is taken for a file")
	}
}

// TestIntoPipe writes to what is no regular file as it is.
func TestIntoPipe(t *testing.T) {
	into := &Into{Formats: All}
	if err := into.Set("json=/dev/null"); err != nil {
		t.Fatal(err)
	}
	if dirs, err := into.Open(); err != nil || len(dirs) > 0 {
		t.Fatal(dirs, err)
	}
	if err := into.Write(func(_ Format, w io.Writer) error { _, err := io.WriteString(w, "x"); return err }); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Error("replaced", err)
	}
}
