package broker

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener"
	"casemate/listener/address"
	"casemate/listener/host"
	"casemate/listener/journal"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/sandbox"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

func TestFacts(t *testing.T) {
	v4 := listener.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4711"), Name: "a.example.org"}
	local := netip.MustParseAddrPort("192.0.2.1:79")
	for _, tt := range []struct {
		name     string
		styles   []string
		client   listener.Peer
		local    netip.AddrPort
		datagram bool
		want     string
	}{
		{"ucspi", []string{"ucspi"}, v4, local, false,
			"PROTO=TCP TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT=4711 TCPLOCALIP=192.0.2.1 TCPLOCALPORT=79 TCPREMOTEHOST=a.example.org"},
		{"no name, no local", []string{"ucspi"}, listener.Peer{Addr: v4.Addr}, netip.AddrPort{}, false, "PROTO=TCP TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT=4711"},
		{"udp", []string{"ucspi"}, listener.Peer{Addr: v4.Addr}, local, true, "PROTO=UDP UDPREMOTEIP=192.0.2.7 UDPREMOTEPORT=4711 UDPLOCALIP=192.0.2.1 UDPLOCALPORT=79"},
		{"systemd", []string{"systemd"}, v4, local, false, "REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4711"},
		{"xinetd", []string{"xinetd"}, v4, local, false, "REMOTE_HOST=192.0.2.7"},
		{"none", nil, v4, local, false, ""},
		{"vsock", []string{"ucspi", "systemd", "xinetd"}, listener.Peer{VM: true, CID: 3, Port: 70000}, netip.AddrPort{}, false, "PROTO=VSOCK VSOCKREMOTECID=3 VSOCKREMOTEPORT=70000"},
		{"unix", []string{"ucspi", "systemd"}, listener.Peer{Unix: true, UID: 7, GID: 8}, netip.AddrPort{}, false, "PROTO=IPC IPCREMOTEEUID=7 IPCREMOTEEGID=8"},
		{"nobody in particular", []string{"ucspi", "systemd"}, listener.Peer{}, netip.AddrPort{}, false, ""},
	} {
		if got := strings.Join(appendFacts(nil, tt.styles, tt.client, tt.local, tt.datagram), " "); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	all, every := listener.Peer{Addr: v4.Addr, Name: "h"}, []string{"ucspi", "systemd", "xinetd"}
	for _, e := range append(appendFacts(nil, every, all, local, false), append(appendFacts(nil, every, all, local, true), append(appendFacts(nil, every, listener.Peer{VM: true}, local, false), appendFacts(nil, every, listener.Peer{Unix: true}, local, false)...)...)...) {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains(factNames, name) {
			t.Errorf("%s is not in factNames: a policy could set it in front of the fact", name)
		}
	}
}

func TestFixedEnv(t *testing.T) {
	got := strings.Join(fixedEnv(&policy.Service{Env: map[string]string{"TZ": "UTC", "REMOTE_ADDR": "10.0.0.1"}, EnvStyle: []string{"systemd"}}), " ")
	if want := "PATH=" + defaultPath + " TZ=UTC"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fixedEnv(&policy.Service{Env: map[string]string{"PATH": "/x", "REMOTE_ADDR": "1"}}); strings.Join(got, " ") != "PATH=/x REMOTE_ADDR=1" {
		t.Errorf("got %v", got)
	}
}

func TestEndReason(t *testing.T) {
	signal := func(s syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(s) }
	for _, tt := range []struct {
		status syscall.WaitStatus
		mercy  string
		oom    bool
		want   string
	}{
		{0, "", false, journal.Exit},
		{3 << 8, "", false, journal.Exit},
		{signal(unix.SIGSEGV), "", false, journal.Crash},
		{signal(unix.SIGKILL), "", false, journal.Crash}, // RLIMIT_CPU, or somebody
		{signal(unix.SIGSYS), "", false, journal.Violation},
		{signal(unix.SIGPIPE), "", false, journal.Killed},
		{signal(unix.SIGTERM), "", false, journal.Killed},
		{signal(unix.SIGTERM), journal.Timeout, false, journal.Timeout},
		{signal(unix.SIGKILL), journal.Timeout, false, journal.Timeout},
		{0, journal.Timeout, false, journal.Timeout},
		{signal(unix.SIGKILL), journal.Killed, false, journal.Killed},
		{signal(unix.SIGKILL), "", true, journal.Memory},
		{signal(unix.SIGKILL), journal.Timeout, true, journal.Timeout},
	} {
		if got := endReason(tt.status, tt.mercy, tt.oom); got != tt.want {
			t.Errorf("status %#x, mercy %q: %s, want %s", tt.status, tt.mercy, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 7: time.Minute, 1000: time.Minute} {
		if got := backoffAfter(failures, time.Second, time.Minute); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}

func TestAccounts(t *testing.T) {
	a := host.ParseAccounts("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533:nobody:/:/bin/false\n# comment\n+nis\nbad:x:-1:0::/:\nnobody:x:1:1::/:\nlast:x:7:8::/:/bin/sh",
		"root:x:0:\nnogroup:x:65533:a,b\nbad:x:4294967295:\n")
	for _, tt := range []struct {
		s    policy.Service
		want sandbox.Command
		err  string
	}{
		{s: policy.Service{User: "nobody"}, want: sandbox.Command{UID: 65534, GID: 65533}},
		{s: policy.Service{User: "65534"}, want: sandbox.Command{UID: 65534, GID: 65533}},
		{s: policy.Service{User: "1234"}, want: sandbox.Command{UID: 1234, GID: 1234}},
		{s: policy.Service{User: "last", Group: "nogroup", Groups: []string{"root", "12"}}, want: sandbox.Command{UID: 7, GID: 65533, Groups: []uint32{0, 12}}},
		{s: policy.Service{User: "dynamic"}, want: sandbox.Command{Dynamic: true}},
		{s: policy.Service{User: "dynamic", Group: "root"}, err: "leased uid"},
		{s: policy.Service{User: "bad"}, err: "services.s.user"},
		{s: policy.Service{User: "nobody", Group: "bad"}, err: "services.s.group"},
		{s: policy.Service{User: "nobody", Groups: []string{"root", "none"}}, err: "services.s.groups.1"},
		{s: policy.Service{User: "4294967295"}, err: "not in /etc/passwd"},
	} {
		tt.s.Name = "s"
		var got sandbox.Command
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

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"format_version":1,"verb":"status"}` + "\n"))
	f.Add([]byte(`{"format_version":1,"verb":"document","service":"x","client":"::1"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		q, err := readRequest(bytes.NewReader(in))
		if err != nil && !reflect.DeepEqual(q, policy.ControlRequest{}) {
			t.Error("an error with a result")
		}
		if err == nil && q.FormatVersion != policy.ControlFormat {
			t.Error("a foreign format was accepted")
		}
	})
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
	return fmt.Appendf(nil, `{"format_version":1,"document":{"format_version":1,"digest":%q,"policy":%s,"origins":{}}}`, policy.Digest(bad), bad)
}

func TestForgedAnswer(t *testing.T) {
	doc, _, err := decodeCompiled(forgedAnswer(t, testPolicy(svc("a", "tcp", 79, "/bin/cat")), `"tcp://127.0.0.1:79"`, `"t://127.0.0.1:79"`), nil)
	if doc != nil || err == nil || !strings.Contains(err.Error(), "no listen address") {
		t.Errorf("%v, %v", doc, err)
	}
}

// A document that is compiled already comes back as it is, or not at all.
func TestAnotherDocument(t *testing.T) {
	doc, err := newDocument(testPolicy(svc("a", "tcp", 79, "/bin/cat")), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := canon.EncodeDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	answer := fmt.Appendf(nil, `{"format_version":1,"document":%s}`, text)
	given := []policy.SourceFile{{Name: "p.json", Data: append(text, '\n')}}
	if got, _, err := decodeCompiled(answer, given); err != nil || got.Digest != doc.Digest {
		t.Error(err)
	}
	given[0].Data = bytes.Replace(text, []byte(`"/bin/cat"`), []byte(`"/bin/tac"`), 1)
	if got, _, err := decodeCompiled(answer, given); got != nil || err == nil || !strings.Contains(err.Error(), "another document") {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzDecodeCompiled(f *testing.F) {
	f.Add([]byte(`{"format_version":1,"diagnostics":[]}`))
	f.Add([]byte(`{"format_version":1,"document":{}}`))
	doc, err := newDocument(testPolicy(svc("a", "tcp", 79, "/bin/cat")), policy.Origins{"acls.anyone.rules.0": "a.cm.hcl:3:3"})
	if err != nil {
		f.Fatal(err)
	}
	text, err := canon.EncodeDocument(doc)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"format_version":1,"document":` + string(text) + `}`))
	f.Add(forgedAnswer(f, doc.Policy, `"tcp://127.0.0.1:79"`, `"t://127.0.0.1:79"`))
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

// TestPlaced: a refusal names the line of the policy: that of the program or of the
// path that is at fault, and else the service's.
func TestPlaced(t *testing.T) {
	g := &generation{doc: &policy.Document{
		Origins: policy.Origins{"services.s": "p:3:1", "services.s.command.0": "p:5:14"},
		Policy:  &policy.Policy{Profiles: []sandbox.Profile{{Name: "f"}}},
	}}
	plain := errors.New("no cgroup")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"s", plain, "no cgroup (p:3:1)"},
		{"s", fmt.Errorf("services.s: %w", &sandbox.ProgramError{Err: plain}), "services.s: no cgroup (p:5:14)"},
		{"s", fmt.Errorf("services.s.command.0: %w", plain), "services.s.command.0: no cgroup (p:5:14)"},
		{"s", fmt.Errorf("services.s.user: %w", plain), "services.s.user: no cgroup (p:3:1)"},
		{"other", plain, "no cgroup"},
	} {
		if got := g.placed(&service{name: c.name, spec: &policy.Service{Name: c.name, Profile: "f"}}, c.err); got.Error() != c.want || !errors.Is(got, c.err) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if err := g.placed(&service{name: "s", spec: &policy.Service{Profile: "f"}}, nil); err != nil {
		t.Error(err)
	}
}

// TestLogLevelsAreTheJournals: the policy's words are those that records go by.
func TestLogLevelsAreTheJournals(t *testing.T) {
	if got := fmt.Sprint(policy.LogLevels); got != fmt.Sprint([]string{"all", journal.OnlySessions, journal.OnlyRefusals}) {
		t.Error(got)
	}
}

// TestKeyKnowsTheListeners: two jobs whose sandboxes differ by what their services are
// handed share none, though what they listen on is left to the broker.
func TestKeyKnowsTheListeners(t *testing.T) {
	keys := map[string]string{}
	for _, listen := range []address.Listen{{Network: "tcp", Port: 7}, {Network: "tcp", Port: 9}, {Network: "udp", Port: 7}, {Network: "unixgram", Path: "/run/x"}} {
		s := policy.Service{Name: "s", Command: []string{"/bin/true"}, User: policy.Dynamic, Profile: "p", Limit: "l", Listen: []address.Listen{listen}}
		doc := &policy.Document{Policy: &policy.Policy{Limits: []limit.Spec{{Name: "l"}}, Profiles: []sandbox.Profile{{Name: "p", Files: sandbox.Files{Log: true}}}}}
		j, err := new(Broker).newJob(doc, &s, nil, nil, 1, nil)
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
