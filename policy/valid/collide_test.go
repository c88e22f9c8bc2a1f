package valid

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"casemate/listener/address"
	"casemate/listener/endpoint"
)

// TestCollisionsAreOverlaps: whatever is asked for in whatever order, an endpoint is taken just
// when it overlaps one that has been taken before.
func TestCollisionsAreOverlaps(t *testing.T) {
	var all []endpoint.Endpoint
	for _, addr := range []string{"0.0.0.0:7", "192.0.2.1:7", "192.0.2.2:7", "0.0.0.0:8", "192.0.2.1:8"} {
		for _, network := range []string{"tcp4", "udp4"} {
			all = append(all, endpoint.Endpoint{Network: network, Addr: netip.MustParseAddrPort(addr)})
		}
	}
	for _, addr := range []string{"[::]:7", "[::1]:7", "[::2]:7"} {
		all = append(all, endpoint.Endpoint{Network: "tcp6", Addr: netip.MustParseAddrPort(addr)})
	}
	all = append(all, endpoint.Endpoint{Network: "unix", Path: "/a"}, endpoint.Endpoint{Network: "unixgram", Path: "/a"}, endpoint.Endpoint{Network: "unix", Path: "@a"})
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		c, used := &checker{}, map[string]taken{}
		var have []endpoint.Endpoint
		for range 6 {
			e := all[r.IntN(len(all))]
			before := len(c.errs)
			c.collide(used, []endpoint.Endpoint{e}, "at", address.Listen{})
			want := slices.ContainsFunc(have, func(o endpoint.Endpoint) bool { return address.Overlap(e, o) })
			if got := len(c.errs) > before; got != want {
				t.Fatalf("%v after %v: taken %v, want %v", e, have, got, want)
			}
			if !want {
				have = append(have, e)
			}
		}
	}
}
