package fences

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// module is the module path of go.mod; imports below it are "ours".
const module = "casemate"

// file is one Go source file: parsed whatever its build tags say, so that a
// fence holds for every platform and every tag.
type file struct {
	path    string // slash path from the repository root
	pkg     string // directory of path, "." for the root
	test    bool   // a _test.go file
	imports []string
	fset    *token.FileSet
	tree    *ast.File
}

// ignoredDir tells what is not part of the project's source: version control, build
// output, what was downloaded, and what the go command skips anyway.
func ignoredDir(name string) bool {
	return name == ".git" || name == ".cache" || name == "bin" || name == "testdata" || name == "vendor" || name == "node_modules" || strings.HasPrefix(name, "_")
}

// walk calls visit for every regular file of the project (testdata left out)
// with its slash path from the root.
func walk(t *testing.T, visit func(slash, native string)) {
	t.Helper()
	top := rig.Top(t)
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != top && ignoredDir(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(rel), p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles parses every Go file of the project.
func goFiles(t *testing.T) []file {
	t.Helper()
	var out []file
	walk(t, func(slash, native string) {
		if !strings.HasSuffix(slash, ".go") {
			return
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, native, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("parse %s: %v", slash, err)
			return
		}
		f := file{path: slash, pkg: path.Dir(slash), test: strings.HasSuffix(slash, "_test.go"), fset: fset, tree: tree}
		for _, imp := range tree.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", slash, imp.Path.Value, err)
				continue
			}
			f.imports = append(f.imports, name)
		}
		out = append(out, f)
	})
	if len(out) == 0 {
		t.Fatal("no Go files found: the walk is broken")
	}
	return out
}

// within tells whether name matches pattern: equal, or below it when the
// pattern ends in "/...".
func within(pattern, name string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == base || strings.HasPrefix(name, base+"/")
	}
	return pattern == name
}

// anyWithin tells whether one of the patterns matches name.
func anyWithin(patterns []string, name string) bool {
	for _, p := range patterns {
		if within(p, name) {
			return true
		}
	}
	return false
}
