package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// TestReproduced: every input that failed once has a test that shows it, or says
// what is still wrong; and each test that is named exists.
func TestReproduced(t *testing.T) {
	known := map[string]map[string]bool{}
	seen := map[string]bool{}
	open := 0
	for _, r := range rows {
		at := r.list + " " + r.id
		if seen[at] || r.what == "" {
			t.Errorf("%s: twice, or without a word", at)
		}
		seen[at] = true
		if r.open != "" {
			open++
			t.Logf("open: %s, %s: %s", at, r.what, r.open)
		} else if len(r.tests) == 0 {
			t.Errorf("%s, %s: no test shows it", at, r.what)
		}
		for _, name := range r.tests {
			pkg, test, _ := strings.Cut(name, ".")
			test, _, _ = strings.Cut(test, "/")
			if known[pkg] == nil {
				known[pkg] = testsOf(t, pkg)
			}
			if !known[pkg][test] {
				t.Errorf("%s, %s: there is no %s in %s", at, r.what, test, pkg)
			}
		}
	}
	t.Logf("%d inputs that failed once, %d of them open", len(rows), open)
}

// testsOf are the tests that a package's files define.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rig.Top(t), filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				out[f.Name.Name] = true
			}
		}
	}
	return out
}
