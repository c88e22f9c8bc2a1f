package fences

import (
	"go/ast"
	"slices"
	"testing"
)

// goroutineRoom starts every goroutine of casemated, under a recover, and holds
// every recover: a panic elsewhere would end the broker, or be swallowed.
const goroutineRoom = "sandbox/panics"

// starts are other ways to have a function called on a goroutine of its own:
// selectors by name, whatever they are selected from.
var starts = []string{"AfterFunc", "SetFinalizer", "AddCleanup", "Go"}

// TestGoroutinesAreRescued: no goroutine of casemated stands without a recover
// at its root, and no recover stands where nobody logs it.
func TestGoroutinesAreRescued(t *testing.T) {
	linked := deps(t, "./cmd/casemated", "1")
	seen := 0
	for _, f := range goFiles(t) {
		if f.test || f.pkg == goroutineRoom || !slices.Contains(linked, module+"/"+f.pkg) {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			where := f.fset.Position
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a go statement stands only in %s: use panics.Go", where(n.Pos()), goroutineRoom)
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "recover" {
					t.Errorf("%s: recover stands only in %s: use panics.Try", where(n.Pos()), goroutineRoom)
				}
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains(starts, sel.Sel.Name) {
					break
				}
				if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "panics" {
					t.Errorf("%s: %s calls its function on a goroutine without a recover: use panics.Go", where(n.Pos()), sel.Sel.Name)
					break
				}
				seen++
			}
			return true
		})
	}
	if seen < 5 {
		t.Errorf("%d goroutines found: the fence has lost its subject", seen)
	}
}
