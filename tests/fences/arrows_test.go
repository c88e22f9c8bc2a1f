package fences

import (
	"strings"
	"testing"
)

// arrow is one row of the import map: packages that match from may import,
// among ours, only what to lists. The first row that matches decides, and a
// package without a row is an error: a new room is added here on purpose.
type arrow struct {
	from string
	to   []string
	why  string
}

// arrows are the rooms of the project and what each may know.
var arrows = []arrow{
	{"acl", nil, "host rules are pure: no sockets, no policy, no sandbox"},
	{"acl/decide", []string{"acl", "acl/trace"}, "who decides by them, which root does not (acl/trace is its tests')"},
	{"acl/pattern", []string{"acl", "acl/decide"}, "patterns as people write them; root takes the canonical ones (acl/decide is its tests')"},
	{"acl/civil", []string{"acl", "acl/decide"}, "times as people write them; root takes minutes and offsets (acl/decide tells the minute)"},
	{"acl/reach", []string{"acl", "acl/decide", "acl/civil"}, "computes with sets of clients; who decides does not (acl/civil is its tests')"},
	{"acl/shield", []string{"acl", "acl/decide", "acl/reach"}, "makes filters of what is known of addresses alone; it attaches none (acl/decide is its tests')"},
	{"acl/trace", []string{"acl", "acl/civil", "acl/decide", "acl/pattern"}, "explains host rules by asking them"},
	{"acl/limit", nil, "limits are pure and know no host rules"},
	{"acl/limit/admission", []string{"acl/limit"}, "who counts by them, which root does not"},
	{"acl/limit/responses", []string{"acl/limit"}, "what they come to for datagrams, of which root knows nothing"},
	{"acl/ban", nil, "what an operator says is pure as well"},
	{"listener/endpoint", nil, "a pure leaf: what one socket is bound to"},
	{"listener/address", []string{"listener/endpoint"}, "what may be listened on, as a policy has it; root takes endpoints"},
	{"listener/address/spell", []string{"listener/address", "listener/endpoint"}, "addresses as people write them; root takes the canonical ones"},
	{"listener/loop", []string{"sandbox/panics"}, "descriptors and deadlines; it knows no service"},
	{"listener/rest", nil, "a pure leaf: what a process needs no more when its work is done"},
	{"listener/host", []string{"sandbox", "sandbox/hostpath"}, "accounts and blocks of leased uids; it knows no service"},
	{"listener/lease", []string{"listener/host", "sandbox"}, "who leases to connections, which root does not"},
	{"listener/journal", []string{"listener/inbound", "acl/decide", "sandbox/panics"}, "what is logged, and how; it knows no policy and nobody who logs"},
	{"listener/wire/far", []string{"listener/wire", "acl", "acl/ban", "acl/decide"}, "the workers' end of these messages"},
	{"listener/wire", []string{"acl", "acl/ban", "acl/decide", "acl/limit"}, "messages are bytes and what they stand for"},
	{"listener", []string{"listener/endpoint", "sandbox/hostpath", "sandbox/panics"}, "sockets know nothing of decisions"},
	{"listener/inbound", []string{"listener", "listener/endpoint"}, "nor does what comes in at them, which root leaves to others (listener/endpoint is its tests')"},
	{"listener/pace", []string{"acl/limit", "listener/inbound", "listener/journal"}, "judges clients by what is known of their connections; it holds none"},
	{"listener/said", []string{"listener/journal"}, "what services say is taken apart by the log worker alone, which knows no more than this"},
	{"listener/relay", nil, "the relay worker carries bytes between two sockets that it is given"},
	{"listener/builtin", []string{"listener", "listener/endpoint", "listener/inbound", "listener/journal", "listener/loop", "listener/pace", "listener/wire", "listener/wire/far", "acl", "acl/ban", "acl/decide", "acl/limit", "acl/limit/admission", "acl/limit/responses"}, "the built-in worker applies the broker's own rules, and no more"},
	{"listener/warden", []string{"listener", "listener/address", "listener/endpoint", "listener/host", "listener/loop", "policy", "policy/canon", "policy/granted", "policy/input", "policy/signed", "sandbox", "sandbox/rootfs", "sandbox/seccomp/program", "sandbox/seccomp/launch", "sandbox/zygote", "sandbox/panics", "sandbox/hostpath", "acl", "acl/limit"}, "what takes root's rights knows no client and writes no record (acl, acl/limit, listener/address, policy and policy/canon are its tests')"},
	{"listener/warden/hands", []string{"listener", "listener/inbound", "listener/lease", "listener/warden", "policy", "sandbox/zygote", "sandbox/cgroup/events", "policy/input"}, "what the broker sees of root"},
	{"listener/warden/far", []string{"listener/warden/hands", "listener", "listener/endpoint", "listener/inbound", "listener/host", "listener/lease", "listener/loop", "listener/warden", "policy", "sandbox", "sandbox/zygote", "sandbox/panics", "sandbox/cgroup/events", "policy/canon", "policy/granted", "policy/input", "sandbox/rootfs"}, "the broker's end of what it asks of root; it reads policies whole (listener/endpoint is its tests')"},
	{"listener/broker", []string{"listener", "listener/address", "listener/host", "listener/lease", "listener/inbound", "listener/journal", "listener/loop", "listener/pace", "listener/rest", "listener/warden", "listener/warden/hands", "listener/wire", "listener/wire/far", "acl", "acl/ban", "acl/decide", "acl/limit", "acl/limit/admission", "acl/shield", "policy", "policy/canon", "policy/control", "sandbox", "sandbox/zygote", "sandbox/panics", "sandbox/hostpath", "sandbox/cgroup/events", "listener/endpoint", "policy/granted", "policy/input"}, "the broker puts the rooms together; it reads no HCL (listener/wire/far is its tests')"},
	{"sandbox/...", []string{"sandbox/..."}, "confinement knows only its own mechanisms"},
	{"policy", []string{"policy/granted", "policy/input", "acl", "acl/decide", "acl/limit", "listener/address", "listener/endpoint", "sandbox", "sandbox/rootfs", "sandbox/machine"}, "the model is made of the rooms' spec types; what is wrong with an entry of a tree has its place in a policy (acl/decide and sandbox/machine are its tests')"},
	{"policy/granted", []string{"listener", "sandbox", "sandbox/seccomp/program", "sandbox/hostpath", "sandbox/machine"}, "root reads what its own rooms act on, and of a policy nothing else"},
	{"policy/input", []string{"policy/granted", "sandbox/hostpath"}, "root reads the files of a policy and knows none of their meaning"},
	{"policy/canon", []string{"policy", "policy/granted", "acl", "acl/limit", "listener", "sandbox"}, "who writes or reads a whole document makes of it what is granted to root"},
	{"policy/source", []string{"policy", "policy/input", "sandbox/hostpath"}, "who reads policies says what is wrong with their paths"},
	{"policy/policytest", []string{"policy", "policy/explain", "acl", "acl/decide", "acl/reach", "acl/trace", "acl/limit", "acl/limit/admission", "acl/limit/responses", "listener/address", "listener/endpoint"}, "tests of a policy ask the code that the broker decides and counts with; lang reads their files"},
	{"policy/...", []string{"policy/...", "acl", "acl/ban", "acl/shield", "acl/civil", "acl/decide", "acl/pattern", "acl/reach", "acl/trace", "acl/limit", "acl/limit/responses", "listener/address", "listener/address/spell", "sandbox", "sandbox/resource", "sandbox/rootfs/nodes", "sandbox/seccomp", "sandbox/seccomp/filter", "sandbox/seccomp/launch", "sandbox/seccomp/program", "sandbox/seccomp/advise", "sandbox/seccomp/ask", "sandbox/seccomp/spoken", "sandbox/machine", "listener/endpoint"}, "review tools work on the compiled model"},
	{"cmd/version", nil, "one word for every binary"},
	{"cmd/confine", []string{"sandbox/landlock"}, "what the unprivileged binaries take from themselves; which kernel can is known there"},
	{"cmd/confirm", []string{"acl/decide"}, "who looks names up knows what rules mean by one"},
	{"cmd/...", []string{"acl/...", "listener/...", "policy/...", "sandbox/...", "cmd/casemate/...", "cmd/confine", "cmd/confirm", "cmd/version"}, "binaries wire rooms together"},
	{"examples/...", nil, "an example stands alone, as a user's program does"},
	{"tests/need", nil, "every package's tests use it"},
	{"tests/...", []string{"acl/...", "listener/...", "policy/...", "sandbox/...", "tests/..."}, "tests drive the product"},
}

