package warden

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/listener/host"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/granted"
	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// testPolicy has one service.
func testPolicy() *policy.Policy {
	return &policy.Policy{Edition: 1, OnStop: "end", OnBroken: "retry", Filters: granted.Filters{"zero": {{0}}},
		ACLs:   []acl.List{{Name: "anyone", Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"any"}}}, Default: acl.Deny}},
		Limits: []limit.Spec{{Name: "none", PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}}},
		Profiles: []sandbox.Profile{{Name: "p", Network: sandbox.Network{Mode: "listener"},
			Syscalls: sandbox.Syscalls{Allow: []string{"@strict"}, Filter: "zero", OnViolation: "kill"}}},
		Services: []policy.Service{{Name: "a", Command: []string{"/bin/cat"}, User: "dynamic", ACL: "anyone", Limit: "none", Profile: "p", Stdio: "socket", Dir: "/", Linger: time.Minute, Log: "all",
			Listen: []address.Listen{{Network: "tcp", Addr: netip.MustParseAddr("127.0.0.1"), Port: 79, LastPort: 79}}}},
	}
}

// newDocument is a valid policy as root has it of the compiler.
func newDocument(p *policy.Policy, o policy.Origins) (*granted.Document, error) {
	b, err := canon.Encode(p)
	if err != nil {
		return nil, err
	}
	text, err := canon.EncodeDocument(&policy.Document{FormatVersion: granted.DocumentFormat, Digest: granted.Digest(b), Policy: p, Origins: o})
	if err != nil {
		return nil, err
	}
	return granted.Decode(text)
}

// TestEnvironment: what is passed on is in place of what the policy has for all.
func TestEnvironment(t *testing.T) {
	t.Setenv("A", "passed")
	t.Setenv("PATH", "/own")
	fixed := []string{"AB=c", "PATH=/usual"}
	for want, names := range map[string][]string{
		"AB=c PATH=/usual": {"NOT_SET_HERE"}, "A=passed AB=c PATH=/usual": {"A"}, "AB=c PATH=/own": {"PATH"},
	} {
		got := environment(&granted.Service{Command: sandbox.Command{Env: fixed}, PassEnv: names})
		if strings.Join(got, " ") != want {
			t.Errorf("%v: %v, want %s", names, got, want)
		}
	}
	if strings.Join(fixed, " ") != "AB=c PATH=/usual" {
		t.Errorf("the policy's own have become %v", fixed)
	}
}

func TestAccounts(t *testing.T) {
	a := host.ParseAccounts("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n# comment\n+nis\nbad:x:-1:0::/:\nnobody:x:1:1::/:\nlast:x:7:8::/:/bin/sh",
		"root:x:0:\nnogroup:x:65533:a,b\nbad:x:4294967295:\n")
	for _, tt := range []struct {
		s    granted.Service
		want sandbox.Command
		err  string
	}{
		{s: granted.Service{User: "nobody"}, want: sandbox.Command{UID: 65534, GID: 65533}},
		{s: granted.Service{User: "65534"}, want: sandbox.Command{UID: 65534, GID: 65533}},
		{s: granted.Service{User: "1234"}, want: sandbox.Command{UID: 1234, GID: 1234}},
		{s: granted.Service{User: "last", Group: "nogroup", Groups: []string{"root", "12"}}, want: sandbox.Command{UID: 7, GID: 65533, Groups: []uint32{0, 12}}},
		{s: granted.Service{User: "dynamic"}, want: sandbox.Command{Dynamic: true}},
		{s: granted.Service{User: "dynamic", Group: "root"}, err: "leased uid"},
		{s: granted.Service{User: "bad"}, err: "services.s.user"},
		{s: granted.Service{User: "nobody", Group: "bad"}, err: "services.s.group"},
		{s: granted.Service{User: "nobody", Groups: []string{"root", "none"}}, err: "services.s.groups.1"},
		{s: granted.Service{User: "4294967295"}, err: "not in /etc/passwd"},
	} {
		tt.s.Command.Service = "s"
		got := tt.s.Command
		err := resolve(a, &tt.s, &got)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: error %v, want %q", tt.s, err, tt.err)
			}
			continue
		}
		if err != nil || got.UID != tt.want.UID || got.GID != tt.want.GID || got.Dynamic != tt.want.Dynamic || !slices.Equal(got.Groups, tt.want.Groups) {
			t.Errorf("%s:%s: %+v, %v", tt.s.User, tt.s.Group, got, err)
		}
	}
}

func TestCheckThread(t *testing.T) {
	own, used := fmt.Sprintf("%016x", zygote.BrokerCaps), fmt.Sprintf("%016x", zygote.BrokerCaps&^zygote.LatentCaps)
	status := func(prm, bnd string) string {
		return "Name:\tx\nCapInh:\t0000000000000000\nCapPrm:\t" + prm + "\nCapEff:\t" + strings.Replace(prm, own, used, 1) + "\nCapBnd:\t" + bnd + "\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	}
	allowed, ptrace := zygote.BrokerCaps, uint64(1)<<unix.CAP_SYS_PTRACE
	few := fmt.Sprintf("%016x", zygote.Indispensable)
	for _, tt := range []struct{ text, err string }{
		{status(own, own), ""},
		{status(few, few), ""},
		{strings.Replace(status(own, own), used, own, 1), "CapEff holds CAP_NET_ADMIN"},
		{status(own, "000001ffffffffff"), "CapBnd holds"},
		{status(fmt.Sprintf("%016x", allowed|ptrace), own), "CAP_SYS_PTRACE"},
		{status("x", "0"), "CapPrm"},
		{status("0", "0"), "needs CAP_SETGID, "},
		{strings.Replace(status(own, own), "NoNewPrivs:\t1", "NoNewPrivs:\t0", 1), `NoNewPrivs is "0"`},
		{strings.Replace(status(own, own), "Seccomp:\t2", "Seccomp:\t0", 1), `Seccomp is "0"`},
		{strings.Replace(status(own, own), "Seccomp:\t2\n", "", 1), `Seccomp is ""`},
		{"CapPrm:\t0\n", "CapInh"},
		{strings.Replace(status(own, own), "CapAmb", "CapXmb", 1), "CapAmb"},
	} {
		_, err := checkThread(tt.text, allowed)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.err)
		}
	}
}

