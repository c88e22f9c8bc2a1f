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

	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/sandbox"

	"golang.org/x/sys/unix"
)

func TestFacts(t *testing.T) {
	v4 := inbound.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4711"), Name: "a.example.org"}
	local := netip.MustParseAddrPort("192.0.2.1:79")
	for _, tt := range []struct {
		name     string
		styles   []string
		client   inbound.Peer
		local    netip.AddrPort
		datagram bool
		want     string
	}{
		{"ucspi", []string{"ucspi"}, v4, local, false,
			"PROTO=TCP TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT=4711 TCPLOCALIP=192.0.2.1 TCPLOCALPORT=79 TCPREMOTEHOST=a.example.org"},
		{"no name, no local", []string{"ucspi"}, inbound.Peer{Addr: v4.Addr}, netip.AddrPort{}, false, "PROTO=TCP TCPREMOTEIP=192.0.2.7 TCPREMOTEPORT=4711"},
		{"udp", []string{"ucspi"}, inbound.Peer{Addr: v4.Addr}, local, true, "PROTO=UDP UDPREMOTEIP=192.0.2.7 UDPREMOTEPORT=4711 UDPLOCALIP=192.0.2.1 UDPLOCALPORT=79"},
		{"systemd", []string{"systemd"}, v4, local, false, "REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4711"},
		{"xinetd", []string{"xinetd"}, v4, local, false, "REMOTE_HOST=192.0.2.7"},
		{"none", nil, v4, local, false, ""},
		{"vsock", []string{"ucspi", "systemd", "xinetd"}, inbound.Peer{VM: true, CID: 3, Port: 70000}, netip.AddrPort{}, false, "PROTO=VSOCK VSOCKREMOTECID=3 VSOCKREMOTEPORT=70000"},
		{"unix", []string{"ucspi", "systemd"}, inbound.Peer{Unix: true, UID: 7, GID: 8}, netip.AddrPort{}, false, "PROTO=IPC IPCREMOTEEUID=7 IPCREMOTEEGID=8"},
		{"nobody in particular", []string{"ucspi", "systemd"}, inbound.Peer{}, netip.AddrPort{}, false, ""},
	} {
		if got := strings.Join(appendFacts(nil, tt.styles, tt.client, tt.local, tt.datagram), " "); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	all, every := inbound.Peer{Addr: v4.Addr, Name: "h"}, []string{"ucspi", "systemd", "xinetd"}
	for _, e := range append(appendFacts(nil, every, all, local, false), append(appendFacts(nil, every, all, local, true), append(appendFacts(nil, every, inbound.Peer{VM: true}, local, false), appendFacts(nil, every, inbound.Peer{Unix: true}, local, false)...)...)...) {
		if name, _, _ := strings.Cut(e, "="); !slices.Contains(policy.FactNames, name) {
			t.Errorf("%s is not in policy.FactNames: a policy could set it in front of the fact", name)
		}
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

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"format_version":1,"verb":"status"}` + "\n"))
	f.Add([]byte(`{"format_version":1,"verb":"document","service":"x","client":"::1"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		q, err := readRequest(bytes.NewReader(in))
		if err != nil && !reflect.DeepEqual(q, control.Request{}) {
			t.Error("an error with a result")
		}
		if err == nil && q.FormatVersion != control.Format {
			t.Error("a foreign format was accepted")
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
		if got := g.placed(&service{spec: &policy.Service{Name: c.name, Profile: "f"}}, c.err); got.Error() != c.want || !errors.Is(got, c.err) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if err := g.placed(&service{spec: &policy.Service{Name: "s", Profile: "f"}}, nil); err != nil {
		t.Error(err)
	}
}

// TestLogLevelsAreTheJournals: the policy's words are those that records go by.
func TestLogLevelsAreTheJournals(t *testing.T) {
	if got := fmt.Sprint(policy.LogLevels); got != fmt.Sprint([]string{"all", journal.OnlySessions, journal.OnlyRefusals}) {
		t.Error(got)
	}
}
