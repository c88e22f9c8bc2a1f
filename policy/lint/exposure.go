package lint

import (
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/reach"
	"casemate/policy"
)

// exposure is whom a service admits by their addresses: names decide for nobody whom an address does not admit, so rules
// that allow by name open a service to whoever has the name, and to no network.
type exposure struct {
	world  bool // most of the addresses of IPv4, or of the internet's IPv6
	beyond bool // addresses that are not private, and not those of examples
}

// private are networks that the internet does not lead to (RFC 6890), with those of documentation.
var private = func() (s reach.Set) {
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "::/8", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8"} {
		s = reach.Union(s, reach.Set{reach.OfPrefix(netip.MustParsePrefix(p))})
	}
	return s
}()

// exposed works an acl out, once.
func (l *linter) exposed(name string) exposure {
	if e, ok := l.reach[name]; ok {
		return e
	}
	e := exposureOf(l.list(name))
	l.reach[name] = e
	return e
}

func exposureOf(list *acl.List) (e exposure) {
	if list == nil {
		return e
	}
	if list.AllowsAll() {
		return exposure{true, true}
	}
	table, err := reach.New(byAddress(list))
	if err != nil {
		return e
	}
	parts, err := table.Parts(reach.Whole(reach.IPv4, reach.IPv6))
	if err != nil {
		return e
	}
	var admitted reach.Set
	for _, p := range parts {
		if p.Verdict == acl.Allow {
			admitted = reach.Union(admitted, p.Clients)
		}
	}
	e.world = admitted.World()
	e.beyond = len(admitted.Minus(private)) > 0
	return e
}

// byAddress is a list as it is for a client who has whatever state of a name it likes, and no name in particular: what admits by a
// name is left out, and so is what denies by one.
func byAddress(list *acl.List) *acl.List {
	out := &acl.List{Default: list.Default, Zone: list.Zone}
	for _, r := range list.Rules {
		r.From, r.Except = addresses(r.From, r.Verdict), addresses(r.Except, "")
		if len(r.From) > 0 {
			out.Rules = append(out.Rules, r)
		}
	}
	return out
}

// addresses leaves the patterns that are about addresses, with everybody in place of who has a name, or none, of an allow rule.
func addresses(list []acl.Pattern, verdict acl.Verdict) (out []acl.Pattern) {
	for _, p := range list {
		switch {
		case p == acl.Any:
			out = append(out, p)
		case p == acl.AnyKnown || p == acl.NoName || p == acl.BadName:
			if verdict == acl.Allow {
				return []acl.Pattern{acl.Any}
			}
		case isAddress(p) || strings.HasPrefix(string(p), "uid=") || strings.HasPrefix(string(p), "cid="):
			out = append(out, p)
		}
	}
	return out
}

func isAddress(p acl.Pattern) bool {
	_, err := netip.ParseAddr(string(p))
	if err != nil {
		_, err = netip.ParsePrefix(string(p))
	}
	return err == nil
}

// listens tells whether a service has a socket that networks beyond private ones may lead to.
func (l *linter) listens(s *policy.Service) bool {
	if len(s.Mux) > 0 && slices.ContainsFunc(l.policy.Services, func(m policy.Service) bool { return m.Builtin == policy.Tcpmux && l.listens(&m) }) {
		return true
	}
	for _, a := range s.Listen {
		if a.Inet() && !a.Addr.IsLoopback() && !a.Addr.IsPrivate() && !a.Addr.IsLinkLocalUnicast() && s.Socket.Interface != "lo" {
			return true
		}
	}
	return false
}
