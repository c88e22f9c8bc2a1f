package fences

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// Where a dangerous tool may stand, in code that is not a test. Package
// patterns as in the arrow table.
var standing = []struct {
	imports string
	to      []string
	why     string
}{
	{"C", []string{"sandbox/seccomp/filter", "sandbox/zygote/..."}, "cgo is libseccomp, which casemate-filter links, and the zygote (csizes is its test's), nothing else"},
	{"unsafe", []string{"sandbox/...", "listener/..."}, "raw memory belongs to the two rooms that make raw system calls"},
	{"os/exec", []string{"tests/...", "examples/...", "cmd/casemate/commit"}, "programs are started by the zygote; a PATH lookup with root's rights is not wanted (commit asks git, for whoever reviews)"},
	{"plugin", nil, "code is linked, not loaded"},
	{"html/template", []string{"policy/report"}, "pages are written for who reviews, by the command line alone"},
	{"net/http", []string{"tests/..."}, "no web server in the product"},
	{"math/rand", []string{"tests/..."}, "use math/rand/v2 or crypto/rand"},
}

func TestStandingOfImports(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		for _, s := range standing {
			if slices.Contains(f.imports, s.imports) && !anyWithin(s.to, f.pkg) {
				t.Errorf("%s imports %q, which stands only in %v: %s", f.path, s.imports, s.to, s.why)
			}
		}
	}
}

// starters are the ways to start a process without os/exec. The key is
// package.Function as written in the source. cmd/inetd starts casemated, by its path, or becomes it.
var starters = map[string][]string{
	"os.StartProcess":      {"sandbox/...", "tests/...", "cmd/inetd"},
	"syscall.StartProcess": {"sandbox/..."},
	"syscall.ForkExec":     {"sandbox/...", "tests/..."},
	"syscall.Exec":         {"sandbox/...", "tests/...", "cmd/inetd"},
	"unix.Exec":            {"sandbox/...", "tests/..."},
}

// takers are the ways to take a message off a socket. With it may come descriptors, and what the
// kernel closes of those may wait for others: the broker takes all of its messages with listener.Recv.
var takers = map[string][]string{
	"unix.Recvfrom":       {"listener", "listener/inbound", "listener/relay", "sandbox/...", "cmd/...", "tests/..."},
	"unix.Recvmsg":        {"listener", "listener/inbound", "listener/relay", "sandbox/...", "cmd/...", "tests/..."},
	"unix.RecvmsgBuffers": {"listener", "listener/inbound", "listener/relay", "sandbox/...", "cmd/...", "tests/..."},
}

func TestStandingOfProcessStarts(t *testing.T) { testStanding(t, starters) }

func TestStandingOfReceiving(t *testing.T) { testStanding(t, takers) }

func testStanding(t *testing.T, calls map[string][]string) {
	seen := 0
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			to, known := calls[x.Name+"."+sel.Sel.Name]
			if known && !anyWithin(to, f.pkg) {
				t.Errorf("%s: %s.%s stands only in %v", f.fset.Position(n.Pos()), x.Name, sel.Sel.Name, to)
			}
			if known {
				seen++
			}
			return true
		})
	}
	if seen == 0 {
		t.Error("none is called: the fence has lost its subject")
	}
}

// TestOneWayToSkip: a test is left out by tests/need alone, which fails it under
// CI=true; a skip of its own would stay unseen there.
func TestOneWayToSkip(t *testing.T) {
	inNeed := 0
	for _, f := range goFiles(t) {
		if !slices.Contains(f.imports, "testing") {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			switch {
			case !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name):
			case f.pkg == "tests/need":
				inNeed++
			default:
				if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "need" {
					t.Errorf("%s: a test skips through need.Skip or need.Root only", f.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
	if inNeed != 3 {
		t.Errorf("tests/need skips in %d places, want 3 (Skip, Kernel and Heavy): this fence looks for the wrong thing", inNeed)
	}
}

// TestCSources: C, like cgo, stands in the two packages that need it. Test
// programs lie in testdata, which the walk leaves out.
func TestCSources(t *testing.T) {
	walk(t, func(slash, _ string) {
		if !strings.HasSuffix(slash, ".c") && !strings.HasSuffix(slash, ".h") && !strings.HasSuffix(slash, ".s") && !strings.HasSuffix(slash, ".S") {
			return
		}
		if !strings.HasPrefix(slash, "sandbox/seccomp/") && !strings.HasPrefix(slash, "sandbox/zygote/") && !strings.HasPrefix(slash, "examples/") {
			t.Errorf("%s: C and assembly stand only in sandbox/seccomp and sandbox/zygote", slash)
		}
	})
}
