package manual_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"casemate/cmd/casemate/manual"
)

// TestUsage makes the pages of the other two programs from what they say, and looks for each
// of their flags among the options, and for each of their words.
func TestUsage(t *testing.T) {
	for name, options := range map[string]int{"casemated": 7, "casemate-worker": 0} {
		bin := filepath.Join(t.TempDir(), name)
		build := exec.Command("go", "build", "-o", bin, "casemate/cmd/"+name)
		build.Env = os.Environ()
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		help, err := exec.Command(bin, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		p, err := manual.Usage(name, 8, string(help))
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Options) != options {
			t.Errorf("%s: options %v", name, p.Options)
		}
		text := strings.NewReplacer(`\-`, "-", `\(dq`, `"`, `\(aq`, "'").Replace(string(p.Roff()))
		for _, flag := range regexp.MustCompile(`(?m)^  (--[a-z]+)`).FindAllStringSubmatch(string(help), -1) {
			if !strings.Contains(text, `.TP`+"\n"+`\fB`+flag[1]) {
				t.Errorf("%s: no option %s", name, flag[1])
			}
		}
		for _, w := range strings.Fields(string(help)) {
			if !strings.Contains(text, w) && !strings.Contains("usage: Exit status: sandbox. itself.", w) {
				t.Errorf("%s: the page lacks %q", name, w)
			}
		}
	}
	if _, err := manual.Usage("x", 8, "y does things.\n\nusage: y\n\nMore."); err == nil {
		t.Error("the help of another program passed")
	}
}

// TestText: what is a list, a table, an example and a paragraph.
func TestText(t *testing.T) {
	p := manual.Page{Name: "x", Section: 5, Short: "x", Text: `Filled
text, .dot:

  term      what it is,
            going on
  --a B     another

  name = "value"    # no list
  'quoted

COLUMN  TYPE    MEANING
a       string  the first
b       number  the
`}
	got := string(p.Roff())
	for _, want := range []string{
		".SH DESCRIPTION\nFilled text, .dot:\n", ".TP\n\\fBterm\\fR\nwhat it is, going on\n.TP\n\\fB\\-\\-a B\\fR\nanother\n",
		".nf\nname = \\(dqvalue\\(dq    # no list\n\\(aqquoted\n.fi\n", "COLUMN, TYPE, MEANING:\n.TP\n\\fBa\\fR\n(string) the first\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}
