package address

import (
	"math"
	"strings"

	"casemate/listener/endpoint"
)

// Transport is the network of e without the family: tcp, udp, unix, unixgram, unixpacket or vsock.
func Transport(e endpoint.Endpoint) string { return strings.TrimRight(e.Network, "46") }

// Overlap tells whether the kernel refuses e and o side by side: the same port
// of a network on the same interface or all, with the same address or a wildcard, or the same path.
func Overlap(e, o endpoint.Endpoint) bool {
	if e.Unix() || o.Unix() {
		return e.Path == o.Path
	}
	if c, port, _ := endpoint.Numbers(e.Path); e.Network == "vsock" && o.Network == "vsock" {
		d, other, _ := endpoint.Numbers(o.Path)
		return port == other && (c == d || max(c, d) == math.MaxUint32)
	}
	if e.Network != o.Network || e.Addr.Port() != o.Addr.Port() || e.Interface != o.Interface && e.Interface != "" && o.Interface != "" {
		return false
	}
	x, y := e.Addr.Addr(), o.Addr.Addr()
	return x == y || x.IsUnspecified() || y.IsUnspecified()
}
