package broker

import (
	"errors"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/listener/inbound"
	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// A nowait udp service has up to maxLanes sockets on one address, and all of them
// have up to allLanes and a quarter of the descriptors. Only a socket in which one
// peer's datagrams wait can become that peer's own, so peers that come at the same
// time must meet in few of them; so must a good one and a flood. The kernel spreads
// peers by a hash of addresses and ports, and of how many sockets there are: in the
// moment in which another peer gets its own, one that sends twice may start twice.
const (
	maxLanes = 256
	allLanes = 4096
)

// spread opens the other sockets of a nowait udp service, and closes those of one
// that has become a wait service.
func (at *listening) spread() {
	switch {
	case at.spec.Wait:
		at.unspread()
		return
	case at.lane || !at.spec.UDP() || at.retry.Armed():
		return
	case at.lanes == nil:
		services := 0
		for _, o := range at.b.sockets {
			if o.spec.UDP() && !o.spec.Wait {
				services++
			}
		}
		at.lanes = make([]*listening, 0, max(min(maxLanes, min(allLanes, at.b.maxFiles/4)/max(services, 1))-1, 0))
	}
	for len(at.lanes) < cap(at.lanes) {
		sock, err := at.sock.Owner.Sibling(at.sock.Spec)
		if err != nil {
			at.b.limitedNote(at.name(), "split "+at.spec.Key(), "fewer sockets for peers that come at the same time, trying again", err)
			at.b.loop.After(&at.retry, firstRetry)
			return
		}
		l := newListening(at.b, at.spec, sock)
		l.lane = true
		at.lanes = append(at.lanes, l)
	}
}

// unspread closes them.
func (at *listening) unspread() {
	for _, l := range at.lanes {
		at.b.dropSocket(l)
	}
	at.lanes = nil
}

// receive serves a nowait datagram service: every peer gets a socket of its own,
// with its datagrams in it, and a program on that. Whatever refuses a peer
// takes exactly its one datagram out of the queue.
func (at *listening) receive() {
	for range maxDatagrams {
		peer, err := inbound.PeekSource(at.fd())
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			_ = inbound.DropDatagram(at.fd())
			at.broken(err)
			return
		}
		at.datagram(peer)
		if !at.polled {
			return
		}
	}
}

// datagram decides about the peer at the head of the queue. The loop cannot
// hold a datagram back until a name is known without holding all others back,
// so it counts as a name that did not come: allow rules do not match, deny rules do.
func (at *listening) datagram(peer inbound.Peer) {
	b := at.b
	v := visit{svc: at.svc, at: at, conn: -1, local: at.local, peer: peer}
	if reason := b.bans.refuses(&v); reason != "" {
		v.rule = decide.RuleNoACL
		at.dismiss(&v, reason)
		return
	}
	d := v.decide(decide.Name{})
	if d.NeedName {
		d = v.decide(decide.Name{State: decide.NoAnswer})
	}
	v.rule = d.Rule
	if d.Verdict != acl.Allow {
		at.dismiss(&v, reasonRules)
		return
	}
	s, reason := b.admit(&v)
	if s == nil {
		at.dismiss(&v, reason)
		return
	}
	defer b.abandon(s)
	old := at.fd()
	b.loop.Del(old)
	at.polled = false
	child, fresh, err := inbound.SplitPeer(at.sock, peer)
	if err != nil {
		at.sync()
		reason = reasonCross
		if !errors.Is(err, inbound.ErrContended) {
			reason = journal.Failed
			b.limitedNote(at.name(), "split "+at.spec.Key(), "no socket for a peer", err)
		}
		at.dismiss(&v, reason)
		return
	}
	at.sock = fresh
	at.sync()
	s.conn = child
	if !s.local.IsValid() {
		s.local, _ = inbound.Local(child)
	}
	s.run.start(s)
}

// dismiss refuses the peer at the head and drops its datagram.
func (at *listening) dismiss(v *visit, reason string) {
	if err := inbound.DropDatagram(at.fd()); err != nil && err != unix.EAGAIN {
		at.broken(err)
	}
	at.b.refuse(v, reason)
}
