package fences

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

var update = flag.Bool("update", false, "rewrite the committed dependency lists")

// privileged are the binaries that run as root, and how each is built.
var privileged = []struct {
	pkg, list, cgo string
}{
	{"./cmd/casemated", "casemated.deps", "1"},
	{"./cmd/casemate-worker", "casemate-worker.deps", "0"},
	{"./cmd/casemate-filter", "casemate-filter.deps", "1"},
	{"./cmd/inetd", "inetd.deps", "0"},
}

// forbidden must never be linked into casemated.
var forbidden = []struct{ pkg, why string }{
	{"github.com/hashicorp/hcl/v2/...", "a deeply nested policy kills an HCL parser's process (stack overflow)"},
	{"github.com/zclconf/go-cty/...", "part of the language front end"},
	{"github.com/spf13/cobra/...", "the privileged binary parses flags with flag"},
	{"net/http/...", "a web server has no place in the broker"},
	{"encoding/gob/...", "decodes into arbitrary types"},
	{"encoding/xml/...", "no format of ours"},
	{"html/...", "no format of ours"},
	{"text/template/...", "calls methods by name, and keeps the linker from dropping dead code"},
	{"os/exec/...", "looks programs up in PATH; the broker starts only what the policy names"},
	{"plugin/...", "loads code"},
	{"crypto/tls/...", "the broker speaks no protocol to clients"},
	{"github.com/landlock-lsm/go-landlock/...", "confines the whole process that calls it"},
	{"kernel.org/pub/linux/libs/security/libcap/psx/...", "makes every thread perform a call"},
	{"github.com/gaissmai/bart/...", "tables of prefixes are for who decides about clients"},
	{"casemate/cmd/confine/...", "confines the process that calls it"},
	{"casemate/policy/lang/...", "the front end runs in its own sandbox"},
	{"casemate/policy/explain", "the command line explains, from what the broker hands out"},
	{"casemate/policy/source", "casemated takes its policy from root alone"},
	{"casemate/policy/valid", "the compiler checks what it writes, in its sandbox"},
	{"casemate/policy/canon", "casemated goes by the digest of the bytes it has; who writes or reviews a document holds it to its one form"},
	{"casemate/policy/signed/key", "casemated verifies, and has no private key"},
	{"casemate/sandbox/foresee", "the broker prepares, and foresees nothing"},
	{"casemate/policy/suggest", "who wrote the word runs casemate check"},
	{"casemate/acl/decide", "the broker process decides about clients; root knows what a rule is"},
	{"casemate/acl/reach", "sets of clients are for who reviews"},
	{"casemate/sandbox/seccomp/ask", "filters are asked by who reviews, and installed here"},
	{"casemate/acl/limit/admission", "the broker process counts; root knows what a limit is, and no client"},
	{"casemate/acl/trace", "casemate explains; root does not even decide"},
	{"casemate/sandbox/seccomp", "names and groups of calls are the compiler's; the broker gets rules"},
	{"casemate/sandbox/seccomp/advise", "the compiler warns before root sees the lists"},
	{"casemate/sandbox/seccomp/filter", "casemate-filter compiles filters, in its sandbox"},
	{"casemate/sandbox/seccomp/launch", "casemate-filter says what a launch needs"},
	{"github.com/seccomp/libseccomp-golang/...", "a C library: casemate-filter links it"},
	{"casemate/policy/calls", "who writes a document or reviews it turns words into rules"},
	{"casemate/listener/inbound", "clients are the broker process's"},
	{"casemate/listener/wire", "workers speak with the broker process, and root reads nothing of theirs"},
	{"casemate/listener/builtin/...", "built-ins read client bytes; the worker serves them"},
}

// deps lists what pkg links, sorted; the standard library's internal packages
// are left out, since they change with every Go release and nobody chooses them.
func deps(t *testing.T, pkg, cgo string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "netgo,osusergo", "-f", "{{.ImportPath}}", pkg)
	cmd.Dir = rig.Top(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	out, err := cmd.Output()
	if err != nil {
		detail := ""
		if e, ok := err.(*exec.ExitError); ok {
			detail = string(e.Stderr)
		}
		t.Fatalf("go list -deps %s: %v\n%s", pkg, err, detail)
	}
	var list []string
	for _, line := range strings.Fields(string(out)) {
		first := strings.SplitN(line, "/", 2)[0]
		std := !strings.Contains(first, ".") && first != module
		if std && (first == "vendor" || slices.Contains(strings.Split(line, "/"), "internal")) {
			continue
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

func TestForbiddenLinks(t *testing.T) {
	linked := deps(t, "./cmd/casemated", "1")
	for _, f := range forbidden {
		for _, d := range linked {
			if within(f.pkg, d) {
				t.Errorf("casemated links %s: %s", d, f.why)
			}
		}
	}
}

// TestDependencyLists makes every change of what a root-started binary links
// visible in review.
func TestDependencyLists(t *testing.T) {
	for _, p := range privileged {
		t.Run(p.list, func(t *testing.T) {
			got := strings.Join(deps(t, p.pkg, p.cgo), "\n") + "\n"
			name := filepath.Join(rig.Top(t), "tests", "fences", p.list)
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatalf("read the committed list: %v (write it with go test ./tests/fences -update)", err)
			}
			added, gone := compare(strings.Fields(string(want)), strings.Fields(got))
			if len(added)+len(gone) > 0 {
				t.Errorf("%s: newly linked %v, no longer linked %v; review, then go test ./tests/fences -update", p.pkg, added, gone)
			}
		})
	}
}

// compare returns what is only in got and what is only in want.
func compare(want, got []string) (added, gone []string) {
	for _, g := range got {
		if !slices.Contains(want, g) {
			added = append(added, g)
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			gone = append(gone, w)
		}
	}
	return added, gone
}
