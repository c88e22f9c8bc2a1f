// Package decide decides who, by the rules of package acl.
//
// It is pure: no sockets, no DNS, no clock. The broker and the builtin worker
// run it; acl/trace explains with it.
package decide

import (
	"net/netip"

	"casemate/acl"
)

// Decision.Rule where no rule of the list decided.
const (
	RuleDefault   = -1 // no rule matched: the list's default
	RuleNoACL     = -2 // the service has no acl: nobody is admitted
	RuleNoAddress = -3 // the client has neither an address nor a number
)

// Decision is what a list answers for a client.
type Decision struct {
	Verdict acl.Verdict
	// Rule is the index of the deciding rule, or one of RuleDefault, RuleNoACL
	// and RuleNoAddress. With NeedName it is the first rule that needs the name.
	Rule int
	// NeedName: the verdict depends on the name, which nobody has asked for
	// yet. Verdict is Deny until the caller decides again with an answer.
	NeedName bool
}

// Shuts tells whether the client is not admitted whatever name it may turn out to have.
func (d Decision) Shuts() bool { return !d.NeedName && d.Verdict != acl.Allow }

// answer is a truth value with a third one, for what only a name would tell.
type answer uint8

const (
	no answer = iota
	yes
	open
)

func truth(is bool) answer {
	if is {
		return yes
	}
	return no
}

// Decide finds the first rule that matches c.
//
// While the name is NotAsked, a rule that needs it is passed over as long as
// every way it could go leads to the same verdict; only where the verdict
// depends on it does the Decision say NeedName. A list that decides by address
// therefore never causes a lookup. In a Decision reached so, Rule is the rule
// that decides if no rule with names does.
//
// With NoAnswer, an allow rule that needs the name does not match and a deny
// rule does; likewise an unanswered exception holds against the client in both
// (CVE-2000-0536 was the opposite).
func (m *Matcher) Decide(c Client) Decision {
	if m == nil {
		return Decision{Verdict: acl.Deny, Rule: RuleNoACL}
	}
	c = c.Normal()
	if c.Peer == "" && !c.Addr.IsValid() {
		return Decision{Verdict: acl.Deny, Rule: RuleNoAddress}
	}
	var pending pending
	for i := range m.rules {
		r := &m.rules[i]
		a := r.match(&c, m.zone)
		if a == open && c.Name.State != NotAsked {
			a = truth(r.verdict == acl.Deny) // the side that admits nobody
		}
		switch a {
		case yes:
			return pending.settle(r.verdict, i)
		case open:
			pending.add(r.verdict, i)
		}
	}
	return pending.settle(m.def, RuleDefault)
}

// pending collects the rules that only a name would settle.
type pending struct {
	first int // the first of them, if there is any
	allow bool
	deny  bool
}

func (p *pending) add(v acl.Verdict, rule int) {
	if !p.allow && !p.deny {
		p.first = rule
	}
	p.allow = p.allow || v == acl.Allow
	p.deny = p.deny || v == acl.Deny
}

// settle ends the walk at a rule (or the default) that holds whatever the name is.
func (p *pending) settle(v acl.Verdict, rule int) Decision {
	if p.allow && v == acl.Deny || p.deny && v == acl.Allow {
		return Decision{Verdict: acl.Deny, Rule: p.first, NeedName: true}
	}
	return Decision{Verdict: v, Rule: rule}
}

// match is from and not except and to and during, in three values.
func (r *rule) match(c *Client, zone *acl.Zone) answer {
	if !r.matchLocal(c) || !r.matchTime(c, zone) {
		return no
	}
	from := r.from.match(c)
	if from == no {
		return no
	}
	switch r.except.match(c) {
	case yes:
		return no
	case open:
		return open
	}
	return from
}

// matchLocal compares the local address. An unknown one cannot free a client
// from a deny rule.
func (r *rule) matchLocal(c *Client) bool {
	switch {
	case r.to == nil:
		return true
	case c.Peer != "":
		return false
	case !c.Local.IsValid():
		return r.verdict == acl.Deny
	}
	return r.to.Contains(c.Local)
}

// match is yes if any pattern matches, open if none does but a name could tell.
func (s *set) match(c *Client) answer {
	switch {
	case s.any:
		return yes
	case c.Peer != "":
		if _, ok := s.peers[c.Peer]; ok {
			return yes
		}
		return no
	case s.matchAddr(c.Addr):
		return yes
	case !s.needsName:
		return no
	}
	return s.matchName(c.Name)
}

func (s *set) matchAddr(a netip.Addr) bool { return s.prefixes != nil && s.prefixes.Contains(a) }

func (s *set) matchName(n Name) answer {
	switch n.State {
	case Known:
		return truth(s.known || s.matchHost(n.Host))
	case Unknown:
		return truth(s.unknown)
	case Paranoid:
		return truth(s.paranoid)
	}
	return open
}

// matchHost looks the whole name up, then each of its parents: the cost is the
// number of labels, not of patterns.
func (s *set) matchHost(host string) bool {
	if _, ok := s.hosts[host]; ok {
		return true
	}
	if len(s.domains) == 0 {
		return false
	}
	for i := 1; i < len(host); i++ {
		if host[i] == '.' {
			if _, ok := s.domains[host[i:]]; ok {
				return true
			}
		}
	}
	return false
}

// RuleName is the name of rule i of l, or "": most rules have none, and what decides
// beside the rules (see Decision) has no name. A nil list has no rules.
func RuleName(l *acl.List, i int) string {
	if l == nil || i < 0 || i >= len(l.Rules) {
		return ""
	}
	return l.Rules[i].Name
}
