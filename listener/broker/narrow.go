package broker

import (
	"cmp"

	"casemate/acl/decide"
	"casemate/listener/journal"
	"casemate/listener/wire"
	"casemate/policy"
	"casemate/policy/control"
)

// What a load ends where it is to: the sessions whose client the policy in force would not admit now.

// whyNarrow stands in the record of such a session.
const whyNarrow = "the policy that was loaded does not admit its client"

// narrow ends those sessions, on the loop, after a load, and returns those that have a program of their own. The clients of a built-in
// are its worker's to end.
func (b *Broker) narrow() (list []control.SessionStatus) {
	for _, s := range b.sessions {
		switch {
		case s.svc.spec.Builtin != "":
			b.narrowWorker(s)
		case b.disallowed(s):
			s.why = cmp.Or(s.why, whyNarrow)
			list = append(list, s.status())
			b.terminate(s, journal.Killed)
		}
	}
	return list
}

// disallowed tells whether the policy in force does not admit the client of a session, as far as that is known of it: who would have
// to be asked for a name, which nobody has asked for, is let be. Clients that nobody sees are not judged.
func (b *Broker) disallowed(s *session) bool {
	if s.held != nil {
		return false
	}
	now := b.gen.service(s.svc.name)
	if now == nil {
		return true
	}
	if now.takesItself() {
		return false // its rules admit everybody, or the kernel holds them
	}
	v := s.visit
	v.svc = now
	name := decide.Name{}
	if s.peer.Name != "" {
		name = decide.Name{State: decide.Known, Host: s.peer.Name}
	}
	return v.decide(name).Shuts()
}

// unwelcome is why a session is to end that has just started, by what was loaded or said meanwhile; "" where it may go on.
func (b *Broker) unwelcome(s *session) string {
	switch {
	case s.held != nil || s.svc.spec.Builtin != "":
	case b.bans.index.Ends(s.peer.Addr.Addr(), s.svc.name, b.wall()):
		return whyBan
	case b.gen.narrows && s.svc.gen != b.gen && b.disallowed(s):
		return whyNarrow
	}
	return ""
}

// narrowWorker tells the worker of a built-in, which may be one that is to serve its clients to their end alone, whom the policy in force admits.
func (b *Broker) narrowWorker(s *session) {
	if s.counts == nil || s.counts.said < 0 || s.mercy != "" {
		return
	}
	s.counts.narrowed = b.bans.version + 1
	if b.tellRules(s) {
		s.hint(wire.Shun)
	}
}

// tellRules tells the worker of a built-in whom the policy in force admits, and what else has changed. It reports whether it was told.
func (b *Broker) tellRules(s *session) bool {
	s.counts.admits = nil
	if now := b.gen.service(s.svc.name); now != nil {
		s.counts.admits = b.gen.doc.Policy.ACL(now.spec.ACL)
	}
	b.bans.version++
	return b.bans.mustTell(s)
}

// narrows tells whether a load of a policy ends them.
func (o *order) narrows(p *policy.Policy) bool { return o.ends || p.OnNarrow == policy.NarrowEnd }