func TestArrows(t *testing.T) {
	for _, f := range goFiles(t) {
		row := arrowFor(f.pkg)
		if row == nil {
			t.Errorf("%s: package %s has no row in the arrow table", f.path, f.pkg)
			continue
		}
		for _, imp := range f.imports {
			ours, ok := strings.CutPrefix(imp, module+"/")
			if !ok || ours == f.pkg {
				continue
			}
			if f.test && strings.HasPrefix(ours, "tests/") {
				continue // a package's own tests may use the shared harness
			}
			if strings.HasSuffix(f.tree.Name.Name, "_test") && strings.HasPrefix(ours, f.pkg+"/") {
				continue // an external test may hold its package to what is built on it
			}
			if !anyWithin(row.to, ours) {
				t.Errorf("%s imports %s: %s may import %v (%s)", f.path, imp, row.from, row.to, row.why)
			}
		}
	}
}

func arrowFor(pkg string) *arrow {
	for i := range arrows {
		if within(arrows[i].from, pkg) {
			return &arrows[i]
		}
	}
	return nil
}

// owners says which packages may import a foreign module. Everything not
// listed is allowed nowhere: a new direct dependency gets a row and a reason.
var owners = []struct {
	module string
	to     []string
}{
	{"github.com/hashicorp/hcl/v2/...", []string{"policy/lang/..."}},
	{"github.com/apparentlymart/go-textseg/v15/...", []string{"policy/lang"}},
	{"github.com/sourcegraph/jsonrpc2/...", []string{"cmd/casemate/lsp"}},
	{"github.com/zclconf/go-cty/...", []string{"policy/lang/..."}},
	{"github.com/spf13/cobra/...", []string{"cmd/casemate/..."}},
	{"github.com/spf13/pflag/...", []string{"cmd/casemate/..."}},
	{"github.com/seccomp/libseccomp-golang/...", []string{"sandbox/seccomp/filter"}},
	{"github.com/landlock-lsm/go-landlock/...", []string{"cmd/confine"}},
	{"github.com/gaissmai/bart/...", []string{"acl/..."}},
	{"github.com/cilium/ebpf/...", []string{"sandbox/learn/observe/parole"}},
	{"golang.org/x/sys/...", []string{"sandbox/...", "listener/...", "cmd/...", "tests/...", "policy/diff", "policy/score"}},
	{"golang.org/x/net/...", []string{"acl/shield", "listener/builtin", "cmd/casemate-worker/...", "sandbox/seccomp/...", "tests/..."}},
	{"golang.org/x/crypto/...", []string{"tests/..."}},
	{"github.com/santhosh-tekuri/jsonschema/...", []string{"policy/schema"}},
	{"gonum.org/v1/plot/...", []string{"tests/bench"}},
	{"github.com/rogpeppe/go-internal/...", []string{"tests/...", "cmd/casemate/..."}},
}

func TestForeignModules(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, imp := range f.imports {
			if imp == "C" || strings.HasPrefix(imp, module+"/") || !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // cgo, ours, or the standard library
			}
			found := false
			for _, o := range owners {
				if !within(o.module, imp) {
					continue
				}
				found = true
				if !anyWithin(o.to, f.pkg) {
					t.Errorf("%s imports %s, which only %v may", f.path, imp, o.to)
				}
			}
			if !found {
				t.Errorf("%s imports %s, a module nobody owns: add it to the table with its room", f.path, imp)
			}
		}
	}
}
