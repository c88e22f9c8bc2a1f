package report

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/lang"
)

var update = flag.Bool("update", false, "rewrite testdata")

// compiled is the document of a policy.
func compiled(t testing.TB, name, text string) *policy.Document {
	t.Helper()
	doc, ds := lang.Compile([]policy.SourceFile{{Name: name, Data: []byte(text)}})
	if doc == nil {
		t.Fatalf("%v", ds)
	}
	return doc
}

// written is the page.
func written(t testing.TB, in *Input) (*Report, string) {
	t.Helper()
	r, err := New(in)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return r, b.String()
}

// TestPage holds the page of an example to its bytes, and twice to the same.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../examples/services/guestbook/guestbook.cm.hcl")
	if err != nil {
		t.Fatal(err)
	}
	of := func() string {
		_, page := written(t, &Input{Doc: compiled(t, "guestbook.cm.hcl", string(text)), Of: []string{"guestbook.cm.hcl"}, Date: "2026-11-26"})
		return page
	}
	got := of()
	if again := of(); again != got {
		t.Error("the same policy gave other bytes")
	}
	golden := filepath.Join("testdata", "guestbook.html")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		wants := strings.Split(string(want), "\n")
		for i, line := range strings.Split(got, "\n") {
			if i >= len(wants) || line != wants[i] {
				t.Fatalf("line %d is other; if that is right: go test ./policy/report -update\n%s", i+1, line)
			}
		}
		t.Fatal("the page is shorter than its golden file; if that is right: go test ./policy/report -update")
	}
}

// exposed is a policy with every kind of client.
const exposed = `policy { edition = 1 }
acl "some" {
  deny  { from = ["192.0.2.66"] }
  allow "office" { from = ["192.0.2.0/24", "10.0.0.0/8"] }
  allow { from = [".example.org"] }
  default = "deny"
}
acl "any" {
  allow { from = ["any"] }
  default = "deny"
}
service "a" {
  listen  = ["tcp://:79"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.some
  profile = profile.line
}
service "b" {
  listen  = ["unix:/run/b.sock", "tcp://127.0.0.1:80"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.any
  profile = profile.line
}
service "off" {
  disable = true
  listen  = ["tcp://:81"]
  command = ["/bin/cat"]
  user    = "dynamic"
  acl     = acl.any
  profile = profile.line
}
`

