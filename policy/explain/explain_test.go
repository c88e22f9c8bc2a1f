package explain

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
)

func sample() *policy.Policy {
	return &policy.Policy{
		Edition: 1, OnStop: "end", OnBroken: "retry", Filters: granted.Filters{valid.FilterName([][]uint32{{0}}): {{0}}},
		ACLs: []acl.List{
			{Name: "named", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{".example.org"}}}, Default: acl.Deny},
			{Name: "office", Rules: []acl.Rule{
				{Verdict: acl.Deny, From: []acl.Pattern{"192.0.2.66"}},
				{Verdict: acl.Allow, From: []acl.Pattern{"192.0.2.0/24"}, To: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
			}, Default: acl.Deny},
		},
		Limits: []limit.Spec{{Name: "public", Concurrent: 64, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}}},
		Profiles: []sandbox.Profile{{Name: "line", Base: []string{"strict"}, Network: sandbox.Network{Mode: "none"},
			Syscalls: sandbox.Syscalls{Allow: []string{"@line"}, Filter: valid.FilterName([][]uint32{{0}}), OnViolation: "errno"}}},
		Services: []policy.Service{{Name: "finger", Listen: []address.Listen{{Network: "tcp", Port: 79, LastPort: 79}},
			Command: []string{"/usr/sbin/in.fingerd"}, User: "nobody", Limit: "public", Profile: "line",
			Stdio: "socket", Dir: "/", Umask: 0o77, Linger: time.Minute, Log: "all"}},
	}
}

func TestExplain(t *testing.T) {
	p := sample()
	p.Services[0].ACL = "office"
	doc, err := newDocument(p, policy.Origins{"acls.office.rules.0": "f:1:1", "acls.office.rules.1": "f:2:1", "acls.office.default": "default",
		"services.finger": "f:9:1", "acls.named.rules.0": "f:5:1"})
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddr("10.1.2.3")
	for _, tt := range []struct {
		name    string
		acl     string
		q       Query
		want    acl.Verdict
		rule    int
		origin  string
		reason  string
		pending bool
	}{
		{"deny rule", "office", Query{Client: netip.MustParseAddr("192.0.2.66"), Local: local}, acl.Deny, 1, "f:1:1", "192.0.2.66", false},
		{"mapped", "office", Query{Client: netip.MustParseAddr("::ffff:192.0.2.66"), Local: local}, acl.Deny, 1, "f:1:1", "192.0.2.66", false},
		{"allow rule", "office", Query{Client: netip.MustParseAddr("192.0.2.1"), Local: local}, acl.Allow, 2, "f:2:1", "192.0.2.0/24", false},
		{"default", "office", Query{Client: netip.MustParseAddr("198.51.100.1"), Local: local}, acl.Deny, -1, "default", "default is deny", false},
		{"other local", "office", Query{Client: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("172.16.0.1")}, acl.Deny, -1, "default", "", false},
		{"no acl", "", Query{Client: netip.MustParseAddr("192.0.2.1")}, acl.Deny, -2, "f:9:1", "no acl", false},
		{"needs name", "named", Query{Client: netip.MustParseAddr("192.0.2.1")}, acl.Deny, 1, "f:5:1", "host name", true},
		{"named", "named", Query{Client: netip.MustParseAddr("192.0.2.1"), Name: "www.example.org"}, acl.Allow, 1, "f:5:1", ".example.org", false},
		{"paranoid", "named", Query{Client: netip.MustParseAddr("192.0.2.1"), Name: "paranoid"}, acl.Deny, -1, "", "default is deny", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Services[0].ACL = tt.acl
			tt.q.Service = "finger"
			e, err := Ask(doc, tt.q)
			if err != nil {
				t.Fatal(err)
			}
			if e.Decision != tt.want || e.Rule != tt.rule || e.NeedsName != tt.pending || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("got %s rule %d (needs name %v): %s", e.Decision, e.Rule, e.NeedsName, e.Reason)
			}
			if tt.origin != "" && e.Origin != tt.origin {
				t.Errorf("origin %q, want %q", e.Origin, tt.origin)
			}
			if len(e.Layers) == 0 || e.Digest != doc.Digest || e.Limit == nil || e.User != "nobody" {
				t.Errorf("incomplete: %+v", e)
			}
		})
	}
	for name, q := range map[string]Query{
		`did you mean "finger"`: {Service: "figner", Client: local},
		"no address":            {Service: "finger"},
		"name":                  {Service: "finger", Client: local, Name: "a b"},
	} {
		if _, err := Ask(doc, q); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %s, got %v", name, err)
		}
	}
}

