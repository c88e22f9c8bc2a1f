package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"casemate/cmd/casemate/manual"
	"casemate/cmd/confine"
	"casemate/policy/lang"
	"casemate/tests/need"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// tree is the tree of verbs as Execute would have it.
func tree(t *testing.T) *cobra.Command {
	t.Helper()
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, grants: map[*cobra.Command]func([]string) confine.Grant{}}
	return a.root(func(confine.Grant) error { return nil })
}

// shown is what a reader sees of a page, word by word.
func shown(page []byte) map[string]int {
	text := regexp.MustCompile(`(?m)^\.(SH|SS|BR) `).ReplaceAllString(string(page), "")
	text = regexp.MustCompile(`(?m)^\..*\n`).ReplaceAllString(text, "")
	text = strings.NewReplacer(`\fB`, " ", `\fR`, " ", `\-`, "-", `\(dq`, `"`, `\(aq`, "'", `\(ga`, "`", `\(ha`, "^", `\(ti`, "~", `\&`, "", `\e`, `\`).Replace(text)
	count := map[string]int{}
	for _, w := range strings.Fields(text) {
		count[strings.Trim(w, "(),;:")]++
	}
	return count
}

// TestManualsSayAll: each verb and topic has a page, which has its flags, those of every
// verb, and every word of its help.
func TestManualsSayAll(t *testing.T) {
	root := tree(t)
	pages := map[string][]byte{}
	for _, p := range manuals(root) {
		pages[p.Name] = p.Roff()
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		page, ok := pages[pageName(c)]
		if !ok {
			t.Errorf("%s has no page", c.CommandPath())
			return
		}
		has := shown(page)
		if pageName(c) != "casemate-policy" { // which has the rows of its page in another order: TestPolicyManual
			for _, w := range strings.Fields(long(c) + " " + c.Example) {
				w = strings.Trim(w, "(),;:")
				if has[w]--; has[w] < 0 && w != "" && w != "Exit" && w != "status" {
					t.Errorf("the page of %s lacks the word %q of its help", c.CommandPath(), w)
				}
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if c.Runnable() && shown(page)["--"+f.Name] == 0 {
				t.Errorf("the page of %s lacks --%s", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if sub.Name() != completionVerb {
				walk(sub)
			}
		}
	}
	walk(root)
	refers := regexp.MustCompile(`casemate[a-z-]*\([1-9]\)`)
	for name, page := range pages {
		for _, ref := range refers.FindAllString(strings.NewReplacer(`\-`, "-", " (", "(").Replace(string(page)), -1) {
			to, _, _ := strings.Cut(ref, "(")
			if pages[to] == nil && !slices.Contains(foreign, to) {
				t.Errorf("%s refers to %s, which there is not", name, ref)
			}
		}
	}
}

// TestPolicyManual: each row of the language, of each block, is on its page with what the
// terminal's page says of it.
func TestPolicyManual(t *testing.T) {
	_, body := policyManual()
	has := shown(body)
	var walk func(b *lang.Block)
	walk = func(b *lang.Block) {
		for _, at := range b.Attributes {
			for _, w := range strings.Fields(at.Name + " = " + at.Example + " " + comment(&at)) {
				w = strings.Trim(w, "(),;:")
				if has[w]--; has[w] < 0 && w != "" {
					t.Errorf("%s.%s: the page lacks the word %q", b.Name, at.Name, w)
				}
			}
		}
		for i := range b.Blocks {
			walk(&b.Blocks[i])
		}
	}
	rows := lang.Reference()
	for i := range rows {
		walk(&rows[i])
	}
	for _, note := range policyNotes {
		for _, w := range strings.Fields(note) {
			if has[strings.Trim(w, "(),;:")] < 0 {
				t.Errorf("the page lacks the word %q of a note", w)
			}
		}
	}
}

// TestLogManual: each row of the tables of `casemate help log` splits at the columns of its
// header, so that none of it is taken for another column.
func TestLogManual(t *testing.T) {
	for _, header := range []string{"FIELD           TYPE", "REASON OF A DENY"} {
		_, table, ok := strings.Cut((&app{}).logTopic().Long, header)
		if !ok {
			t.Fatalf("no table %s", header)
		}
		table, _, _ = strings.Cut(header+table, "\n\n")
		lines := strings.Split(table, "\n")
		want := len(manual.Rows(lines[0], lines[:1])[0])
		for i, row := range manual.Rows(lines[0], lines[1:]) {
			if len(row) != want {
				t.Errorf("%q has %d columns, its table %d", lines[i+1], len(row), want)
			}
		}
	}
}

// TestManualsLint: mandoc finds nothing wrong with a page but that it bears no date, which
// would make two builds of one commit different.
func TestManualsLint(t *testing.T) {
	mandoc := need.Programs(t, "mandoc")[0]
	for _, p := range manuals(tree(t)) {
		manLint(t, mandoc, p)
	}
}

func manLint(t *testing.T, mandoc string, p *manual.Page) {
	t.Helper()
	file := filepath.Join(t.TempDir(), p.File())
	if err := os.WriteFile(file, p.Roff(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(mandoc, "-T", "lint", "-W", "warning", file).CombinedOutput()
	for l := range strings.Lines(string(out)) {
		if !strings.Contains(l, "missing date") {
			t.Error(strings.TrimSpace(l))
		}
	}
}

// TestCompletionOfServices: a policy's own services where no casemated answers, and nothing, not an
// error, where the policy is not valid.
func TestCompletionOfServices(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(dir, "p.cm.hcl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	named := func(dir string) []string {
		a := &app{out: &said, err: &said, control: filepath.Join(dir, "none")}
		a.hand([]string{"explain", dir})
		return a.services()
	}
	write("policy { edition = 1 }\nservice \"echo\" {\n  listen = [\"tcp://:7\"]\n  builtin = \"echo\"\n}\n")
	if got := named(dir); !slices.Equal(got, []string{"echo\tbuiltin"}) {
		t.Errorf("services: %q", got)
	}
	write("policy {")
	if got := named(dir); len(got) > 0 {
		t.Errorf("services of no valid policy: %q", got)
	}
	if said.Len() > 0 {
		t.Errorf("it speaks: %s", &said)
	}
}
