package script

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/need"
)

// TestReproducible (CA-1999-01: a wrapper was handed out with a trojan in it): whoever builds a
// release anew, wherever the source lies, gets the same bytes, and can tell that a binary
// comes from it. The static casemated with its C stands for all of them.
func TestReproducible(t *testing.T) {
	t.Parallel()
	need.Programs(t, "make", "gcc", "pkg-config")
	top := strings.TrimSpace(output(t, ".", "go", "env", "GOMOD"))
	var sums [][sha256.Size]byte
	for _, name := range []string{"here", "there/else"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		copyTree(t, filepath.Dir(top), dir)
		// The recipe of make build, of one program.
		recipe := ""
		for line := range strings.Lines(output(t, dir, "make", "-sn", "build", "VERSION=1.2.3")) {
			if strings.Contains(line, "CGO_ENABLED=1 go build") {
				recipe = strings.Replace(line, "./cmd/casemate-filter", "", 1)
			}
		}
		if recipe == "" {
			t.Fatal("make build has no line that builds casemated")
		}
		if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
		output(t, dir, "sh", "-c", recipe)
		text, err := os.ReadFile(filepath.Join(dir, "bin/casemated"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, filepath.Dir(top)} { // objects may come out of a cache that both share
			if bytes.Contains(text, []byte(path)) {
				t.Errorf("casemated holds the name of the directory in which it was built, %s", path)
			}
		}
		sums = append(sums, sha256.Sum256(text))
	}
	if sums[0] != sums[1] {
		t.Errorf("casemated is %x when built in one directory, and %x in another", sums[0], sums[1])
	}
}
