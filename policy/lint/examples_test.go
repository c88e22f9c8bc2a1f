package lint

import (
	"bytes"
	"path/filepath"
	"testing"

	"casemate/policy/codes"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/source"
)

// TestExamples: every example is formatted, and has no warning that it does not waive.
func TestExamples(t *testing.T) {
	dirs := map[string]bool{}
	for _, deep := range []string{"*", "services/*", "review/*"} {
		files, err := filepath.Glob(filepath.Join("../../examples", deep, "*.cm.hcl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			dirs[filepath.Dir(f)] = true
		}
	}
	if len(dirs) < 30 {
		t.Fatalf("%d examples", len(dirs))
	}
	for dir := range dirs {
		files, err := source.Read(dir)
		if err != nil {
			t.Error(err)
		}
		var all []codes.File
		for _, f := range files {
			all = append(all, codes.File{Name: f.Name, Text: string(f.Data)})
			if input.IsTable(f.Name) {
				continue
			}
			if text, ds := lang.Format(f); len(ds) > 0 || !bytes.Equal(text, f.Data) {
				t.Errorf("%s is not formatted", f.Name)
			}
		}
		doc, found := check(all)
		for _, f := range found {
			if doc == nil || f.Waived == nil && f.Severity != codes.Notice {
				t.Errorf("%s: %v", dir, list(found))
				break
			}
		}
	}
}
