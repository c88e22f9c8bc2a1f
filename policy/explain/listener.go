package explain

import (
	"net/netip"
	"strings"

	"casemate/acl/decide"
	"casemate/listener/address"
	"casemate/policy"
)

// Reached are the listen addresses of a service that a client can come to: those of its family, or of its kind where it
// has no address, and of the local address that it asks for if that is known. From elsewhere nobody comes to a loopback address.
func Reached(s *policy.Service, c decide.Client) (out []address.Listen) {
	machine := strings.HasPrefix(string(c.Peer), "cid=")
	for _, l := range s.Listen {
		switch {
		case machine && l.Network == "vsock", c.Peer != "" && !machine && l.Unix(), c.Peer == "" && l.Inet() && takes(l, c):
			out = append(out, l)
		}
	}
	return out
}

// takes tells whether a client of an address can come to a listen address.
func takes(l address.Listen, c decide.Client) bool {
	if c.Local.IsValid() && l.Addr.IsValid() && l.Addr.WithZone("") != c.Local || l.Addr.IsLoopback() && !c.Addr.IsLoopback() {
		return false
	}
	four, six := !l.Addr.IsValid() || l.Addr.Is4(), !l.Addr.IsValid() || l.Addr.Is6()
	if c.Addr.Is4() {
		return four && !strings.HasSuffix(l.Network, "6")
	}
	return six && !strings.HasSuffix(l.Network, "4")
}

// Source is the network that the per_source numbers of a service's limit count an address in, "" where they count none.
func Source(p *policy.Policy, s *policy.Service, a netip.Addr) string {
	l := p.Limit(s.Limit)
	if l == nil || !a.IsValid() || l.PerSource.Concurrent == 0 && l.PerSource.Rate.Events == 0 && len(l.Penalty.On) == 0 || s.Wait && s.Builtin == "" {
		return ""
	}
	bits := l.PerSource.Prefix6
	if a.Is4() {
		bits = l.PerSource.Prefix4
	}
	net, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return net.String()
}