// TestReach: the sets are exact, what takes a name is apart from what does not, and who is left out is named where that is shorter.
func TestReach(t *testing.T) {
	r, page := written(t, &Input{Doc: compiled(t, "x.cm.hcl", exposed)})
	got := map[string][]string{}
	for _, s := range r.Services {
		for _, n := range s.Reach {
			got[s.Name] = append(got[s.Name], fmt.Sprintf("%s|%s|%s|%v", n.Zone, n.Label, n.Count, n.Always))
		}
	}
	want := map[string][]string{
		"a": {
			"internet|192.0.2.0/24 without 192.0.2.66|255 IPv4 addresses|true",
			"internet|the internet without 192.0.2.0/24|4256038656 IPv4 addresses, more than 2^127 IPv6 addresses|false",
			"private|10.0.0.0/8|16777216 IPv4 addresses|true",
			"private|private networks without 10.0.0.0/8|5373952 IPv4 addresses, more than 2^121 IPv6 addresses|false",
			"host|this host|16777216 IPv4 addresses, 1 IPv6 address|false",
		},
		"b": {"host|this host (IPv4)|16777216 IPv4 addresses|true", "users|users of this host, by a unix socket|4294967295 users|true"},
	}
	for name, lines := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(lines) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got[name], "\n"), strings.Join(lines, "\n"))
		}
	}
	for _, want := range []string{"Disabled: off <code class=\"at\">x.cm.hcl:", "<span class=\"by\">office</span>", "x.cm.hcl:3<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// TestEmpty: a policy without services is a page too.
func TestEmpty(t *testing.T) {
	if _, page := written(t, &Input{Doc: compiled(t, "x.cm.hcl", "policy { edition = 1 }\n")}); !strings.Contains(page, "casemated listens nowhere") || strings.Contains(page, "<svg") {
		t.Error(page)
	}
}

// forged is the page of a policy in which all that somebody chooses is text.
func forged(t testing.TB, text string) string {
	doc := compiled(t, "x.cm.hcl", exposed)
	for key := range doc.Origins {
		doc.Origins[key] = text
	}
	p := doc.Policy
	p.Disabled[0].Name = text
	for i := range p.Services {
		s := &p.Services[i]
		s.Because, s.Banner, s.Command, s.Group = text, text, []string{"/" + text, text}, policy.Account("g"+text)
		s.User, s.Groups = policy.Account("u"+text), []string{text}
	}
	for i := range p.ACLs {
		p.ACLs[i].Zone = &acl.Zone{Name: "z" + text}
		for k := range p.ACLs[i].Rules {
			p.ACLs[i].Rules[k].Name, p.ACLs[i].Rules[k].Command = "n"+text, []string{text}
		}
	}
	finding := Finding{Code: text, Severity: text, Summary: text, Detail: "d" + text, Origin: "o" + text, Waived: &Waived{text, text, text}}
	mine := finding
	mine.Service, mine.Waived = "a", nil
	_, page := written(t, &Input{Doc: doc, Date: "d" + text, Of: []string{text}, Findings: []Finding{finding, mine}, Against: &Against{
		Old: text, Digest: text, Summary: "s" + text, Policy: []string{text}, Groups: []Group{{Verdict: text, Names: []string{text}, Origin: "o" + text,
			Dimensions: []Dimension{{Name: text, By: "b" + text, Lines: []Remark{{text, text, []string{text}, "w" + text}}, Calls: []string{text}}, {Name: text, Again: "a" + text}}}},
	}})
	return page
}

// harmless fails if a text of a policy is more than text in the page: it has the markup that a word would have had.
func harmless(t *testing.T, plain, text string) {
	t.Helper()
	page := forged(t, text)
	for _, mark := range []string{"<", ">", `"`, "'"} {
		if got, want := strings.Count(page, mark), strings.Count(plain, mark); got != want {
			t.Errorf("%q: %d of %q, and %d with a plain word", text, got, mark, want)
		}
	}
	if strings.ContainsFunc(page, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("%q: the page has what cannot be seen", text)
	}
	if strings.Contains(page, "ZgotmplZ") {
		t.Errorf("%q: something stands where it cannot be escaped", text)
	}
	if got, want := strings.Count(page, "\n"), strings.Count(plain, "\n"); got != want {
		t.Errorf("%q: %d lines, and %d with a plain word", text, got, want)
	}
}

var forgeries = []string{"<script>alert(1)</script>", "\"><script>x</script>", "' onload='x", "</style><style>*{}", "</title>", "</svg><b>", "<!--", "-->", "]]>", "javascript:x", "&lt;b&gt;",
	"\u202egnidaeh", "\u2066x", "\x1b[31mred", "\x00", "a\nb", "a\r\n\r\nb", "a\u2028b", "\xff\xfe", "{{.}}", "\u200b", "\ufeff", "é🙂", strings.Repeat("x", 9000)}

// TestForgeries: nothing that a policy says becomes markup, or hides.
func TestForgeries(t *testing.T) {
	plain := forged(t, "word")
	if strings.Count(plain, "word") < 40 {
		t.Fatal("the page shows few of the words that somebody chose")
	}
	for _, text := range forgeries {
		harmless(t, plain, text)
	}
}

func FuzzForgeries(f *testing.F) {
	for _, text := range forgeries {
		f.Add(text)
	}
	plain := forged(f, "word")
	f.Fuzz(func(t *testing.T, text string) {
		if text != "" && text != "default" { // which say that there is no place
			harmless(t, plain, text)
		}
	})
}
