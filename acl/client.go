package acl

import (
	"net/netip"
	"strings"
	"time"
)

// NameState says what is known about a client's host name.
type NameState uint8

// The states of a name. Only Known carries a name, and a name counts only
// when it is forward-confirmed: the address's PTR name has that address among
// its own A or AAAA records.
const (
	NotAsked NameState = iota // nobody has looked yet
	Known                     // forward-confirmed
	Unknown                   // the resolver answered: there is no name
	Paranoid                  // there is a name, but it does not lead back to the address
	NoAnswer                  // the resolver did not answer in time, or failed
)

// Name is what is known about a client's host name. Host is set for Known
// only; letter case and one final dot do not matter.
type Name struct {
	State NameState
	Host  string
}

// Client is one connection as the rules see it.
type Client struct {
	// Addr is the peer's address in its one spelling, unmapped and without zone.
	// One in another spelling could pass a deny rule by, so it counts as not
	// valid; and an Addr that is not valid is denied unless Unix is set.
	Addr netip.Addr
	// Local is the address the client connected to, likewise. Where it is not
	// valid, allow rules with To do not match and deny rules with To do.
	Local netip.Addr
	Name  Name
	// Unix marks a peer on a unix socket: it has no address and no name, so
	// only "any" matches it, and a rule with To never does.
	Unix bool
	// At is when it came. Where it is not known, the zero Time, allow rules with During do
	// not match and deny rules with During do.
	At time.Time
}

// plain is a in its one spelling, or the address that is not valid.
func plain(a netip.Addr) netip.Addr {
	if a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}
	}
	return a
}

// Normal is the client with everything taken off that could hide it from a
// rule: addresses in another spelling, letter case, the final dot.
func (c Client) Normal() Client {
	c.Addr, c.Local = plain(c.Addr), plain(c.Local)
	if c.Name.State > NoAnswer {
		c.Name.State = NoAnswer
	}
	if c.Name.State == Known {
		c.Name.Host = Lower(strings.TrimSuffix(c.Name.Host, "."))
		if c.Name.Host == "" {
			// A confirmed name that is not there is a resolver's fault, and
			// must not let anyone past a deny rule.
			c.Name.State = NoAnswer
		}
	}
	return c
}

// MaxHost is the most bytes of a host name (RFC 1035 section 2.3.4, without the root label).
const MaxHost = 253

// HostText tells whether s is written as host names are: at most MaxHost bytes of
// [a-z0-9._-], without a dot or dash at either end. It goes into environments and records as it is.
func HostText(s string) bool {
	return s != "" && len(s) <= MaxHost && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == "" && strings.Trim(s, ".-") == s
}

// Lower folds A-Z alone: names are compared as RFC 4343 says, and no other letter may
// turn into an ASCII one.
func Lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
