// Package overlap says which addresses cannot be listened on side by side. Root, which
// asks the kernel, does not link it.
package overlap

import (
	"math"

	"casemate/listener/endpoint"
)

// Between tells whether the kernel refuses e and o side by side: the same port
// of a network on the same interface or all, with the same address or a wildcard, or the same path.
func Between(e, o endpoint.Endpoint) bool {
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
