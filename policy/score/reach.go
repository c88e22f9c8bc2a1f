package score

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/reach"
	"casemate/listener/address"
	"casemate/policy"
)

// Reach is who can come to a service.
type Reach struct {
	// Value is the part of its points that the service is scored by, 0 to 1: nobody 0, the host itself up to 0.1,
	// private networks up to 0.4, and all of the internet 1.
	Value float64 `json:"value"`
	What  string  `json:"what"`
	Fix   string  `json:"fix,omitempty"`
	// IPv4 and IPv6 are how many addresses some client of which gets in, as decimal numbers.
	IPv4   string `json:"ipv4"`
	IPv6   string `json:"ipv6"`
	Origin string `json:"origin,omitempty"`
	after  float64
}

// The parts of Reach.
const (
	ofUnix    = 0.08 // by a unix socket that everybody on the host may open
	ofHost    = 0.1  // by a loopback address
	ofMachine = 0.1  // by vsock
	ofPrivate = 0.4  // all private networks
	ofNamed   = 0.7  // of what an address alone would be: it takes a name, a time or a local address besides
	ofSome    = 0.6  // where the fix would lead: some networks of the internet
)

// admitted is whom a list admits: sometimes, which is whoever gets in under any circumstances, and always.
type admitted struct{ sometimes, always reach.Set }

// admits works a list out. One that takes too long counts as one that admits everybody.
func (r *Scorer) admits(l *acl.List) (*admitted, error) {
	if a, ok := r.lists[l]; ok {
		return a, nil
	}
	a := &admitted{}
	table, err := reach.New(l)
	if err != nil {
		return nil, err
	}
	parts, err := table.Parts(reach.Everybody())
	switch {
	case errors.Is(err, reach.ErrTooMany):
		a.sometimes, a.always = reach.Everybody(), reach.Everybody()
	case err != nil:
		return nil, err
	}
	var allowed, denied []reach.Set
	for _, p := range parts {
		if p.Verdict == acl.Allow {
			allowed = append(allowed, p.Clients)
		} else {
			denied = append(denied, p.Clients)
		}
	}
	if err == nil {
		a.sometimes = reach.Union(allowed...)
		a.always = a.sometimes.Minus(reach.Union(denied...))
	}
	r.lists[l] = a
	return a, nil
}

// Whom gives who comes to a service and gets in: under some circumstances at least, and whatever their names, the
// address they come to and the time are. Of an acl that takes too long it is everybody.
func (r *Scorer) Whom(s *policy.Service) (sometimes, always reach.Set, err error) {
	a, err := r.admits(r.doc.Policy.ACL(s.ACL))
	if err != nil {
		return nil, nil, err
	}
	come := comes(s)
	return a.sometimes.Intersect(come), a.always.Intersect(come), nil
}

// Places are the addresses of the host itself, and those of networks that the internet does not lead to.
func Places() (host, near reach.Set) { return loopback, private }

// Networks that the internet does not lead to (RFC 1918, 3927, 4193, 4291, 6598).
var (
	loopback = spans("127.0.0.0/8", "::1/128")
	private  = spans("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10")
	near     = reach.Union(loopback, private)
)

func spans(prefixes ...string) reach.Set {
	var out reach.Set
	for _, p := range prefixes {
		out = reach.Union(out, reach.Set{reach.OfPrefix(netip.MustParsePrefix(p))})
	}
	return out
}

// reach measures who can come to a service: the listeners, and whom the acl admits of those who come there.
func (r *Scorer) reach(s *policy.Service) (Reach, error) {
	sometimes, always, err := r.Whom(s)
	if err != nil {
		return Reach{}, err
	}
	out := Reach{
		IPv4: sometimes.Count(reach.IPv4).String(), IPv6: sometimes.Count(reach.IPv6).String(),
		Origin: r.doc.Origins.Lookup("services." + s.Name + ".acl"),
	}
	named := ofNamed * measure(s, sometimes)
	out.Value = max(measure(s, always), named)
	out.What = whom(s, sometimes, always)
	switch {
	case out.Value > ofSome:
		out.after, out.Fix = ofSome, "name the networks in its acl, in place of everybody"
	case out.Value > ofPrivate:
		out.after, out.Fix = ofPrivate, "admit private networks alone, and let others come through a gateway"
	case out.Value > ofHost:
		out.after, out.Fix = ofHost, "listen on 127.0.0.1 and [::1], if its clients are on this host"
	}
	return out, nil
}

