package broker

import (
	"net/netip"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener"
	"casemate/listener/journal"
	"casemate/listener/loop"
	"casemate/policy"
)

// service is one service of one generation. Sessions keep pointing at the
// service they were admitted by, so that their records tell the right digest.
type service struct {
	b        *Broker
	name     string
	spec     *policy.Service
	gen      *generation
	rules    rules         // who
	session  time.Duration // the limit's session time, 0 = none
	styles   uint8
	dynamic  bool
	uid, gid uint32
	run      *runner
	tally    *tally
	listen   []*socket
}

// tally is what a service's name keeps across reloads: its limiter, its
// counters, and how much of its refusal log was left out.
type tally struct {
	name      string
	limiter   *limit.Limiter
	live      int
	peak      int
	admitted  uint64
	failed    uint64
	refused   uint64
	refusedBy map[string]uint64
	quiet     journal.Thinned // records of refusals
	unsaid    loop.Timer      // writes how many were left out
	// faults counts wait programs of this service that failed in a row.
	faults int
}

func (t *tally) refuse(reason string) {
	t.refused++
	if t.refusedBy == nil {
		t.refusedBy = make(map[string]uint64)
	}
	t.refusedBy[reason]++
}

// visit is one client on its way in: from accept to the decision and, if it is
// admitted, for the life of its session.
type visit struct {
	svc   *service
	at    *socket
	peer  listener.Peer
	local netip.AddrPort // where it connected to; invalid for unix and wait
	conn  int            // its socket, ours to close; -1 = none (wait) or handed over
	rule  int            // the deciding rule, as acl.Decision has it
}

// source is whom limits count the client under. That of a wait service takes its
// clients itself: nobody in particular.
func (v *visit) source() limit.Source {
	if v.svc.spec.Wait {
		return limit.Source{}
	}
	return limit.Peer(v.peer.Addr.Addr(), v.peer.UID)
}

// decide asks the service's rules about the client.
func (v *visit) decide(name acl.Name) acl.Decision {
	return v.svc.rules.matcher.Decide(acl.Client{Addr: v.peer.Addr.Addr(), Local: v.local.Addr(), Name: name, Unix: v.peer.Unix})
}
