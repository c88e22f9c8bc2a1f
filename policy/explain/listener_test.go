package explain

import (
	"net/netip"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
)

// TestReached: clients come to the listeners of their kind and family, from elsewhere to no loopback address, and
// to the local address that they ask for.
func TestReached(t *testing.T) {
	s := &policy.Service{}
	for _, text := range []string{"tcp://:1", "tcp4://:2", "udp6://:3", "tcp://127.0.0.1:4", "tcp://[::1]:5", "tcp://192.0.2.1:6", "tcp6://[2001:db8::1]:7", "unix:/run/x", "vsock:8"} {
		var l address.Listen
		if err := l.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		s.Listen = append(s.Listen, l)
	}
	for client, want := range map[string]string{
		"198.51.100.7":             "1 2 6",
		"127.0.0.1":                "1 2 4 6",
		"2001:db8::7":              "1 3 7",
		"::1":                      "1 3 5 7",
		"198.51.100.7 192.0.2.1":   "1 2 6",
		"198.51.100.7 192.0.2.9":   "1 2",
		"2001:db8::7 2001:db8:1::": "1 3",
		"uid=7":                    "/run/x",
		"unix":                     "/run/x",
		"cid=3":                    "8",
	} {
		addr, local, _ := strings.Cut(client, " ")
		c := decide.Client{Peer: acl.Pattern(addr)}
		if a, err := netip.ParseAddr(addr); err == nil {
			c = decide.Client{Addr: a}
		}
		if local != "" {
			c.Local = netip.MustParseAddr(local)
		}
		var got []string
		for _, l := range Reached(s, c) {
			text := l.String()
			got = append(got, text[strings.LastIndexByte(text, ':')+1:])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s comes to %q, want %q", client, got, want)
		}
	}
}

// TestSource: an address is counted in its prefix, where something counts sources.
func TestSource(t *testing.T) {
	l := limit.Spec{Name: "l", PerSource: limit.PerSource{Concurrent: 3, Prefix4: 24, Prefix6: 56}}
	p := &policy.Policy{Limits: []limit.Spec{l}}
	s := &policy.Service{Limit: "l"}
	for client, want := range map[string]string{"192.0.2.7": "192.0.2.0/24", "2001:db8:1:2ff::7": "2001:db8:1:200::/56"} {
		if got := Source(p, s, netip.MustParseAddr(client)); got != want {
			t.Errorf("%s is counted as %q, want %q", client, got, want)
		}
	}
	if got := Source(p, s, netip.Addr{}); got != "" {
		t.Errorf("nobody is counted as %q", got)
	}
	if s.Wait = true; Source(p, s, netip.MustParseAddr("192.0.2.7")) != "" {
		t.Error("a program that takes its clients itself has them counted")
	}
	p.Limits[0].PerSource.Concurrent = 0
	if s.Wait = false; Source(p, s, netip.MustParseAddr("192.0.2.7")) != "" {
		t.Error("nothing counts sources, and one is counted")
	}
}