// TestMissingCapability: the first line says which one, and how it is given.
func TestMissingCapability(t *testing.T) {
	admin, _ := zygote.CapMask("CAP_SYS_ADMIN")
	text := "CapInh:\t0\nCapPrm:\t0\nCapBnd:\t0\nCapAmb:\t0\n"
	_, err := checkThread(text+fmt.Sprintf("CapEff:\t%016x\n", zygote.BrokerCaps&^admin), zygote.BrokerCaps)
	if err == nil || !strings.HasPrefix(err.Error(), "needs CAP_SYS_ADMIN ") || !strings.Contains(err.Error(), "--cap-add=SYS_ADMIN,") {
		t.Errorf("%v", err)
	}
	for _, nothing := range []string{text, text + "CapEff:\tx\n"} {
		if _, err := checkThread(nothing, zygote.BrokerCaps); err == nil {
			t.Error("a status that says nothing passes")
		}
	}
}

// forgedAnswer is the answer of a compiler that was taken over: of p with old
// replaced by new, under a digest that fits.
func forgedAnswer(t testing.TB, p *policy.Policy, old, new string) []byte {
	t.Helper()
	text, err := canon.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.ReplaceAll(text, []byte(old), []byte(new))
	if bytes.Equal(bad, text) {
		t.Fatalf("no %s in %s", old, text)
	}
	return fmt.Appendf(nil, "{\"format_version\":2}\n%s", granted.Frame(granted.Digest(bad), bad, []byte("{}")))
}

func TestForgedAnswer(t *testing.T) {
	doc, _, err := decodeCompiled(forgedAnswer(t, testPolicy(), `"tcp4"`, `"t"`), nil)
	if doc != nil || err == nil || !strings.Contains(err.Error(), "no socket that can be opened") {
		t.Errorf("%v, %v", doc, err)
	}
}

// A document that is compiled already comes back as it is, or not at all.
func TestAnotherDocument(t *testing.T) {
	doc, err := newDocument(testPolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := doc.Text
	answer := fmt.Appendf(nil, "{\"format_version\":2}\n%s", text)
	given := []policy.SourceFile{{Name: "p.json", Data: append(slices.Clone(text), '\n')}}
	if got, _, err := decodeCompiled(answer, given); err != nil || got.Digest != doc.Digest {
		t.Error(err)
	}
	given[0].Data = bytes.Replace(text, []byte(`"/bin/cat"`), []byte(`"/bin/tac"`), 1)
	if got, _, err := decodeCompiled(answer, given); got != nil || err == nil || !strings.Contains(err.Error(), "another document") {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzDecodeCompiled(f *testing.F) {
	f.Add([]byte(`{"format_version":2,"diagnostics":[]}`))
	f.Add([]byte("{\"format_version\":2}\n{}"))
	doc, err := newDocument(testPolicy(), policy.Origins{"acls.anyone.rules.0": "a.cm.hcl:3:3"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("{\"format_version\":2}\n" + string(doc.Text)))
	f.Add(forgedAnswer(f, testPolicy(), `"tcp4"`, `"t"`))
	f.Fuzz(func(t *testing.T, in []byte) {
		doc, _, err := decodeCompiled(in, nil)
		if (doc == nil) != (err != nil) {
			t.Errorf("document %v with error %v", doc != nil, err)
		}
	})
}

func FuzzCheckThread(f *testing.F) {
	f.Add("CapInh:\t0\nCapPrm:\t1\nCapEff:\t1\nCapBnd:\t1\nCapAmb:\t0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := checkThread(text, 1); err == nil && p&^1 != 0 {
			t.Errorf("permitted %x of an allowed 1", p)
		}
	})
}

// TestKeyKnowsTheListeners: two jobs whose sandboxes differ by what their services are
// handed share none, though what they listen on is left to the broker.
func TestKeyKnowsTheListeners(t *testing.T) {
	keys := map[string]string{}
	for _, listen := range []address.Listen{{Network: "tcp", Port: 7}, {Network: "tcp", Port: 9}, {Network: "udp", Port: 7}, {Network: "unixgram", Path: "/run/x"}} {
		g := canon.Granted(&policy.Policy{Limits: []limit.Spec{{Name: "l"}}, Profiles: []sandbox.Profile{{Name: "p", Files: sandbox.Files{Log: true}}},
			Services: []policy.Service{{Name: "s", Command: []string{"/bin/true"}, User: policy.Dynamic, Profile: "p", Limit: "l", Listen: []address.Listen{listen}}}})
		j, err := new(Warden).Site(&granted.Document{Policy: g}).newJob(&g.Services[0])
		if err != nil {
			t.Fatal(err)
		}
		key, err := j.key("")
		if err != nil || j.Log != (listen.Network == "tcp") {
			t.Fatal(listen, j.Log, err)
		}
		if other, same := keys[key]; same != (listen.Port == 9) {
			t.Errorf("%s and %s share a sandbox: %v", listen, other, same)
		}
		keys[key] = listen.String()
	}
}
