package output

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/codes"
)

// nasty is what a policy could choose to forge something: every format gets it as a name, a
// message, a step and a reason.
const nasty = "x|`*_<b>&amp;\"'%0A\n::error file=a,line=1::forged\n# head\n- [a](http://e.example) @root #1 \u202e\x1b[31m]]><!-- \x00,:%"

func nastyReport() *Report {
	d := policy.Diagnostic{Severity: policy.SeverityWarning, Code: "CM701", Summary: nasty, Detail: nasty, File: "dir/a b,c:d|`.cm.hcl", Line: 3, Column: 2, EndLine: 3, EndColumn: 9, Snippet: "  x\n  ^"}
	moved := d
	moved.Line, moved.EndLine = 30, 31
	return &Report{Verb: "check", Version: "1.2.3", FailOn: policy.SeverityError, Place: Places{"/repo", "/repo/sub"}, Findings: []Finding{
		{Diagnostic: d, Service: "web"}, {Diagnostic: moved, Service: "web"}, {Diagnostic: d, Service: "web", Waived: &Waived{nasty, "2027-01-31", "w.cm.hcl:1:1"}},
		{Diagnostic: policy.Diagnostic{Severity: policy.SeverityError, Code: "CM001", Summary: "not read"}},
		{Diagnostic: policy.Diagnostic{Severity: codes.Notice, Code: "CM702", Summary: "a notice", File: "/etc/casemate/x.cm.hcl"}},
	}, Rules: []Rule{{"CM701", policy.SeverityWarning, "A sentence.", "A page."}}}
}

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestGitHub: one line, one annotation, whatever a policy says.
func TestGitHub(t *testing.T) {
	text := written(t, nastyReport().WriteGitHub)
	got := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(got) != 4 {
		t.Fatalf("%d lines: %q", len(got), got)
	}
	for i, begin := range []string{
		"::warning file=sub/dir/a b%2Cc%3Ad|`.cm.hcl,line=3,endLine=3,col=2,endColumn=9,title=casemate CM701::x|",
		"::warning file=sub/dir/a b%2Cc%3Ad|`.cm.hcl,line=30,endLine=31,title=casemate CM701::x|",
		"::error title=casemate CM001::not read", "::notice file=etc/casemate/x.cm.hcl,title=casemate CM702::a notice",
	} {
		if !strings.HasPrefix(got[i], begin) {
			t.Errorf("line %d: %q does not begin with %q", i, got[i], begin)
		}
	}
	if !strings.Contains(got[0], `%250A%0A\x3a:error file=a`) || strings.Contains(text, "\r") {
		t.Errorf("not escaped: %q", got[0])
	}
}

// TestMarkdown: every line is one that the format itself begins, and every cell is one cell.
func TestMarkdown(t *testing.T) {
	text := written(t, nastyReport().WriteMarkdown)
	for line := range strings.Lines(text) {
		switch {
		case line == "\n", strings.HasPrefix(line, "**casemate check**: 1 error, 2 warnings and 1 notice"), strings.HasPrefix(line, "1 waived:"), strings.HasPrefix(line, "- CM701 "):
		case strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "|---"):
			if n := strings.Count(strings.ReplaceAll(strings.ReplaceAll(line, `\\`, ""), `\|`, ""), "|"); n != 5 {
				t.Errorf("%d bars: %s", n, line)
			}
		default:
			t.Errorf("a line that is not the format's: %q", line)
		}
		for _, bad := range []string{"<b>", "@root", "#1", "](http", "\u202e", "\x1b"} {
			if strings.Contains(line, bad) {
				t.Errorf("%q is in %s", bad, line)
			}
		}
	}
	long := &Report{Verb: "check"}
	for range 2000 {
		long.Findings = append(long.Findings, nastyReport().Findings[0])
	}
	if text := written(t, long.WriteMarkdown); len(text) > MaxMarkdown+100 || !strings.HasSuffix(text, " more lines are left out.\n") {
		t.Errorf("%d bytes end with %q", len(text), text[len(text)-80:])
	}
}

