package explain

import (
	"net/netip"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy/control"
)

// Query asks what would happen to one client.
type Query struct {
	Service string
	Client  netip.Addr
	// Peer asks for a client who has no address, as ParsePeer reads it.
	Peer acl.Pattern
	// Name is the client's host name as a forward-confirmed lookup would answer
	// it, "unknown" (no name), "paranoid" (name and address disagree), or ""
	// (nobody looked).
	Name string
	// Local is the address the client connected to; the zero Addr when it is
	// not known: then no rule with `to` matches.
	Local netip.Addr
	// At is when the client comes; the zero Time is not known: then no allow rule with
	// during matches, and each deny rule with it does.
	At time.Time
}

// Explanation is the answer to a Query, ready to print.
type Explanation struct {
	Service string `json:"service"`
	Client  string `json:"client"`
	Name    string `json:"name,omitempty"`
	Local   string `json:"local,omitempty"`
	// At is when the client comes, RFC 3339, where the acl has rules with during.
	At string `json:"at,omitempty"`
	// Listeners are the listen addresses of the service that such a client can come to.
	Listeners []string `json:"listeners"`
	// Decision is allow or deny; Reason says in one sentence why.
	Decision acl.Verdict `json:"decision"`
	Reason   string      `json:"reason"`
	// Rule is the deciding rule's number in its acl, from 1, as the text says it;
	// -1 for the acl's default, -2 when the service has no acl.
	Rule int `json:"rule"`
	// RuleName is the deciding rule's name, where it has one.
	RuleName string `json:"rule_name,omitempty"`
	Origin   string `json:"origin,omitempty"` // file:line:column of what decided
	ACL      string `json:"acl,omitempty"`
	// NeedsName: the outcome depends on the client's host name and Query.Name was empty.
	NeedsName bool `json:"needs_name,omitempty"`
	// Disabled: the policy has the service with disable = true, so nobody gets to it. Steps
	// tell what its acl would do, and Rule is -4.
	Disabled bool        `json:"disabled,omitempty"`
	Steps    []Rule      `json:"steps"`
	Limit    *limit.Spec `json:"limit"`
	// Source is the network that the limit's per_source counts the client in.
	Source string `json:"source,omitempty"`
	// Exempt is what of the limit exempts the client: nothing is counted of it as a source.
	Exempt *Written `json:"exempt,omitempty"`
	// Notes are what holds beside the acl and the limit.
	Notes []string `json:"notes,omitempty"`
	// Live is what a running broker adds, nil without one.
	Live *control.Live `json:"live,omitempty"`
	// LiveDigest is of the policy that it runs.
	LiveDigest string `json:"live_digest,omitempty"`
	// User is who the program would run as, Command what would run.
	User    string   `json:"user"`
	Group   string   `json:"group,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Command []string `json:"command,omitempty"`
	Builtin string   `json:"builtin,omitempty"`
	// Redirect is where its connections are carried, ProxyProtocol the header in front.
	Redirect      string   `json:"redirect,omitempty"`
	ProxyProtocol string   `json:"proxy_protocol,omitempty"`
	Profile       string   `json:"profile"`
	Widens        []string `json:"widens,omitempty"`
	Layers        []string `json:"layers"`
	// Origins are where the service's values were written.
	Origins []Written `json:"origins"`
	Digest  string    `json:"digest"`
}

// Rule is one rule that was tried, in order.
type Rule struct {
	Number  int         `json:"number"` // as Explanation.Rule
	Name    string      `json:"name,omitempty"`
	Verdict acl.Verdict `json:"verdict"`
	Origin  string      `json:"origin,omitempty"`
	Matched bool        `json:"matched"`
	Why     string      `json:"why"`
	// Env is what the rule sets for the programs of the clients whom it admits.
	Env map[string]string `json:"env,omitempty"`
	// Command is what serves them in place of the service's own program.
	Command []string `json:"command,omitempty"`
}
