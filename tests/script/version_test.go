package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"casemate/tests/need"
)

// TestOneVersion: the three binaries say the same word, which comes from the tag,
// in a checkout and in a tarball alike; elsewhere from VERSION.
func TestOneVersion(t *testing.T) {
	t.Parallel()
	git := need.Programs(t, "git", "tar", "gcc")[0]
	top := strings.TrimSpace(output(t, ".", "go", "env", "GOMOD"))
	dir := t.TempDir()
	clone, tarball := filepath.Join(dir, "clone"), filepath.Join(dir, "tarball")
	copyTree(t, filepath.Dir(top), clone)
	// The source under test may itself come from an archive.
	file := filepath.Join(clone, "cmd/version/version.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(const archived = ).*`).ReplaceAll(text, []byte(`$1"$$Format:%(describe:tags=true,abbrev=12)$$"`))
	text = regexp.MustCompile(`(const archivedCommit = ).*`).ReplaceAll(text, []byte(`$1"$$Format:%H$$"`))
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}, {"tag", "v1.2.3"}} {
		output(t, clone, git, args...)
	}
	if err := os.Mkdir(tarball, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, clone, git, "archive", "-o", filepath.Join(dir, "x.tar"), "HEAD")
	output(t, tarball, "tar", "xf", filepath.Join(dir, "x.tar"))
	for _, c := range []struct{ name, verb, where, ldflags, want string }{
		{"casemate", "version", clone, "", "v1.2.3"},
		{"casemated", "--version", clone, "", "v1.2.3"},
		{"casemate-worker", "version", clone, "", "v1.2.3"},
		{"casemate-worker", "version", tarball, "", "v1.2.3"},
		{"casemate-worker", "version", tarball, "-X casemate/cmd/version.linked=1.2.3-4", "1.2.3-4"},
	} {
		bin := filepath.Join(c.where, "bin", c.name)
		output(t, c.where, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags", c.ldflags, "-o", bin, "./cmd/"+c.name)
		if got := strings.Fields(output(t, c.where, bin, c.verb)); len(got) < 2 || got[1] != c.want {
			t.Errorf("%s in %s with %q: %v, want %s", c.name, filepath.Base(c.where), c.ldflags, got, c.want)
		}
	}
}

// copyTree copies what the project consists of, and not what was built from it.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if slices.Contains([]string{".git", "bin", ".cache"}, e.Name()) {
			continue
		}
		if source := filepath.Join(from, e.Name()); e.IsDir() {
			err = os.CopyFS(filepath.Join(to, e.Name()), os.DirFS(source))
		} else {
			var text []byte
			if text, err = os.ReadFile(source); err == nil {
				err = os.WriteFile(filepath.Join(to, e.Name()), text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func output(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a",
		"GIT_COMMITTER_EMAIL=a@example.org", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return string(out)
}
