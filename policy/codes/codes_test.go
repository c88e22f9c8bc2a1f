package codes

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTable: the codes are sorted and there once, each has a page, and they are the ones that the sources have.
func TestTable(t *testing.T) {
	all := Codes()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("not sorted, or one is there twice: %v", all)
	}
	for _, r := range All() {
		if !slices.Contains(Severities, r.Severity) || !strings.HasSuffix(r.Sentence, ".") || r.Page().Why == "" || !strings.Contains(r.Text(), r.Sentence) {
			t.Errorf("%+v", r)
		}
	}
	pages, err := os.ReadDir("pages")
	if err != nil || len(pages) != len(all) {
		t.Errorf("%d pages of %d codes (%v)", len(pages), len(all), err)
	}
	code := regexp.MustCompile(`"(CM[0-9]{3})"`)
	used := map[string]bool{}
	for _, top := range []string{"../../policy", "../../cmd", "../../listener"} {
		err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "codes.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range code.FindAllStringSubmatch(string(text), -1) {
				used[m[1]] = true
				if !slices.Contains(all, m[1]) {
					t.Errorf("%s: %s has no row", path, m[1])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range all {
		if !used[c] {
			t.Errorf("nobody finds %s", c)
		}
	}
}

func TestFind(t *testing.T) {
	if r, err := Find("cm504"); err != nil || r.Code != "CM504" {
		t.Error(r, err)
	}
	if _, err := Find("CM5044"); err == nil || !strings.Contains(err.Error(), "did you mean CM504?") {
		t.Error(err)
	}
}

// TestPageFiles: examples of several files stay several.
func TestPageFiles(t *testing.T) {
	r, err := Find("CM104")
	if err != nil {
		t.Fatal(err)
	}
	p := r.Page()
	if len(p.Bad) != 2 || p.Bad[1].Name != "inetd.conf" || !strings.HasPrefix(p.Bad[1].Text, "finger strem") || len(p.Good) != 2 || strings.Contains(p.Why, "--") {
		t.Errorf("%+v", p)
	}
}
