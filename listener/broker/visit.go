package broker

import (
	"net/netip"

	"casemate/acl/limit/admission"
	"casemate/listener/inbound"
)

// visit is one client on its way in: from accept to the decision and, if it is
// admitted, for the life of its session.
type visit struct {
	svc     *service
	at      *listening
	peer    inbound.Peer
	local   netip.AddrPort // where it connected to; invalid for unix and wait
	conn    int            // its socket, ours to close; -1 = none (wait) or handed over
	rule    int            // the deciding rule, as decide.Decision has it
	greeted bool           // it has had the banner of everybody
	counted netip.Prefix   // what its limit counted it in, as that refused
	muxed   string         // the name of svc by which a tcpmux handed it over, "" = it came to at
}

// strand is deferred by who has a visit: a connection that a bug has left with
// it is closed.
func (v *visit) strand() {
	if v.conn >= 0 {
		inbound.Refuse(v.conn)
	}
}

// source is whom limits count the client under. That of a wait service takes its
// clients itself: nobody in particular.
func (v *visit) source() admission.Source {
	if v.svc.spec.Wait {
		return admission.Source{}
	}
	return admission.Peer(v.peer.Addr.Addr(), v.peer.Key())
}
