package fences

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// maxLines is the longest a source file may be; maxFuncLines the longest
// function of a package that runs as root.
const (
	maxLines     = 500
	maxFuncLines = 60
)

// tables may be longer: they are data that is read by lookup, not top to bottom.
var tables = []string{
	"sandbox/seccomp/groups.go",
}

var generated = regexp.MustCompile(`(?m)^(// |/\* )Code generated .* DO NOT EDIT\.`)

func TestFileLength(t *testing.T) {
	walk(t, func(slash, native string) {
		switch path.Ext(slash) {
		case ".go", ".c", ".h", ".sh":
		default:
			return
		}
		text, err := os.ReadFile(native)
		if err != nil {
			t.Error(err)
			return
		}
		lines := bytes.Count(text, []byte("\n"))
		if lines > maxLines && !slices.Contains(tables, slash) && !generated.Match(text) {
			t.Errorf("%s has %d lines, more than %d: split it by what it knows", slash, lines, maxLines)
		}
	})
}

// rootPackages run with root's rights, or serve clients next to what does.
var rootPackages = []string{"cmd/casemated", "listener", "listener/inbound", "listener/warden", "listener/broker/...", "acl", "acl/decide", "acl/limit/...", "acl/shield", "sandbox/...", "policy"}

func TestFunctionLength(t *testing.T) {
	total := 0
	for _, f := range goFiles(t) {
		if f.test || !anyWithin(rootPackages, f.pkg) {
			continue
		}
		total += f.fset.Position(f.tree.End()).Line
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			from, to := f.fset.Position(fn.Pos()), f.fset.Position(fn.End())
			if n := to.Line - from.Line + 1; n > maxFuncLines {
				t.Errorf("%s:%d: %s has %d lines, more than %d in a package that runs as root", f.path, from.Line, fn.Name.Name, n, maxFuncLines)
			}
		}
	}
	t.Logf("Go lines in packages that run as root: %d", total)
}

// topLevel is everything that may lie at the top of the tree.
var topLevel = []string{
	".ci", ".git", ".gitattributes", ".github", ".gitignore", ".golangci.yml",
	"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md",
	"acl", "cmd", "doc", "examples", "go.mod", "go.sum", "listener", "policy", "sandbox", "tests",
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(rig.Top(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if (e.Name() == "bin" || e.Name() == ".cache") && e.IsDir() {
			continue // built or downloaded, never committed
		}
		if !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s lies at the top of the tree: put it into the room it belongs to", e.Name())
		}
	}
}

// catchAlls are folder names that say nothing about what is inside.
var catchAlls = []string{"util", "utils", "common", "pkg", "misc", "helper", "helpers", "base", "shared", "lib"}

func TestFolderNames(t *testing.T) {
	seen := map[string]bool{}
	walk(t, func(slash, _ string) {
		for _, dir := range strings.Split(path.Dir(slash), "/") {
			if slices.Contains(catchAlls, dir) && !seen[path.Dir(slash)] {
				seen[path.Dir(slash)] = true
				t.Errorf("%s: a folder is named after what it knows, not %q", path.Dir(slash), dir)
			}
		}
	})
}

// TestPackageComments: every package says what it knows and must not know.
func TestPackageComments(t *testing.T) {
	documented, where := map[string]bool{}, map[string]string{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		where[f.pkg] = f.path
		if f.tree.Doc != nil && strings.TrimSpace(f.tree.Doc.Text()) != "" {
			documented[f.pkg] = true
		}
	}
	for pkg, file := range where {
		if !documented[pkg] {
			t.Errorf("package %s has no package comment (seen in %s)", pkg, file)
		}
	}
}
