package importer

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/pattern"
	"casemate/policy"
	"casemate/policy/hostsaccess"
	"casemate/policy/hostsaccess/fuzzed"
	"casemate/policy/lang"
)

// compiled checks what every import promises: the policy compiles, and is formatted.
func compiled(t *testing.T, r *Result, err error) *policy.Policy {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f := policy.SourceFile{Name: "imported.cm.hcl", Data: r.HCL}
	doc, ds := lang.Compile([]policy.SourceFile{f})
	if doc == nil {
		t.Fatalf("%+v\n%s", ds, r.HCL)
	}
	if again, _ := lang.Format(f); !bytes.Equal(again, r.HCL) {
		t.Fatalf("not formatted:\n%s", r.HCL)
	}
	return doc.Policy
}

// accounted checks that every line of the input is in the policy, or in the report.
func accounted(t *testing.T, r *Result, name, text string) {
	t.Helper()
	for i, l := range strings.Split(text, "\n") {
		if strings.TrimSpace(l) == "" {
			continue
		}
		at := name + ":" + itoa(i+1) + ":"
		if !bytes.Contains(r.HCL, []byte("# "+at)) && !slices.ContainsFunc(r.Losses, func(l Loss) bool { return l.File == name && l.Line == i+1 }) {
			t.Fatalf("%s %q is nowhere:\n%s\n%v", at, l, r.HCL, r.Losses)
		}
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// TestHostsDecideAsTheTables: over fuzzed tables the acls that came out, as compiled, admit
// nobody whom libwrap denies, and decide as it does where nothing is lost.
func TestHostsDecideAsTheTables(t *testing.T) {
	g := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(23, 1)), Files: []string{"/f"}}
	exact := 0
	for i := range 600 {
		var a, d string
		if i%3 == 0 {
			a, d = g.Table(), g.Table()
		} else {
			a, d = fuzzed.Tame{Generator: g}.Table(), fuzzed.Tame{Generator: g}.Table()
		}
		allow, deny := hostsaccess.Parse("hosts.allow", []byte(a)), hostsaccess.Parse("hosts.deny", []byte(d))
		r, err := HostsAccess(allow, deny)
		p := compiled(t, r, err)
		if joined := strings.Contains(a+d, "\\\n") || strings.Contains(a+d, "\\\r") || allow.Broken+deny.Broken > 0 || strings.Contains(a+d, "\x00"); !joined {
			accounted(t, r, "hosts.allow", a)
			accounted(t, r, "hosts.deny", d)
		}
		page := newPage()
		names := page.hosts(allow, deny)
		for range 12 {
			q := hostsaccess.Request{Daemon: g.Pick("sshd", "in.ftpd", "other"), Addr: g.Pick("10.1.2.3", "10.9.9.9", "192.0.2.77", "2001:db8::5", "::1"),
				Name: g.Pick("unknown", "paranoid", "host.example.org", "x.example.net"), ServerAddr: g.Pick("192.0.2.1", "198.51.100.1"), ServerPort: 22}
			m, err := decide.Compile(p.ACL(names.of(q.Daemon)))
			if err != nil {
				t.Fatal(err)
			}
			got, want := m.Decide(q.Client()).Verdict == acl.Allow, hostsaccess.Decide(allow, deny, q, nil).Allow
			if got && !want {
				t.Fatalf("%+v: admitted\nallow %q\ndeny %q\n%s", q, a, d, r.HCL)
			}
			if r.Lost == 0 && got != want {
				t.Fatalf("%+v: %v, libwrap %v\nallow %q\ndeny %q\n%s", q, got, want, a, d, r.HCL)
			}
		}
		if r.Lost == 0 {
			exact++
		}
	}
	if exact < 50 {
		t.Errorf("only %d tables without a loss", exact)
	}
}

// TestHostsOfNobody: without tables everybody is admitted, and an unreadable or broken
// hosts.deny admits nobody.
func TestHostsOfNobody(t *testing.T) {
	for _, c := range []struct {
		deny *hostsaccess.Table
		want acl.Verdict
		lost int
	}{{nil, acl.Allow, 0}, {&hostsaccess.Table{Name: "d", Unreadable: true}, acl.Deny, 1}, {hostsaccess.Parse("d", []byte("x: y")), acl.Deny, 0}} {
		r, err := HostsAccess(nil, c.deny)
		p := compiled(t, r, err)
		m, _ := decide.Compile(p.ACL("hosts-access"))
		if v := m.Decide(hostsaccess.Request{Addr: "10.1.2.3"}.Client()).Verdict; v != c.want || r.Lost != c.lost {
			t.Errorf("%+v: %s, %v", c.deny, v, r.Losses)
		}
	}
}

// FuzzHostsAccess: whatever the tables, a policy comes out that compiles.
func FuzzHostsAccess(f *testing.F) {
	g := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(5, 5)), Files: []string{"/f"}}
	for range 30 {
		f.Add([]byte(g.Table()), []byte(fuzzed.Tame{Generator: g}.Table()))
	}
	f.Fuzz(func(t *testing.T, a, d []byte) {
		if len(a)+len(d) > 4096 {
			return
		}
		r, err := HostsAccess(hostsaccess.Parse("hosts.allow", a), hostsaccess.Parse("hosts.deny", d))
		compiled(t, r, err)
	})
}

// of is the acl of a daemon.
func (h *hostACLs) of(daemon string) string {
	if name, ok := h.byDaemon[pattern.Lower(daemon)]; ok {
		return name
	}
	return h.others
}
