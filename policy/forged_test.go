package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl/decide"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/explain"
	"casemate/policy/valid"
	"casemate/sandbox"
)

// full is sample with every list and every field in use.
func full() *policy.Policy {
	p := sample()
	carries(p)
	f := &p.Profiles[0]
	f.Widens, f.BestEffort, f.Because = []string{"network"}, []string{"landlock"}, "x"
	f.Network = sandbox.Network{Mode: "host", Connect: []uint16{80}, Bind: []uint16{81}}
	f.Files.Write, f.Files.Tmp, f.Files.Proc, f.Files.Pty = []string{"/var/x"}, 1<<20, true, true
	f.Capabilities = []string{"CAP_CHOWN"}
	f.Syscalls.Deny, f.Syscalls.Seal = []string{"ptrace"}, true
	f.Syscalls.ByArgument = []sandbox.SyscallRule{{Name: "socket", Arg: 1, Mask: 7, Values: []uint32{2}}}
	f.Resources = sandbox.Resources{sandbox.Memory: 1 << 20, sandbox.Processes: 4, sandbox.CPU: 100, sandbox.AddressSpace: 1 << 30, sandbox.CPUTime: 9, sandbox.FileSize: 1, sandbox.OpenFiles: 64, sandbox.Tasks: 2,
		sandbox.Stack: 1 << 20, sandbox.Locked: 4096}
	s := &p.Services[1]
	s.Listen[0].Addr, s.Socket.Owner, s.Socket.Group, s.Socket.Backlog = netip.MustParseAddr("192.0.2.1"), "nobody", "adm", 5
	s.Stdout = policy.StdoutLog
	s.Group, s.Groups, s.Because, s.Banner, s.Retry = "adm", []string{"mail"}, "x", "no", true
	return p
}

// forgeries are what a compiler that was taken over may write in place of one value.
func forgeries(v any) []any {
	switch v := v.(type) {
	case string:
		return []any{"", "t", "tc", "u", "unix", "unix\x00", "@", "/", "//", "..", ".", "::", "0.0.0.0/0", "::ffff:1.2.3.4", "fe80::1%x", "\x7f", "é",
			v + "x", strings.Repeat("9", 40), strings.Repeat("a/", 3000), nil, 1.0, []any{}, map[string]any{}}
	case float64:
		return []any{0.0, -1.0, 1.0, v + 1, 255.0, 65535.0, 65536.0, 4294967295.0, json.Number("9223372036854775807"), json.Number("-9223372036854775808"),
			0.5, "1", nil}
	case bool:
		return []any{!v, nil, "x"}
	case []any:
		twice := append(slices.Clone(v), v...)
		return []any{nil, []any{}, []any{nil}, twice, slices.Repeat([]any{""}, 300), append(slices.Clone(v), map[string]any{}), "x"}
	case map[string]any:
		return []any{nil, map[string]any{}, []any{}, "x", map[string]any{"": ""}}
	}
	return []any{1.0, "x", map[string]any{}}
}

// forge calls try with root after each change of each value below v, one at a time.
func forge(v any, set func(any), try func()) {
	for _, f := range forgeries(v) {
		set(f)
		try()
	}
	set(v)
	switch v := v.(type) {
	case []any:
		for i := range v {
			forge(v[i], func(x any) { v[i] = x }, try)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			forge(v[k], func(x any) { v[k] = x }, try)
			old := v[k]
			delete(v, k)
			try()
			v[k] = old
		}
	}
}

// TestForgedDocument: whatever a compiler that was taken over answers, the
// decoder says yes or no. A yes is a policy that everything else may walk.
func TestForgedDocument(t *testing.T) {
	if err := valid.Check(full()); err != nil {
		t.Fatal(err)
	}
	b, err := canon.Encode(full())
	if err != nil {
		t.Fatal(err)
	}
	var root any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	delete(root.(map[string]any), "granted") // TestForgedGrant has this
	tried, taken, good := 0, 0, 0
	forge(root, func(v any) { root = v }, func() {
		b, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		tried++
		p := new(policy.Policy)
		if json.Unmarshal(b, p) != nil {
			return
		}
		p.Filters = full().Filters
		defer func() {
			if what := recover(); what != nil {
				t.Errorf("%v on %.200s", what, b)
			}
		}()
		sound, fine := walkAll(p)
		if sound {
			taken++
		}
		if fine {
			good++
		}
	})
	if good < 100 || taken < good || tried < 2500 {
		t.Errorf("%d forgeries, %d of them taken, %d of these valid: the test has lost its subject", tried, taken, good)
	}
}

// walkAll does what the broker and the review tools do with a policy. What is
// not sound may come only as far as the functions that its checks themselves use.
func walkAll(p *policy.Policy) (sound, fine bool) {
	for i := range p.Services {
		for _, l := range p.Services[i].Listen {
			_, _, _ = l.String(), l.Endpoints(), l.Datagram()
		}
	}
	fine = valid.Check(p) == nil
	doc, err := newDocument(p, policy.Origins{"a..b": "x", ".": ""})
	if err != nil && fine {
		panic(fmt.Sprintf("a valid policy is not sound: %v", err))
	}
	if doc == nil {
		doc = &policy.Document{Policy: p}
	}
	explainAll(doc, fine)
	if err != nil {
		return false, false
	}
	for i := range p.Services {
		s := &p.Services[i]
		if p.Limit(s.Limit) == nil || p.Profile(s.Profile) == nil || s.ACL != "" && p.ACL(s.ACL) == nil {
			panic("a reference of a sound policy leads nowhere")
		}
		if _, err := decide.Compile(p.ACL(s.ACL)); err != nil && fine {
			panic(err)
		}
		if s.Linger < time.Second || len(s.Listen) == 0 || (len(s.Command) == 0) == !s.Ours() || s.Redirects() && (s.Builtin != "" || !s.Redirect.Target()) {
			panic("a sound policy lacks what the broker takes for granted")
		}
		for _, l := range s.Listen {
			if len(l.Endpoints()) == 0 {
				panic("a listen of a sound policy opens nothing")
			}
		}
	}
	return true, fine
}

// explainAll asks policy/explain about everything in a document.
func explainAll(doc *policy.Document, fine bool) {
	p := doc.Policy
	for i := range p.Profiles {
		explain.Layers(&p.Profiles[i], "SERVICE")
	}
	for i := range p.Limits {
		explain.LimitLines(&p.Limits[i])
	}
	for i := range p.Services {
		e, err := explain.Ask(doc, explain.Query{Service: p.Services[i].Name, Client: netip.MustParseAddr("192.0.2.66")})
		if fine && (err != nil || e == nil) {
			panic(err)
		}
	}
}
