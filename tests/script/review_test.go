package script

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the comments of examples/review/golden anew")

// review is examples/review, seen from here.
const review = "../../examples/review"

// gated is a git repository with the policy of examples/review as its first commit.
type gated struct {
	t          *testing.T
	repo, base string
	env        []string
}

func newGated(t *testing.T) *gated {
	g := &gated{t: t, repo: filepath.Join(t.TempDir(), "repo")}
	home := t.TempDir()
	g.env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+home, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@a.example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@a.example")
	if err := os.CopyFS(filepath.Join(g.repo, "policy"), os.DirFS(filepath.Join(review, "policy"))); err != nil {
		t.Fatal(err)
	}
	g.git("init", "-q", "-b", "main")
	g.git("add", ".")
	g.git("commit", "-q", "-m", "first")
	g.base = g.git("rev-parse", "HEAD")
	return g
}

func (g *gated) git(args ...string) string {
	g.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = g.repo, g.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit on the first one whose file of the policy has other texts, old and new in turn, and no other change.
func (g *gated) commit(file string, texts ...string) string {
	g.t.Helper()
	g.git("checkout", "-q", "--detach", g.base)
	path := filepath.Join(g.repo, "policy", file)
	text, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(texts); i += 2 {
		if !bytes.Contains(text, []byte(texts[i])) {
			g.t.Fatalf("%s has no %q", file, texts[i])
		}
		text = bytes.ReplaceAll(text, []byte(texts[i]), []byte(texts[i+1]))
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		g.t.Fatal(err)
	}
	g.git("commit", "-q", "-a", "-m", "change")
	return g.git("rev-parse", "HEAD")
}

// answer runs the gate, and gives its exit status, the comment that it wrote, and what it said.
func (g *gated) answer(env []string, args ...string) (code int, comment, said string) {
	g.t.Helper()
	gate, err := filepath.Abs(filepath.Join(review, "gate"))
	if err != nil {
		g.t.Fatal(err)
	}
	out := g.t.TempDir()
	cmd := exec.Command(gate, args...)
	cmd.Dir, cmd.Env = g.repo, append(append(g.env[:len(g.env):len(g.env)], "OUT="+out), env...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		g.t.Fatal(err)
	}
	md, err := os.ReadFile(filepath.Join(out, "review.md"))
	if err != nil && !os.IsNotExist(err) {
		g.t.Fatal(err)
	}
	if left := g.git("worktree", "list"); strings.Contains(left, "\n") {
		g.t.Errorf("the gate leaves checkouts behind:\n%s", left)
	}
	return cmd.ProcessState.ExitCode(), string(md), string(text)
}

// TestReviewComments: a change that widens, one that narrows and one that does neither have the answer and the comment that
// are kept; what somebody has reviewed passes.
func TestReviewComments(t *testing.T) {
	g := newGated(t)
	for _, test := range []struct {
		name, flag string
		want       int
		texts      []string
	}{
		{"widened", "", 3, []string{`"192.0.2.0/24"`, `"192.0.2.0/24", "203.0.113.0/24"`}},
		{"reviewed", "--reviewed", 0, []string{`"192.0.2.0/24"`, `"192.0.2.0/24", "203.0.113.0/24"`}},
		{"narrowed", "", 0, []string{`2001:db8:7::/48`, `2001:db8:7::/64`}},
		{"neutral", "", 0, []string{`limit "office"`, `limit "few"`, `limit.office`, `limit.few`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.t = t
			args := []string{g.base, g.commit("site.cm.hcl", test.texts...)}
			if test.flag != "" {
				args = append([]string{test.flag}, args...)
			}
			code, comment, said := g.answer(nil, args...)
			if code != test.want {
				t.Errorf("exit status %d, want %d\n%s", code, test.want, said)
			}
			comment = strings.ReplaceAll(comment, g.base, "BASE") // it has the time
			path := filepath.Join(review, "golden", test.name+".md")
			if *update {
				if err := os.WriteFile(path, []byte(comment), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if comment != string(want) {
				t.Errorf("the comment is\n%s\nwant\n%s\n(go test ./tests/script -run Review -update writes it anew)", comment, want)
			}
		})
	}
}

// TestReviewIsNoYes: whatever else than a pass a step ends with is a no, or that there is no answer, and no review of what is
// widened changes that.
func TestReviewIsNoYes(t *testing.T) {
	g := newGated(t)
	same := g.commit("site.cm.hcl", "# Two services", "# The two services")
	ending := func(script string) []string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "casemate"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")}
	}
	real := "exec " + filepath.Join(bin, "casemate") + ` "$@"`
	for _, test := range []struct {
		name    string
		env     []string
		head    string
		want    int
		comment string // a line of it, "" where there is none
	}{
		{"layout", nil, g.commit("site.cm.hcl", "  session    =", "  session ="), 3, "| fmt | no |"},
		{"a finding", nil, g.commit("site.cm.hcl", `in.fingerd", "-w"`, `in.fingerd -w"`), 3, "| check | no |"},
		{"not valid", nil, g.commit("site.cm.hcl", "edition = 1", "edition = 99"), 1, "| check | could not (exit status 1) |"},
		{"a test", nil, g.commit("site.cmtest.hcl", "allowed = 4", "allowed = 5"), 3, "| test | no |"},
		{"a test that does not parse", nil, g.commit("site.cmtest.hcl", "allowed = 4", "allowed ="), 1, "| test | could not (exit status 1) |"},
		{"a score", []string{"THRESHOLD=0"}, same, 3, "| score | no |"},
		{"a threshold that is none", []string{"THRESHOLD=x"}, same, 1, "| score | could not (exit status 1) |"},
		{"no directory", []string{"POLICY=other"}, same, 1, ""},
		{"another directory", []string{"POLICY=../repo/policy"}, same, 1, ""},
		{"no commit", nil, "nowhere", 1, ""},
		{"a panic", ending(`[ "$1" != diff ] || exit 2; ` + real), same, 1, "| diff | could not (exit status 2) |"},
		{"a signal", ending(`[ "$1" != test ] || kill -9 $$; ` + real), same, 1, "| test | could not (exit status 137) |"},
		{"nothing written", ending("exit 0"), same, 1, "| diff | could not (it wrote nothing) |"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g.t = t
			code, comment, said := g.answer(test.env, "--reviewed", g.base, test.head)
			if code != test.want || !strings.Contains(comment, test.comment) || (comment == "") != (test.comment == "") {
				t.Errorf("exit status %d, want %d\n%s\n%s", code, test.want, comment, said)
			}
		})
	}
}

// TestReviewOfTheFirst: where there was no policy, all of it is more.
func TestReviewOfTheFirst(t *testing.T) {
	g := newGated(t)
	g.git("checkout", "-q", "--orphan", "empty")
	g.git("rm", "-rfq", ".")
	g.git("commit", "-q", "--allow-empty", "-m", "nothing")
	code, comment, said := g.answer(nil, "empty", g.base)
	if code != 3 || !strings.Contains(comment, "| diff | no |") || !strings.Contains(comment, "**added**: ") {
		t.Errorf("exit status %d\n%s\n%s", code, comment, said)
	}
}