// newDocument wraps a valid policy with its digest.
func newDocument(p *policy.Policy, o policy.Origins) (*policy.Document, error) {
	b, err := canon.Encode(p)
	if err != nil {
		return nil, err
	}
	return &policy.Document{FormatVersion: granted.DocumentFormat, Digest: granted.Digest(b), Policy: p, Origins: o}, nil
}

// TestFormatSize: exact where that is short, and near where it is not.
func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 1: "1B", 1500: "1500B", 4096: "4KiB", 1025 << 20: "1025MiB", 214748: "209.7KiB", 24641234 << 10: "23.5GiB", 1 << 50: "1024TiB", 12345: "12.1KiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %s, want %s", n, got, want)
		}
	}
}

// TestExecAndSignals: what a profile lets its program execute, and what signals do to it.
func TestExecAndSignals(t *testing.T) {
	p := sandbox.Profile{Network: sandbox.Network{Mode: "none"}, Syscalls: sandbox.Syscalls{Allow: []string{"@line"}, OnViolation: "errno"}}
	has := func(what, want string) {
		t.Helper()
		named, err := calls.Resolve(&p.Syscalls)
		if err != nil {
			t.Fatal(err)
		}
		numbered, err := seccomp.Numbered(named)
		if err != nil {
			t.Fatal(err)
		}
		p.Syscalls.Rules = filter.Encode(numbered)
		if lines := strings.Join(Layers(&p, "SERVICE"), "\n"); !strings.Contains(lines, want) {
			t.Errorf("%s: no %q in\n%s", what, want, lines)
		}
	}
	has("no bound of address_space", "exec: what files shows")
	p.Resources[sandbox.AddressSpace] = 1 << 30
	has("bounded", "exec: the program, once")
	has("without init", "signals: only those it handles")
	p.Init = true
	has("init", "signals: as usual")
	p.Syscalls.Allow = []string{"@server"}
	has("execve", "exec: what files shows")
}

// TestWaitHasNoSessionLimit: nobody enforces one on a program that takes its clients itself.
func TestWaitHasNoSessionLimit(t *testing.T) {
	for wait, want := range map[bool]time.Duration{false: time.Minute, true: 0} {
		p := sample()
		p.Limits[0].Session, p.Services[0].Wait = time.Minute, wait
		e, err := Ask(&policy.Document{Policy: p}, Query{Service: "finger", Client: netip.MustParseAddr("192.0.2.1")})
		if err != nil || e.Limit.Session != want || p.Limits[0].Session != time.Minute {
			t.Errorf("wait %v: %+v, %v", wait, e, err)
		}
	}
}

// TestResponsesAreTold: what holds of a built-in's udp answers, whether a limit says so or not, and
// nothing of the kind where there are none.
func TestResponsesAreTold(t *testing.T) {
	wide := limit.Spec{PerSource: limit.PerSource{Prefix4: 16, Prefix6: 64}, Responses: limit.Rate{Events: 7, Per: time.Minute}}
	for _, tt := range []struct {
		network, builtin string
		l                limit.Spec
		want             string
	}{
		{"udp", "echo", limit.Spec{PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}}, "udp answers: each /24 or IPv6 /56 50/s, 100 at once; all clients 2000/s"},
		{"udp", "echo", wide, "udp answers: each /16 or IPv6 /56 7/min, 14 at once; all clients 2000/s"},
		{"tcp", "echo", wide, ""},
		{"udp", "", wide, ""},
	} {
		s := policy.Service{Builtin: tt.builtin, Listen: []address.Listen{{Network: tt.network, Port: 7, LastPort: 7}}}
		if got := strings.Join(LimitLines(Held(&s, tt.l)), "\n"); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.network, tt.builtin, got, tt.want)
		}
	}
}