// TestMarkdownTextBegins: at the beginning of a line, too, or of an item of a list, text begins nothing.
func TestMarkdownTextBegins(t *testing.T) {
	for in, want := range map[string]string{"    a": "a", "- a": "\\- a", "  - a": "\\- a", "1. a": "1\\. a", "+ a": "\\+ a", "> a": "&gt; a", "=== a": "\\=\\=\\= a", "a b": "a b"} {
		if got := MarkdownText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMarkdownCode(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "`a`", "a`b": "``a`b``", "`": "`` ` ``", "a|b": "`a\\|b`", "``a": "``` ``a ```", "a\nb": "`a\\nb`", " ": "`   `"} {
		if got := MarkdownCode(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestJUnit decodes what is written, as a consumer does, and counts.
func TestJUnit(t *testing.T) {
	r := nastyReport()
	text := written(t, r.WriteJUnit)
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Tests int    `xml:"tests,attr"`
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Class   string    `xml:"classname,attr"`
				File    string    `xml:"file,attr"`
				Time    string    `xml:"time,attr"`
				Failure *struct{} `xml:"failure"`
				Skipped *struct {
					Message string `xml:"message,attr"`
				} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = true
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got.Tests != 5 || got.Failures != 1 || got.Skipped != 1 || len(got.Suites) != 1 || got.Suites[0].Tests != 5 || len(got.Suites[0].Cases) != 5 {
		t.Errorf("counts: %+v", got)
	}
	for _, c := range got.Suites[0].Cases {
		if c.Name == "" || c.Class == "" || c.Time == "" || strings.HasPrefix(c.File, "/") {
			t.Errorf("a case without what consumers need: %+v", c)
		}
	}
	if s := got.Suites[0].Cases[2].Skipped; s == nil || !strings.Contains(s.Message, "2027-01-31") {
		t.Errorf("the waived finding: %+v", s)
	}
	if r.FailOn = codes.Notice; !strings.Contains(written(t, r.WriteJUnit), `failures="4"`) {
		t.Error("a gate on notices fails by the others too")
	}
	empty := &Report{Verb: "check"}
	if text := written(t, empty.WriteJUnit); !strings.Contains(text, `tests="1" failures="0"`) {
		t.Errorf("no findings: %s", text)
	}
	cases := []Suite{{"a", []Case{{Name: "p"}, {Name: "f", Outcome: Failed, Message: "want allow, got deny", Text: "1\n\t2\x01"}, {Name: "b", Outcome: Broken}, {Name: "s", Outcome: Skipped}}}}
	text = written(t, func(w io.Writer) error { return WriteJUnit(w, "casemate test", cases, Places{}) })
	if !strings.Contains(text, `tests="4" failures="1" errors="1" skipped="1"`) || !strings.Contains(text, "1&#xA;&#x9;2\\x01") {
		t.Errorf("cases: %s", text)
	}
}

func TestFindingJSON(t *testing.T) {
	text, err := json.Marshal(nastyReport().Findings)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	first := got[0]
	rng := first["range"].(map[string]any)
	if rng["filename"] != first["file"] || rng["start"].(map[string]any)["line"] != first["line"] || rng["end"].(map[string]any)["column"] != first["end_column"] ||
		first["service"] != "web" || first["help"] != "casemate explain-rule CM701" || first["summary"] != strings.ToValidUTF8(nasty, "\uFFFD") {
		t.Errorf("%v", first)
	}
	if got[2]["waived"].(map[string]any)["expires"] != "2027-01-31" || got[3]["range"] != nil || got[4]["range"] != nil {
		t.Errorf("%s", text)
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		place           Places
		file, name, uri string
	}{
		{Places{"/repo", "/repo"}, "a/b.cm.hcl", "a/b.cm.hcl", "a/b.cm.hcl"},
		{Places{"/repo", "/repo/sub"}, "../a.cm.hcl", "a.cm.hcl", "a.cm.hcl"},
		{Places{"/repo", "/repo/sub"}, "../../a.cm.hcl", "a.cm.hcl", "a.cm.hcl"},
		{Places{"/repo", "/repo"}, "/etc/casemate/a b#?%.cm.hcl", "etc/casemate/a b#?%.cm.hcl", "etc/casemate/a%20b%23%3F%25.cm.hcl"},
		{Places{"/repo", "/repo"}, "a:b/c", "a:b/c", "a%3Ab/c"},
		{Places{"/", "/"}, "/x", "x", "x"},
		{Places{}, "../x", "x", "x"},
		{Places{"/repo", "/repo"}, "", "", ""},
	} {
		if name, uri := c.place.Name(c.file), c.place.URI(c.file); name != c.name || uri != c.uri {
			t.Errorf("%+v: %q %q", c, name, uri)
		}
	}
}

// TestHere finds the repository above the working directory.
func TestHere(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(sub)
	if err := os.WriteFile(filepath.Join(dir, ".git"), nil, 0o644); err != nil { // of a worktree it is a file
		t.Fatal(err)
	}
	if p := Here(); p.Root != dir || p.Dir != sub {
		t.Errorf("%+v", p)
	}
}

// TestTextOfNastyNames: a file that somebody has named so breaks no line of what a terminal and a runner's log show, and paints
// nothing: the runner takes a line that begins with :: for a command, whichever stream it comes on.
func TestTextOfNastyNames(t *testing.T) {
	r := nastyReport()
	for i := range r.Findings {
		r.Findings[i].File, r.Findings[i].Detail = "dir/x\n::error file=a::forged\x1b[31m\u202e.cm.hcl", "write:\n  \x1b[31mthis"
	}
	for name, text := range map[string]string{
		"text":   written(t, func(w io.Writer) error { return WriteText(w, r.Findings, false) }),
		"github": written(t, r.WriteGitHub),
	} {
		for line := range strings.SplitSeq(text, "\n") {
			if strings.ContainsFunc(line, Unprintable) || strings.HasPrefix(strings.TrimSpace(line), "::error file=a") {
				t.Errorf("%s: %q", name, line)
			}
		}
		if !strings.Contains(text, "forged") {
			t.Errorf("%s: the name is not there", name)
		}
	}
}
