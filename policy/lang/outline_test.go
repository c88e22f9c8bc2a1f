package lang

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy"
)

// sketch is an outline as a text: blocks with braces, attributes with what is their value.
func sketch(text string, parts []*Part) string {
	var out []string
	for _, p := range parts {
		switch {
		case p.Block:
			out = append(out, fmt.Sprintf("%s %q{%s}", p.Kind, p.Label, sketch(text, p.Inside)))
		default:
			out = append(out, p.Kind+"="+strings.TrimSpace(text[p.Value.Start:p.Value.End]))
		}
	}
	return strings.Join(out, " ")
}

func TestOutline(t *testing.T) {
	for text, want := range map[string]string{
		"policy { edition = 1 }\n": `policy ""{edition=1}`,
		"acl \"a\" {\n  deny \"x\" { from = [\n\"a\", # c\n\"b\"] }\n  default = \"deny\" # no\n}\nlocals {}": `acl "a"{deny "x"{from=["a", # c` + "\n" + `"b"]} default="deny"} locals ""{}`,
		"service \"s\" {\n  acl = acl.\n  li\n  user = \"${local.u}\"\n":                                      `service "s"{acl=acl. li= user="${local.u}"}`,
		"service \"s\" {\n  acl = \n  x = <<E\na = 1\nE\n  y = { a = 1\nb = 2 }\n}\n":                         `service "s"{acl= x=<<E` + "\na = 1\nE\n" + ` y={ a = 1` + "\n" + `b = 2 }}`,
		"}\nlimit \"l\" {":     `limit "l"{}`,
		"":                     ``,
		"\"":                   ``,
		"a = [1, /* x */ 2]\n": `a=[1, /* x */ 2]`,
	} {
		parts, _ := Outline(policy.SourceFile{Name: "p.cm.hcl", Data: []byte(text)})
		if got := sketch(text, parts); strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(want), "") {
			t.Errorf("%q:\n%s, want\n%s", text, got, want)
		}
	}
}

func TestMentions(t *testing.T) {
	text := "service \"s\" {\n acl = acl.office\n env = { A = \"x${local.net}\" }\n base = profile.\n x = a.acl.b\n}\n"
	_, got := Outline(policy.SourceFile{Name: "p.cm.hcl", Data: []byte(text)})
	var names []string
	for _, m := range got {
		names = append(names, m.Kind+"."+m.Name)
		if text[m.At.Start:m.At.End] != m.Name {
			t.Errorf("%+v is at %q", m, text[m.At.Start:m.At.End])
		}
	}
	if fmt.Sprint(names) != "[acl.office local.net profile.]" {
		t.Errorf("%q", names)
	}
}

// TestOffset: columns count characters, as diagnostics do, whatever bytes they are.
func TestOffset(t *testing.T) {
	const text = "ab\n\u00e4e\u0301\U0001F600x\n"
	for _, c := range []struct{ line, column, want int }{
		{1, 1, 0}, {1, 3, 2}, {1, 9, 2}, {2, 1, 3}, {2, 2, 5}, {2, 3, 8}, {2, 4, 12}, {2, 5, 13}, {3, 1, 14}, {9, 1, 14}, {0, 0, 0},
	} {
		if got := Offset([]byte(text), c.line, c.column); got != c.want {
			t.Errorf("%d:%d is byte %d, want %d", c.line, c.column, got, c.want)
		}
	}
}

// FuzzOutline: no text makes it panic, and what it returns lies in the text and in its block.
func FuzzOutline(f *testing.F) {
	for _, text := range []string{one("groups = []"), "acl \"a\" {\n deny { from = [", "a = <<E\n${\nE\n}}}", strings.Repeat("a{", 300), "x = \"${\"${", "service \"", "=\n{\"a\"{", "acl."} {
		f.Add([]byte(text), 7)
	}
	f.Fuzz(func(t *testing.T, text []byte, offset int) {
		parts, mentions := Outline(policy.SourceFile{Name: "p.cm.hcl", Data: text})
		var walk func(list []*Part, in Span)
		walk = func(list []*Part, in Span) {
			for _, p := range list {
				for _, s := range []Span{p.Name, p.All} {
					if s.Start < in.Start || s.End > in.End || s.Start > s.End {
						t.Fatalf("%+v of %q lies not in %+v", s, p.Kind, in)
					}
				}
				if p.Value.Start > p.Value.End || p.Value.End > p.All.End || p.LabelAt.End > len(text) {
					t.Fatalf("%+v", p)
				}
				walk(p.Inside, p.All)
			}
		}
		walk(parts, Span{0, len(text)})
		for _, m := range mentions {
			if string(text[m.At.Start:m.At.End]) != m.Name {
				t.Fatalf("%+v", m)
			}
		}
		around, _ := Find(parts, offset)
		RowsOf(around)
		Offset(text, offset%50, offset%70)
	})
}
