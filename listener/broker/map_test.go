package broker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// station is one line of doc.go's map.
var station = regexp.MustCompile(`(?m)^//\t(\S+\.go) +\(\*(\w+)\)\.(\w+)( \*)? +\S`)

// TestMapOfTheWay holds the map in doc.go against the code: each function that it
// names stands in the file it names, and is called from one above it, unless the
// map says that the loop calls it.
func TestMapOfTheWay(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	type method struct {
		file  string
		calls map[string]bool
	}
	methods := map[string]method{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			m := method{name, map[string]bool{}}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
						m.calls[sel.Sel.Name] = true
					}
				}
				return true
			})
			methods[star.X.(*ast.Ident).Name+"."+fn.Name.Name] = m
		}
	}
	stations := station.FindAllStringSubmatch(string(doc), -1)
	if lines := strings.Count(string(doc), "\n//\t"); len(stations) != lines || lines < 20 {
		t.Errorf("%d stations in %d lines", len(stations), lines)
	}
	var above []method
	for _, s := range stations {
		file, receiver, name, byLoop := s[1], s[2], s[3], s[4] != ""
		m, ok := methods[receiver+"."+name]
		if !ok || m.file != file {
			t.Errorf("(*%s).%s is in %q, the map says %s", receiver, name, m.file, file)
			continue
		}
		called := byLoop
		for _, a := range above {
			called = called || a.calls[name]
		}
		if !called {
			t.Errorf("(*%s).%s is not called from any station above it", receiver, name)
		}
		above = append(above, m)
	}
}
