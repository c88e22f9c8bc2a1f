package broker

import (
	"net/netip"

	"casemate/acl"
	"casemate/listener"
)

// visit is one client on its way in: from accept to the decision and, if it is
// admitted, for the life of its session.
type visit struct {
	svc   *service
	at    *listening
	peer  listener.Peer
	local netip.AddrPort // where it connected to; invalid for unix and wait
	conn  int            // its socket, ours to close; -1 = none (wait) or handed over
	rule  int            // the deciding rule, as acl.Decision has it
}

// strand is deferred by who has a visit: a connection that a bug has left with
// it is closed.
func (v *visit) strand() {
	if v.conn >= 0 {
		listener.Refuse(v.conn)
	}
}

// offer decides about a client that was just accepted.
func (b *Broker) offer(v *visit) {
	d := v.decide(acl.Name{})
	if d.NeedName {
		b.names.ask(v)
		return
	}
	b.decided(v, d)
}

// decided goes on with the host rules' answer: limits, then the start.
func (b *Broker) decided(v *visit, d acl.Decision) {
	v.rule = d.Rule
	if d.Verdict != acl.Allow {
		b.refuse(v, reasonRules)
		return
	}
	s, reason := b.admit(v)
	if s == nil {
		b.refuse(v, reason)
		return
	}
	v.conn = -1
	s.run.start(s)
}

// decide asks the service's rules about the client.
func (v *visit) decide(name acl.Name) acl.Decision {
	return v.svc.rules.matcher.Decide(acl.Client{Addr: v.peer.Addr.Addr(), Local: v.local.Addr(), Name: name, Unix: v.peer.Unix})
}
