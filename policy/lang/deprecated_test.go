package lang

import (
	"strings"
	"testing"

	"casemate/acl/limit"
	"casemate/policy"
)

// oldTable is a table with an attribute that another has taken the place of, as no row of the language is today.
var oldTable = table[limit.Spec]{{rows: []row[limit.Spec]{
	{Attribute{Name: "concurrent", Example: "64"}, count(func(l *limit.Spec) *int { return &l.Concurrent })},
	{Attribute{Name: "instances", Example: "64", Deprecated: &Deprecated{Since: "1.2", Use: "concurrent", Removed: 2}}, count(func(l *limit.Spec) *int { return &l.Concurrent })},
}}}

// TestDeprecated: the old name is read, with a warning where it stands, until an edition has it no more.
func TestDeprecated(t *testing.T) {
	for _, tt := range []struct {
		body    string
		edition int
		n       int
		code    string
		says    string
	}{
		{"concurrent = 7", 1, 7, "", ""},
		{"instances = 7", 1, 7, codeDeprecated, "deprecated since 1.2, and edition 2"},
		{"instances = 7", 2, 0, codeAttr, "edition 2 has no attribute instances"},
		{"concurrent = 8\n instances = 7", 1, 8, codeDuplicate, "are one attribute"},
	} {
		c := newCompiler(nil)
		bodies, ok := c.parse([]policy.SourceFile{{Name: "p", Data: []byte("limit \"l\" {\n " + tt.body + "\n}\n")}})
		if !ok {
			t.Fatal(c.diagnostics())
		}
		c.edition = tt.edition
		var l limit.Spec
		oldTable.read(oldTable.open(c, bodies[0].Blocks[0], "limits.l"), &l)
		ds := c.diagnostics()
		if l.Concurrent != tt.n || (tt.code == "") != (len(ds) == 0) {
			t.Errorf("%s: %d, %s", tt.body, l.Concurrent, show(ds))
		}
		if len(ds) > 0 && (ds[0].Code != tt.code || !strings.Contains(ds[0].Summary, tt.says) || !underlines(ds[0], "instances") || !strings.Contains(ds[0].Summary+ds[0].Detail, "concurrent")) {
			t.Errorf("%s: %s", tt.body, show(ds))
		}
	}
}

// TestFix: the name alone changes, whatever stands around it, and a second time nothing does.
func TestFix(t *testing.T) {
	language := []Block{oldTable.shape(`limit "NAME"`)}
	language[0].Blocks = []Block{{Name: "allow", Attributes: language[0].Attributes}}
	const old = "# head\nlimit \"l\" { # a\n  # instances = 1\n  instances = 7 # b\n  deny { instances = 8 }\n}\nother {\n  instances = 9\n}\n"
	want := strings.Replace(strings.Replace(old, "  instances = 7", "  concurrent = 7", 1), "{ instances", "{ concurrent", 1)
	got, ds := fix(policy.SourceFile{Name: "p", Data: []byte(old)}, language)
	if string(got) != want || len(ds) > 0 {
		t.Errorf("%s %s", got, show(ds))
	}
	again, _ := fix(policy.SourceFile{Name: "p", Data: got}, language)
	if string(again) != want {
		t.Errorf("again: %s", again)
	}
	both := "limit \"l\" {\n  concurrent = 1\n  instances = 2\n}\n"
	if got, _ := fix(policy.SourceFile{Name: "p", Data: []byte(both)}, language); string(got) != both {
		t.Errorf("both: %s", got)
	}
	if got, ds := fix(policy.SourceFile{Name: "p", Data: []byte("limit {")}, language); got != nil || len(ds) == 0 {
		t.Errorf("what does not parse: %s", got)
	}
	if got, ds := Fix(policy.SourceFile{Name: "p", Data: []byte(old)}); string(got) != old || len(ds) > 0 {
		t.Errorf("nothing is deprecated in the language today: %s %s", got, show(ds))
	}
}
