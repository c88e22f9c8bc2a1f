package decide

import (
	"net/netip"
	"strings"
	"time"

	"casemate/acl"
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
// only, and HostText: one in another spelling counts as NoAnswer.
type Name struct {
	State NameState
	Host  string
}

// Client is one connection as the rules see it.
type Client struct {
	// Addr is the peer's address in its one spelling, unmapped and without zone.
	// One in another spelling could pass a deny rule by, so it counts as not
	// valid; and an Addr that is not valid is denied unless there is a Peer.
	Addr netip.Addr
	// Local is the address the client connected to, likewise. Where it is not
	// valid, allow rules with To do not match and deny rules with To do.
	Local netip.Addr
	Name  Name
	// Peer is a client who has no address and no name, as a pattern names it: "uid=1000" on a
	// unix socket, "cid=3" on a vsock. Only that pattern and "any" match it, and a rule with To never does.
	Peer acl.Pattern
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

// Normal is the client without what could hide it from a rule: a name that is not HostText
// (a resolver's fault, or another spelling) must not let anyone past a deny rule either.
func (c Client) Normal() Client {
	c.Addr, c.Local = plain(c.Addr), plain(c.Local)
	if c.Name.State > NoAnswer || c.Name.State == Known && !HostText(c.Name.Host) {
		c.Name.State = NoAnswer
	}
	return c
}

// HostText tells whether s is written as host names are: at most MaxHost bytes of
// [a-z0-9._-], without a dot or dash at either end. It goes into environments and records as it is.
func HostText(s string) bool {
	return s != "" && len(s) <= acl.MaxHost && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == "" && strings.Trim(s, ".-") == s
}
