package builtin

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second
const silence = 100 * time.Millisecond

func TestDatagrams(t *testing.T) {
	big := bytes.Repeat([]byte{0xff, 0}, 30_000)
	tests := []struct {
		builtin string
		req     []byte
		ok      func(got []byte) bool
	}{
		{"echo", []byte("hello"), func(got []byte) bool { return string(got) == "hello" }},
		{"echo", nil, func(got []byte) bool { return len(got) == 0 }},
		{"echo", big, func(got []byte) bool { return bytes.Equal(got, big) }},
		{"chargen", make([]byte, 10), func(got []byte) bool { return string(got) == ` !"#$%&'()` }},
		{"chargen", big, func(got []byte) bool { return len(got) == 512 && bytes.Equal(got, pattern[:512]) }},
		{"chargen", nil, func(got []byte) bool { return len(got) == 0 }},
		{"daytime", nil, func(got []byte) bool { return plausible("daytime", got) }},
		{"daytime", []byte("\n"), func(got []byte) bool { return plausible("daytime", got) }},
		{"time", nil, func(got []byte) bool { return plausible("time", got) }},
		{"time", []byte("time"), func(got []byte) bool { return plausible("time", got) }},
	}
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, tt := range tests {
			r := startOn(t, config(tt.builtin), addr)
			got, ok := r.ask(addr, tt.req, patience)
			if !ok || !tt.ok(got) {
				t.Errorf("%s %s: %d bytes gave %q, %v", addr, tt.builtin, len(tt.req), got, ok)
			}
			r.end()
		}
	}
}

func TestDatagramSilence(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name, builtin, from string
		req                 []byte
	}{
		{"discard", "discard", "127.0.0.1:0", []byte("x")},
		{"a daytime answer", "daytime", "127.0.0.1:0", appendDaytime(nil, now)},
		{"a time answer", "time", "127.0.0.1:0", appendTime(nil, now)},
		{"a peer's port", "echo", "127.0.0.1:11211", []byte("x")},
	}
	for _, tt := range tests {
		r := start(t, config(tt.builtin))
		if got, ok := r.ask(tt.from, tt.req, silence); ok {
			t.Errorf("%s was answered: %q", tt.name, got)
		}
	}
}

// A wildcard socket must answer from the address that was asked; a connected
// client sees nothing else. Loopback clients are refused there, so the guard
// is told that the socket is a loopback one.
func TestAnswerFromTheAddressAsked(t *testing.T) {
	s, ps := wildcard(t, config("echo"), "udp4")
	done := make(chan error)
	go func() { done <- s.receive(ps) }()
	asked := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 77), Port: int(ps.bound.Port())}
	cl, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5)}, asked)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := cl.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if err := cl.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if n, err := cl.Read(buf); err != nil || string(buf[:n]) != "hi" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	ps.conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLoopbackSourceOnWildcardIsRefused(t *testing.T) {
	r := startOn(t, config("echo"), "0.0.0.0:0")
	_, port, err := net.SplitHostPort(r.udp)
	if err != nil {
		t.Fatal(err)
	}
	r.udp = "127.0.0.1:" + port
	if got, ok := r.ask("127.0.0.1:0", []byte("x"), silence); ok {
		t.Errorf("answered: %q", got)
	}
	eventually(t, "a record", func() bool { return len(r.log.records(t, "decision")) == 1 })
	if d := r.log.records(t, "decision")[0]; d["reason"] != badLoop {
		t.Errorf("record %v", d)
	}
}

func TestDatagramRateLimit(t *testing.T) {
	c := config("echo")
	c.Limit = limit.Spec{PerSource: limit.PerSource{Rate: limit.Rate{Events: 1, Per: time.Hour}, Burst: 2, Prefix4: 32, Prefix6: 64}}
	r := start(t, c)
	answers := 0
	for _, wait := range []time.Duration{patience, patience, silence, silence} {
		if _, ok := r.ask("127.0.0.1:0", []byte("x"), wait); ok {
			answers++
		}
	}
	if answers != 2 {
		t.Errorf("%d answers, want the burst of 2", answers)
	}
}

// TestResponses: a network gets as many answers as the policy says, twice that at once, and
// all get no more than it says for all; what came then is recorded.
func TestResponses(t *testing.T) {
	for _, tt := range []struct{ each, total, want int }{{1, 0, 2}, {3, 0, 6}, {9, 4, 4}} {
		c, events, want := config("echo"), tt.each, tt.want
		c.Limit.Responses = limit.Rate{Events: events, Per: time.Hour}
		if tt.total > 0 {
			c.Limit.ResponsesTotal = limit.Rate{Events: tt.total, Per: time.Hour}
		}
		r := start(t, c)
		for i := range want { // from two addresses of one network
			if _, ok := r.ask(fmt.Sprintf("127.0.0.%d:0", 2+i%2), []byte("x"), patience); !ok {
				t.Errorf("responses %d/h: no answer %d", events, i)
			}
		}
		if _, ok := r.ask("127.0.0.9:0", []byte("x"), silence); ok {
			t.Errorf("responses %d/h: more than %d answers", events, want)
		}
		eventually(t, "a refusal", func() bool {
			all := r.log.records(t, "decision")
			return len(all) == want+1 && all[want]["reason"] == reasonResponses
		})
		r.end()
	}
}

// Two responders that answer each other must fall silent by themselves, even
// where the policy has no limit.
func TestResponderLoopDies(t *testing.T) {
	c := config("echo")
	r := start(t, c)
	to, err := net.ResolveUDPAddr("udp", r.udp)
	if err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.WriteToUDP([]byte("ball"), to); err != nil {
		t.Fatal(err)
	}
	bounces, buf := 0, make([]byte, 64)
	for ; bounces < 100_000; bounces++ {
		if err := other.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, from, err := other.ReadFromUDP(buf)
		if err != nil {
			break
		}
		if _, err := other.WriteToUDP(buf[:n], from); err != nil {
			t.Fatal(err)
		}
	}
	if bounces == 0 || bounces > 20_000 {
		t.Errorf("%d bounces", bounces)
	}
}

func FuzzDestination(f *testing.F) {
	f.Add(unix.PktInfo4(&unix.Inet4Pktinfo{Addr: [4]byte{127, 0, 0, 1}}))
	f.Add(unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 1}))
	f.Fuzz(func(t *testing.T, oob []byte) {
		if local, to, _ := destination(oob); local.Is4In6() || to.Is4In6() {
			t.Errorf("%v, %v", local, to)
		}
	})
}

// One client has one spelling, however the kernel wrote it.
func TestPeerAtHasOneSpelling(t *testing.T) {
	for in, want := range map[string]inbound.Peer{
		"192.0.2.1:7":             {Addr: netip.MustParseAddrPort("192.0.2.1:7")},
		"[::ffff:192.0.2.1]:7":    {Addr: netip.MustParseAddrPort("192.0.2.1:7")},
		"[fe80::1%eth0]:7":        {Addr: netip.MustParseAddrPort("[fe80::1]:7"), Zone: "eth0"},
		"[::ffff:10.0.0.1%lo]:10": {Addr: netip.MustParseAddrPort("10.0.0.1:10")},
	} {
		if got := peerAt(netip.MustParseAddrPort(in)); got != want {
			t.Errorf("%s: %+v, want %+v", in, got, want)
		}
	}
}
