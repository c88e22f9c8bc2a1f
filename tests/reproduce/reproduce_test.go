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
		exist(t, known, at+", "+r.what, r.tests)
	}
	t.Logf("%d inputs that failed once, %d of them open", len(rows), open)
}

// TestPeersFaults: every fault that other super-servers had has a test that casemate does
// not have it, or says why it cannot; and each test that is named exists.
func TestPeersFaults(t *testing.T) {
	known, seen := map[string]map[string]bool{}, map[string]bool{}
	for _, p := range peers {
		if seen[p.ref] || p.ref == "" || p.class == "" {
			t.Errorf("%s: twice, or without a word", p.ref)
		}
		seen[p.ref] = true
		if len(p.tests) == 0 && p.never == "" {
			t.Errorf("%s, %s: no test holds it", p.ref, p.class)
		}
		exist(t, known, p.ref+", "+p.class, p.tests)
	}
}

// exist reports the tests that are named and are not there. known are those of packages.
func exist(t *testing.T, known map[string]map[string]bool, of string, tests []string) {
	t.Helper()
	for _, name := range tests {
		pkg, test, _ := strings.Cut(name, ".")
		test, _, _ = strings.Cut(test, "/")
		if known[pkg] == nil {
			known[pkg] = testsOf(t, pkg)
		}
		if !known[pkg][test] {
			t.Errorf("%s: there is no %s in %s", of, test, pkg)
		}
	}
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
