package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchive: cpio(1) lists what was added, and every folder stands before what
// is in it, for the kernel makes none.
func TestArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd")
	if err := os.WriteFile(path, []byte("123"), 0o640); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := newArchive(&out)
	a.file("a/b/deep/odd", path, 0o644)
	a.text("c/d/e", "text", 0o755)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{".": true}
	for rest := out.Bytes(); ; {
		head := string(rest[:110])
		length, size := field(t, head, 11), field(t, head, 6)
		name := string(rest[110 : 110+length-1])
		if name == "TRAILER!!!" {
			break
		}
		if !names[filepath.Dir(name)] {
			t.Errorf("%s stands before its folder", name)
		}
		names[name] = true
		rest = rest[(110+length+3)&^3:]
		if name == "a/b/deep/odd" && string(rest[:size]) != "123" || name == "c/d/e" && string(rest[:size]) != "text" {
			t.Errorf("%s holds %q", name, rest[:size])
		}
		rest = rest[(size+3)&^3:]
	}
	for _, want := range []string{"a/b/deep/odd", "c/d/e"} {
		if !names[want] {
			t.Errorf("%s is missing", want)
		}
	}
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		return
	}
	cmd := exec.Command(cpio, "-it", "--quiet")
	cmd.Stdin = &out
	if text, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(text), "a/b/deep/odd\n") {
		t.Errorf("cpio -it: %v\n%s", err, text)
	}
}

// field is the n-th number of a head.
func field(t *testing.T, head string, n int) int {
	t.Helper()
	v := 0
	for _, c := range []byte(head[6+8*n : 14+8*n]) {
		d := strings.IndexByte("0123456789abcdef", c)
		if d < 0 {
			t.Fatalf("head %q", head)
		}
		v = v<<4 | d
	}
	return v
}
