// Package confirm finds the name of an address as rules with names mean it: one that leads back to the address.
// The names worker asks by it for the broker, and casemate explain --resolve for a person.
package confirm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"

	"casemate/acl/decide"
)

// Resolver is the part of net.Resolver that is used. Its errors tell "there is
// no such name" (DNSError.IsNotFound) from everything else.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// maxPTR is how many names of one address are tried.
const maxPTR = 8

// Lookup finds the forward-confirmed name of addr: one of its PTR names that has
// addr among its own addresses. Anything the resolver could not tell counts as no
// answer, never as "there is none", because rules treat these differently
// (CVE-2000-0536 was a name check that a silent resolver passed).
func Lookup(ctx context.Context, r Resolver, addr netip.Addr) decide.Name {
	names, err := r.LookupAddr(ctx, addr.String())
	if len(names) == 0 {
		if err != nil && !notFound(err) {
			return decide.Name{State: decide.NoAnswer}
		}
		return decide.Name{State: decide.Unknown}
	}
	network := "ip6"
	if addr.Is4() {
		network = "ip4"
	}
	status := decide.Paranoid
	for _, name := range names[:min(len(names), maxPTR)] {
		host, ok := Canonical(name)
		if !ok {
			continue
		}
		back, err := r.LookupNetIP(ctx, network, spelling(name, host))
		for _, b := range back {
			if b.Unmap().WithZone("") == addr {
				return decide.Name{State: decide.Known, Host: host}
			}
		}
		if err != nil && !notFound(err) {
			status = decide.NoAnswer
		}
	}
	return decide.Name{State: status}
}

// spelling is host as the resolver is asked for it. The final dot keeps
// resolv.conf's search list out of it; DNS names have one. A name without any
// dot is from hosts(5), where the resolver finds it in just that spelling.
func spelling(name, host string) string {
	if !strings.Contains(name, ".") {
		return host
	}
	return host + "."
}

func notFound(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

// Canonical is a DNS name in lower case and without its final dot, if it is one
// that may stand in environments and records: at most 253 bytes of [a-z0-9._-],
// no empty label, no dash at either end. An address is no name.
func Canonical(name string) (string, bool) {
	if len(name) > 0 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if len(name) == 0 || len(name) > 253 || name[0] == '-' || name[len(name)-1] == '-' {
		return "", false
	}
	b := []byte(name)
	label := 0
	for i, c := range b {
		switch {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = -1
		case c >= 'A' && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return "", false
		}
		label++
	}
	if _, err := netip.ParseAddr(name); err == nil || label == 0 || label > 63 {
		return "", false
	}
	return string(b), true
}
