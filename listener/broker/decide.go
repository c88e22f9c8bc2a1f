package broker

import (
	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit/admission"
	"casemate/listener/inbound"
)

// offer gives a client that was just accepted the banner of everybody, and decides about it.
func (b *Broker) offer(v *visit) {
	if reason := b.bans.refuses(v); reason != "" {
		b.forbid(v, reason)
		return
	}
	if !v.greeted && !inbound.Say(v.conn, v.svc.spec.BannerAccept) {
		b.refuse(v, reasonBusy)
		return
	}
	v.greeted = true
	d := v.decide(decide.Name{})
	if d.NeedName {
		b.names.ask(v)
		return
	}
	b.decided(v, d)
}

// forbid refuses a client by what an operator has said: no rule was asked, or it has no say.
func (b *Broker) forbid(v *visit, reason string) {
	v.rule = decide.RuleNoACL
	b.refuse(v, reason)
}

// decided goes on with the host rules' answer: limits, then the start.
func (b *Broker) decided(v *visit, d decide.Decision) {
	if reason := b.bans.refuses(v); reason != "" { // it may have waited for its name, or for a place
		b.forbid(v, reason)
		return
	}
	v.rule = d.Rule
	if d.Verdict != acl.Allow {
		b.refuse(v, reasonRules)
		return
	}
	s, reason := b.admit(v)
	if s == nil {
		if reason != string(admission.ByConcurrency) || !b.wait(v) {
			b.refuse(v, reason)
		}
		return
	}
	if v.conn = -1; !inbound.Say(s.conn, s.svc.spec.BannerSuccess) {
		b.startFailed(s, reasonBusy, nil)
		return
	}
	s.run.start(s)
}

// decide asks the service's rules about the client.
func (v *visit) decide(name decide.Name) decide.Decision {
	return v.svc.rules.matcher.Decide(decide.Client{Addr: v.peer.Addr.Addr(), Local: v.local.Addr(), Name: name, Peer: acl.Pattern(v.peer.Number()), At: v.svc.b.wall()})
}
