package main

import (
	"net/netip"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy"
	"casemate/policy/control"
)

// planNarrow are the live sessions whose client the policy would not admit, as casemated judges them at a load.
type planNarrow struct {
	// Disallowed is how many there are, of the first control.MaxSessions; clients of built-ins, which their workers know alone, are not among them.
	Disallowed int `json:"disallowed"`
	// Ends says that a reload ends them, by on_narrow.
	Ends bool `json:"ends"`
}

// narrowed counts them at that time.
func narrowed(sessions []control.SessionStatus, to *policy.Policy, now time.Time) planNarrow {
	n := planNarrow{Ends: to.OnNarrow == policy.NarrowEnd}
	rules := map[string]*decide.Matcher{}
	for _, s := range sessions {
		svc := to.Service(s.Service)
		switch {
		case s.Client == "" || svc != nil && svc.Wait:
		case svc == nil:
			n.Disallowed++
		default:
			m, known := rules[svc.ACL]
			if list := to.ACL(svc.ACL); !known && list != nil {
				m, _ = decide.Compile(list) // of a valid policy
			}
			if rules[svc.ACL] = m; m.Decide(clientOf(&s, now)).Shuts() {
				n.Disallowed++
			}
		}
	}
	return n
}

// clientOf is a session's client as rules are asked about it.
func clientOf(s *control.SessionStatus, now time.Time) decide.Client {
	c := decide.Client{At: now}
	if from, err := netip.ParseAddrPort(s.Client); err == nil {
		c.Addr = from.Addr()
	} else {
		c.Peer = acl.Pattern(s.Client)
	}
	if local, err := netip.ParseAddrPort(s.Local); err == nil {
		c.Local = local.Addr()
	}
	if s.Name != "" {
		c.Name = decide.Name{State: decide.Known, Host: s.Name}
	}
	return c
}

// printNarrow tells of them.
func (a *app) printNarrow(n *planNarrow) {
	switch {
	case n.Disallowed == 0:
	case n.Ends:
		a.printf("  %s, whose client the policy does not admit: on_narrow = \"end\"\n", several(n.Disallowed, "of them ends", "of them end"))
	default:
		a.printf("  %s a client that the policy does not admit: casemate reload --end-disallowed ends such\n", several(n.Disallowed, "of them has", "of them have"))
	}
}
