package commit

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy/input"
	"casemate/tests/need"
)

// repository is one with two commits: the first has a policy, the second nothing. git runs in it from then on.
func repository(t *testing.T) (run func(args ...string) string) {
	program := need.Programs(t, "git")[0]
	t.Chdir(t.TempDir())
	run = func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program, append([]string{"-c", "user.name=n", "-c", "user.email=e@example.org"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "-q")
	write("p/a.cm.hcl", "a\n")
	write("p/b.cm.hcl", "b\n")
	write("p/.hidden.cm.hcl", "no\n")
	write("p/README", "no\n")
	write("p/deeper/c.cm.hcl", "no\n")
	write("inetd.conf", "table\n")
	write("-n.cm.hcl", "dash\n")
	write("large.cm.hcl", strings.Repeat("x", input.MaxSourceFile+1))
	run("add", ".")
	run("commit", "-qm", "one")
	run("tag", "first")
	return run
}

func TestRead(t *testing.T) {
	run := repository(t)
	run("rm", "-rqf", "p")
	run("commit", "-qm", "two")
	for name, want := range map[string]string{
		"git:first:p":              "git:first:p/a.cm.hcl=a git:first:p/b.cm.hcl=b",
		"git:first:p/":             "git:first:p/a.cm.hcl=a git:first:p/b.cm.hcl=b",
		"git:HEAD~1:./p":           "git:HEAD~1:./p/a.cm.hcl=a git:HEAD~1:./p/b.cm.hcl=b",
		"git:first:p/b.cm.hcl":     "git:first:p/b.cm.hcl=b",
		"git:HEAD:inetd.conf":      "git:HEAD:inetd.conf=table",
		"git:HEAD:-n.cm.hcl":       "git:HEAD:-n.cm.hcl=dash",
		"git:HEAD:p":               `! commit "HEAD" has no "p"`,
		"git:HEAD:large.cm.hcl":    "! larger than 1048576 bytes",
		"git:HEAD:":                "! larger than 1048576 bytes",
		"git:HEAD":                 "! it names no path",
		"git::p":                   "! is no commit",
		"git:--all:p":              "! is no commit",
		"git:-h:p":                 "! is no commit",
		"git:first..HEAD:p":        "! git knows no commit",
		"git:HEAD^{tree}:p":        "! ",
		"git:first:p/a.cm.hcl/x":   "! ",
		"git:first:../p":           "! ",
		"git:first:p/deeper/../..": "! ",
	} {
		files, err := Read(t.Context(), name, false)
		var got []string
		for _, f := range files {
			got = append(got, f.Name+"="+strings.TrimSpace(string(f.Data)))
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = "! " + err.Error()
		}
		if fault, failed := strings.CutPrefix(want, "! "); text != want && !(failed && err != nil && strings.Contains(text, fault)) {
			t.Errorf("%s: %s, want %s", name, text, want)
		}
	}
	t.Chdir(t.TempDir())
	if _, err := Read(t.Context(), "git:HEAD:p", false); err == nil || !strings.Contains(err.Error(), "git") {
		t.Errorf("outside of a repository: %v", err)
	}
}

// TestNothingRuns: what a repository's own configuration would have git run, it does not, and an object that is not there is not fetched;
// what stands in the place of another object is not what the commit has. git by itself does and takes all of it.
func TestNothingRuns(t *testing.T) {
	run := repository(t)
	ran := filepath.Join(t.TempDir(), "ran")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	a := run("rev-parse", "HEAD:p/a.cm.hcl")
	other := run("rev-parse", "HEAD:p/b.cm.hcl")
	run("replace", a, other)
	if got := run("cat-file", "blob", a); got != "b" {
		t.Fatalf("git does not take the replacement: %q", got)
	}
	run("config", "core.fsmonitor", script)
	run("config", "core.pager", script)
	run("config", "protocol.ext.allow", "always")
	run("config", "extensions.partialClone", "origin")
	run("config", "core.repositoryFormatVersion", "1")
	run("config", "remote.origin.url", "ext::"+script)
	run("config", "remote.origin.promisor", "true")
	files, err := Read(t.Context(), "git:HEAD:p", false)
	if err != nil || len(files) != 2 || !bytes.Equal(files[0].Data, []byte("a\n")) {
		t.Errorf("%+v, %v", files, err)
	}
	if err := os.Remove(filepath.Join(".git", "objects", other[:2], other[2:])); err != nil {
		t.Fatal(err)
	}
	if files, err := Read(t.Context(), "git:HEAD:p", false); err == nil {
		t.Errorf("an object that is gone: %+v", files)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something ran")
	}
	// The control: git by itself fetches, by what the remote is.
	_ = exec.Command("git", "cat-file", "blob", other).Run()
	if _, err := os.Stat(ran); err != nil {
		t.Error("nothing runs without our care either: the test shows nothing")
	}
}

// TestAmbiguousName: a tag with the name of a branch, which would take its place in the review, is refused, also where the
// repository's configuration wants no word about it.
func TestAmbiguousName(t *testing.T) {
	run := repository(t)
	run("branch", "base")
	run("rm", "-rqf", "p/b.cm.hcl")
	run("commit", "-qm", "two")
	if _, err := Read(t.Context(), "git:base:p", false); err != nil {
		t.Fatal(err)
	}
	run("tag", "base")
	run("config", "core.warnAmbiguousRefs", "false")
	for _, rev := range []string{"base", "base~0"} {
		if _, err := Read(t.Context(), "git:"+rev+":p", false); err == nil || !strings.Contains(err.Error(), "refs/heads/NAME") {
			t.Errorf("%s: %v", rev, err)
		}
	}
	for rev, want := range map[string]int{"refs/heads/base": 2, "refs/tags/base": 1} {
		if files, err := Read(t.Context(), "git:"+rev+":p", false); err != nil || len(files) != want {
			t.Errorf("%s: %d files, %v", rev, len(files), err)
		}
	}
}
