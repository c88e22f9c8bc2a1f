package lang

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy"
	"casemate/policy/hostsaccess"
	"casemate/policy/hostsaccess/fuzzed"
)

// realAllow and realDeny are the tables of a host that has been there for long.
const (
	realAllow = `# who may come in
in.telnetd: LOCAL, .example.org EXCEPT cgi.example.org
in.fingerd: @staff, 192.0.2. : spawn (/usr/sbin/safe_finger -l @%h | mail -s %d-%h root) &
identd: 198.51.100.7/24 203.0.113.9
`
	realDeny = `ALL: PARANOID
in.telnetd: ALL EXCEPT root@192.0.2.1: twist /bin/echo go away
ALL: ALL: spawn (echo %a >>/var/log/refused)`
)

// TestHostsCompat: with hosts_access = "compat" tables that a policy cannot say in full are served, with a
// warning for each such line and no client more than libwrap admits.
func TestHostsCompat(t *testing.T) {
	const conf = "telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\nfinger stream tcp nowait nobody /usr/sbin/tcpd in.fingerd\nident stream tcp nowait nobody /usr/sbin/identd identd\n"
	compiled := func(word, allow, deny string) (*policy.Document, []policy.Diagnostic) {
		return Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + "inetd { hosts_access = " + word + " }\n")}, {Name: "inetd.conf", Data: []byte(conf)},
			{Name: "hosts.allow", Data: []byte(allow)}, {Name: "hosts.deny", Data: []byte(deny)}})
	}
	if doc, ds := compiled("true", realAllow, realDeny); doc != nil {
		t.Error(show(ds))
	}
	doc, ds := compiled(`"compat"`, realAllow, realDeny)
	if doc == nil {
		t.Fatal(show(ds))
	}
	for at, want := range map[string][]string{
		"hosts.allow:2": {`"LOCAL" stands for names`},
		"hosts.allow:3": {`"@staff" is a netgroup`, `option "spawn" is not carried over`},
		"hosts.allow:4": {`"198.51.100.7/24" has bits of a host in it, and never matches`},
		"hosts.deny:2":  {"another program would answer", `"root@192.0.2.1" asks for a user`},
		"hosts.deny:3":  {"no newline at its end"},
	} {
		i := slices.IndexFunc(ds, func(d policy.Diagnostic) bool { return fmt.Sprintf("%s:%d", d.File, d.Line) == at })
		for _, w := range want {
			if i < 0 || ds[i].Severity != policy.SeverityWarning || !strings.Contains(ds[i].Summary, w) {
				t.Errorf("%s: want %s: %s", at, w, show(ds))
			}
		}
	}
	for _, tt := range []struct {
		service, addr, name string
		want                bool
	}{
		{"telnet", "192.0.2.9", "x.example.org", true}, {"telnet", "192.0.2.9", "cgi.example.org", false}, {"telnet", "192.0.2.9", "local", false},
		{"finger", "192.0.2.9", "unknown", true}, {"finger", "198.51.100.9", "unknown", false}, {"ident", "203.0.113.9", "", true}, {"ident", "198.51.100.7", "", false},
	} {
		if got := admits(t, doc, tt.service, hostsaccess.Request{Addr: tt.addr, Name: tt.name}); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
	g, seen := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(31, 1)), Files: []string{"/f"}}, map[bool]int{}
	for range 150 {
		a, d := fuzzed.Tame{Generator: g}.Table(), fuzzed.Tame{Generator: g}.Table()
		if g.Chance(40) {
			a, d = g.Table(), g.Table()
		}
		allow, deny := hostsaccess.Parse("hosts.allow", []byte(a)), hostsaccess.Parse("hosts.deny", []byte(d))
		doc, ds := compiled(`"compat"`, a, d)
		if doc == nil {
			t.Fatalf("%s\nallow %q\ndeny %q", show(ds), a, d)
		}
		for service, daemon := range map[string]string{"telnet": "in.telnetd", "ident": "identd"} {
			for range 6 {
				q := hostsaccess.Request{Daemon: daemon, Addr: g.Pick("10.1.2.3", "10.9.9.9", "192.0.2.77", "2001:db8::5"), Name: g.Pick("unknown", "paranoid", "host.example.org", "x.example.net"),
					ServerAddr: "192.0.2.1", ServerPort: int(doc.Policy.Service(service).Listen[0].Port)}
				got, want := admits(t, doc, service, q), hostsaccess.Decide(allow, deny, q, nil).Allow
				if got && !want {
					t.Fatalf("%+v: admitted\nallow %q\ndeny %q", q, a, d)
				}
				seen[got]++
			}
		}
	}
	if seen[true] < 100 || seen[false] < 100 {
		t.Errorf("lopsided: %v", seen)
	}
}

// TestHostsLines: each service's rules are at the lines that are about it, also where those of two say the same; what
// one line says of both is one acl.
func TestHostsLines(t *testing.T) {
	const conf = "telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd\nfinger stream tcp nowait nobody /usr/sbin/in.fingerd in.fingerd\nident stream tcp nowait nobody /usr/sbin/identd identd\n"
	const allow = "in.fingerd: 192.0.2.0/255.255.255.0\nin.telnetd: 192.0.2.0/255.255.255.0\n"
	compiled := func(allow string) *policy.Document {
		doc, ds := Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + "inetd { hosts_access = true }\n")}, {Name: "inetd.conf", Data: []byte(conf)},
			{Name: "hosts.allow", Data: []byte(allow)}, {Name: "hosts.deny", Data: []byte("ALL: ALL\n")}})
		if doc == nil {
			t.Fatal(show(ds))
		}
		return doc
	}
	doc := compiled(allow)
	for service, want := range map[string]string{"finger": "hosts.allow:1:1", "telnet": "hosts.allow:2:1"} {
		if at := doc.Origins.Lookup("acls." + doc.Policy.Service(service).ACL + ".rules.0"); at != want {
			t.Errorf("%s: %s, want %s", service, at, want)
		}
	}
	shared := compiled("in.fingerd, in.telnetd: 192.0.2.0/255.255.255.0\n").Policy
	if a, b := shared.Service("finger").ACL, shared.Service("telnet").ACL; a != b {
		t.Errorf("one line is %s and %s", a, b)
	}
}

// admits asks the acl of a service.
func admits(t *testing.T, doc *policy.Document, service string, q hostsaccess.Request) bool {
	t.Helper()
	m, err := decide.Compile(doc.Policy.ACL(doc.Policy.Service(service).ACL))
	if err != nil {
		t.Fatal(err)
	}
	return m.Decide(q.Client()).Verdict == acl.Allow
}
