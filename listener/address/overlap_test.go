package address

import (
	"net/netip"
	"strings"
	"testing"

	"casemate/listener/endpoint"
)

func TestOverlap(t *testing.T) {
	end := func(s string) endpoint.Endpoint {
		at := strings.IndexAny(s, "/:")
		network, addr := s[:at], s[at+1:]
		if strings.HasPrefix(network, "unix") || network == "vsock" {
			return endpoint.Endpoint{Network: network, Path: addr}
		}
		return endpoint.Endpoint{Network: network, Addr: netip.MustParseAddrPort(addr)}
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"tcp4/0.0.0.0:79", "tcp4/192.0.2.1:79", true},
		{"tcp4/192.0.2.1:79", "tcp4/0.0.0.0:79", true},
		{"tcp4/192.0.2.1:79", "tcp4/192.0.2.2:79", false},
		{"tcp4/0.0.0.0:79", "tcp4/0.0.0.0:80", false},
		{"tcp4/0.0.0.0:79", "tcp6/[::]:79", false}, // ours are v6-only
		{"tcp4/0.0.0.0:79", "udp4/0.0.0.0:79", false},
		{"unix:/run/x", "unixgram:/run/x", true},
		{"unix:/run/x", "unix:/run/y", false},
		{"vsock:7", "vsock:7", true},
		{"vsock:7", "vsock:2:7", true},
		{"vsock:1:7", "vsock:7", true},
		{"vsock:1:7", "vsock:2:7", false},
		{"vsock:7", "vsock:8", false},
		{"vsock:7", "unix:/7", false},
		{"vsock:7", "tcp4/0.0.0.0:7", false},
	} {
		if got := Overlap(end(tt.a), end(tt.b)); got != tt.want {
			t.Errorf("%s and %s: %v", tt.a, tt.b, got)
		}
	}
}
