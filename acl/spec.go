// Package acl says who: ordered host rules over the peer's address, the
// peer's forward-confirmed name, the local address of a connection and its time.
// It is data alone; package decide decides by it.
package acl

import (
	"net/netip"
	"slices"
)

// Verdict is what a rule or a whole list answers.
type Verdict string

// The two verdicts of the policy language.
const (
	Allow Verdict = "allow"
	Deny  Verdict = "deny"
)

// List is one acl block as plain data: the first rule that matches decides,
// and Default decides when none does.
type List struct {
	Name    string  `json:"name"`
	Rules   []Rule  `json:"rules"`
	Default Verdict `json:"default"`
	// Zone is that of the rules' During; nil is UTC.
	Zone *Zone `json:"zone,omitempty"`
}

// Zone is the civil time of a place as constants, so that nobody who decides reads time
// zones: Offset seconds east of UTC, until the first of Changes.
type Zone struct {
	Name    string   `json:"name"` // as in the tz database
	Offset  int64    `json:"offset"`
	Changes []Change `json:"changes,omitempty"`
}

// Change is a time, in seconds since 1970 UTC, and the offset that holds from then on. Span is a part
// of each week in minutes of civil time since Monday 00:00, without the last: none that clocks skip is.
type (
	Change [2]int64
	Span   [2]int
)

// Week is the length of a week in minutes.
const Week = 7 * 24 * 60

// Rule matches when a From pattern matches, no Except pattern does, To is
// empty or holds the local address, and During is empty or one of it is now.
type Rule struct {
	Verdict Verdict `json:"verdict"`
	// Name is what logs and tests call the rule; most have none.
	Name   string    `json:"name,omitempty"`
	From   []Pattern `json:"from"`
	Except []Pattern `json:"except,omitempty"`
	// To holds local (server) address prefixes; empty means any.
	To []netip.Prefix `json:"to,omitempty"`
	// During is in order, without overlap; empty is always.
	During []Span `json:"during,omitempty"`
	// Env is what the programs of the clients whom the rule admits find in their environment. It decides nothing.
	Env map[string]string `json:"env,omitempty"`
	// Command is what serves these clients in place of their service's own. It decides nothing.
	Command []string `json:"command,omitempty"`
}

// AllowsAll tells whether l admits every client. A nil list admits none.
func (l *List) AllowsAll() bool {
	if l == nil {
		return false
	}
	for _, r := range l.Rules {
		if r.Verdict != Allow {
			return false
		}
		if slices.Contains(r.From, Any) && len(r.Except)+len(r.To)+len(r.During) == 0 {
			return true
		}
	}
	return l.Default == Allow
}

// Pattern is one client pattern in its canonical spelling:
// "any", "known", "unknown", "paranoid", "192.0.2.0/24", "192.0.2.1",
// "2001:db8::/32", "host.example.org", ".example.org", "uid=1000" (the user of a unix
// socket's client) or "cid=3" (the machine of a vsock's). The last seven need no more than their text, so a Pattern is its text.
type Pattern string

// The patterns that are words.
const (
	Any      Pattern = "any"      // every client, those without an address included
	AnyKnown Pattern = "known"    // the client's name is forward-confirmed
	NoName   Pattern = "unknown"  // the client's address has no name
	BadName  Pattern = "paranoid" // the name does not lead back to the address
)

// MaxHost is the most bytes of a host name (RFC 1035 section 2.3.4, without the root label).
const MaxHost = 253
