package lang

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/input"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// alike parses a text with and without its plain lists, and tells whether it could do without.
func alike(t *testing.T, text string) bool {
	t.Helper()
	f := policy.SourceFile{Name: "p.cm.hcl", Data: []byte(text)}
	c := newCompiler(shipped())
	got, ok := c.parsed(f)
	if len(c.found) > 0 {
		t.Fatalf("%q: it reports %+v", text, c.found)
	}
	if !ok {
		return false
	}
	c.sources[f.Name] = f.Data
	if !c.precheck(f) {
		t.Fatalf("%q parses, and is refused: %+v", text, c.found)
	}
	file, ds := hclsyntax.ParseConfig(f.Data, f.Name, hcl.InitialPos)
	if ds.HasErrors() {
		t.Fatalf("%q parses, and has errors: %v", text, ds)
	}
	if !reflect.DeepEqual(got, file.Body.(*hclsyntax.Body)) {
		t.Fatalf("%q parses otherwise", text)
	}
	return true
}

// TestPlainLists: whether a text parses without its plain lists, and as it does with them.
func TestPlainLists(t *testing.T) {
	for text, want := range map[string]bool{
		"a = [\"x\", \"y z\"]\n":                  true,
		"a = [\"x\"]":                             true,
		"a = [ \"x\" ,\n\n\t \"y\",\n ]\nb = 1\n": true,
		"a \"b\" {\n  c = [\"x\"]\n  d = f([\"y\"], [\"z\"], \"w\") # [\"q\n}": true,
		"a { b = [\"x\"] }\n": true,
		"é = \"é\"\na = f(\"é̂\", [\"x\", \"y\"], \"é\", [\"z\"])\n":      true,
		"a = [[\"x\"], [\"y\"], []]\n":                                    true,
		"a = { b = [\"x\"], \"c\" = [\"y\"] }\n":                          true,
		"/* [\"x\"] */ a = [\"y\"] // [\"z\"\n":                           true,
		"a = \"[\\\"x\\\"]\"\nb = [\"y\"]\n":                              true,
		"a = \"#\"\nb = [\"#\", \"//\", \"/*\", \"<<E\", \"]\", \"[\"]\n": true,
		"a = []\n":                     false, // nothing to gain
		"a = [\"\"]\n":                 false,
		"a = [\"x\",, \"y\"]\n":        false,
		"a = [\"x\" \"y\"]\n":          false,
		"a = [\"x\"\n":                 false,
		"a = [\"x]\n":                  false,
		"a = [\"é\"]\n":                false,
		"a = [\"\\n\"]\n":              false,
		"a = [\"x\" /* c */]\n":        false,
		"a = [\"x\"]\nb = \"${c}\"\n":  false,
		"a = [\"x\"]\nb = <<E\nx\nE\n": false,
		"a = b[\"x\"]\n":               false, // an index
		"a = [\"x\"] b = 1\n":          false,
		"a = [\"x\"]\r\n":              true,
		"a = [\"x\",\r\n\"y\"]\r\n":    false,
		"[\"x\"]\n":                    false,
		"a [\"x\"] {\n}\n":             false,
		"a = [\"x\"]\nb = 1.5\n":       false,
		"a = [\"x\"] + [\"y\"]\n":      false,
		"a = [for x in [\"y\"] : x]\n": false,
		"/* a = [\"x\"]\n":             false,
		"":                             false,
	} {
		if got := alike(t, text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	files, plain := 0, 0
	err := filepath.WalkDir("../../examples", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, input.SourceSuffix) {
			b, rerr := os.ReadFile(path)
			if err = rerr; alike(t, string(b)) {
				plain++
			}
			files++
		}
		return err
	})
	if err != nil || files < 50 || plain < files/2 {
		t.Errorf("%d of %d files (%v)", plain, files, err)
	}
	for _, f := range bulk(40) {
		if !alike(t, string(f.Data)) {
			t.Errorf("%s is not plain", f.Name)
		}
	}
}

// FuzzPlainLists: a text parses without its plain lists as it does with them, or not at all.
func FuzzPlainLists(f *testing.F) {
	for _, text := range []string{"a = [\"x\", \"y\"]\nb \"c\" {\n d = [\n\"e\",\n]\n}\n", "a = \"[\\\"x\\\"]\" # [\"y\"]\nb = [\"z\"]\n", "a = f([\"x\"], <<E\n[\"y\"]\nE\n)\n", "é { a = [\"x\"] }\n/* [\"y\"] */"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 4096 {
			alike(t, text)
		}
	})
}