// comes are those who can come to the listeners, whatever the acl says.
func comes(s *policy.Service) reach.Set {
	var all []reach.Set
	for _, l := range s.Listen {
		switch {
		case l.Unix():
			all = append(all, reach.Whole(reach.User))
		case !l.Inet():
			all = append(all, reach.Whole(reach.Machine))
		case l.Addr.IsLoopback():
			all = append(all, loopback.Only(family(l.Addr)))
		case l.Addr.IsValid():
			all = append(all, reach.Whole(family(l.Addr)))
		case strings.HasSuffix(l.Network, "4"):
			all = append(all, reach.Whole(reach.IPv4))
		case strings.HasSuffix(l.Network, "6"):
			all = append(all, reach.Whole(reach.IPv6))
		default:
			all = append(all, reach.Whole(reach.IPv4, reach.IPv6))
		}
	}
	if len(s.Mux) > 0 {
		all = append(all, reach.Whole(reach.IPv4, reach.IPv6))
	}
	return reach.Union(all...)
}

func family(a netip.Addr) reach.Kind {
	if a.Is4() {
		return reach.IPv4
	}
	return reach.IPv6
}

// measure is how much of the world is in a set. It grows with the set alone.
func measure(s *policy.Service, set reach.Set) float64 {
	v := 0.0
	if len(set.Intersect(loopback)) > 0 {
		v = ofHost
	}
	v = max(v, part(set.Intersect(private), ofHost, ofPrivate))
	v = max(v, part(set.Only(reach.IPv4).Minus(near), ofPrivate, 1), part(set.Only(reach.IPv6).Minus(near), ofPrivate, 1))
	if len(set.Only(reach.User)) > 0 {
		v = max(v, opened(s))
	}
	if len(set.Only(reach.Machine)) > 0 {
		v = max(v, ofMachine)
	}
	return v
}

// part places a set between from and to, by the logarithm of how many addresses of IPv4, or networks (/64) of IPv6, it has.
func part(set reach.Set, from, to float64) float64 {
	v := 0.0
	for kind, bits := range map[reach.Kind]float64{reach.IPv4: 32, reach.IPv6: 64} {
		n, _ := new(big.Float).SetInt(set.Count(kind)).Float64()
		if n == 0 {
			continue
		}
		if kind == reach.IPv6 {
			n = math.Ldexp(n, -64)
		}
		v = max(v, from+(to-from)*math.Min(math.Log2(1+n)/bits, 1))
	}
	return v
}

// opened is how much of the host may open a service's unix sockets.
func opened(s *policy.Service) float64 {
	v := 0.0
	for _, l := range s.Listen {
		switch {
		case !l.Unix():
		case !l.File() || s.Socket.Mode&0o007 != 0:
			v = max(v, ofUnix)
		case s.Socket.Mode&0o070 != 0:
			v = max(v, ofUnix*2/3)
		default:
			v = max(v, ofUnix/3)
		}
	}
	return v
}

// whom tells in words who gets in.
func whom(s *policy.Service, sometimes, always reach.Set) string {
	if len(sometimes) == 0 {
		return "nobody gets in"
	}
	var parts []string
	outside := sometimes.Intersect(reach.Whole(reach.IPv4, reach.IPv6)).Minus(near)
	switch n4, n6 := outside.Count(reach.IPv4), outside.Count(reach.IPv6); {
	case len(outside) == 0:
	case everybody(sometimes):
		parts = append(parts, "anybody on the internet")
	default:
		for _, c := range []struct {
			n    *big.Int
			word string
		}{{n4, "IPv4"}, {n6, "IPv6"}} {
			if c.n.Sign() > 0 {
				parts = append(parts, amount(c.n)+" public "+c.word+" addresses")
			}
		}
	}
	if everybody(sometimes) {
		// no network of it is worth a word
	} else if len(sometimes.Intersect(private)) > 0 {
		parts = append(parts, "private networks")
	}
	if len(sometimes.Intersect(loopback)) > 0 && len(parts) == 0 {
		parts = append(parts, "this host")
	}
	if len(sometimes.Only(reach.User)) > 0 {
		parts = append(parts, "users of this host by a unix socket")
	}
	if len(sometimes.Only(reach.Machine)) > 0 {
		parts = append(parts, "virtual machines")
	}
	text := strings.Join(parts, ", ")
	if !slices.Equal(sometimes, always) {
		text += "; some by name, time or local address alone"
	}
	return text
}

// everybody tells whether a whole family gets in.
func everybody(set reach.Set) bool {
	return len(reach.Whole(reach.IPv4).Minus(set)) == 0 || len(reach.Whole(reach.IPv6).Minus(set)) == 0
}

// amount is a large number for people.
func amount(n *big.Int) string {
	if n.BitLen() < 24 {
		return n.String()
	}
	return fmt.Sprintf("2^%d", n.BitLen()-1)
}

// datagrams tells whether anybody may send from any address to a service.
func datagrams(s *policy.Service) bool {
	return slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Inet() && l.Datagram() })
}
