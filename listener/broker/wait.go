package broker

import (
	"errors"
	"time"

	"casemate/acl/decide"
	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// The wait state machine (inetd's "wait"):
//
//	ARMED --readable, limits admit--> BUSY: the program holds the socket, which
//	                                  leaves the poll set and stays open
//	ARMED --readable, limit refuses-> resting for as long as the limit says
//	BUSY  --program ends-----------> ARMED; after failures in a row, resting first
//	BUSY  --reload-----------------> BUSY: the socket moves to the new generation
//
// What is unread when the program ends starts the next one at once: that is how
// a program hands work back. A start that fails takes exactly one datagram with
// it, or the same one would start the next failure for ever. Programs that take
// nothing, however they end, rest in between, and the maxUnread-th takes what it was
// started for with it.

// minRest is the shortest rest of a socket whose limit refused.
const minRest = 10 * time.Millisecond

// handOver starts the program of a wait service.
func (at *listening) handOver() {
	b := at.b
	v := visit{svc: at.svc, at: at, conn: -1, rule: decide.RuleNoACL}
	if at.svc.spec.Builtin == "" {
		var err error
		if at.mark, err = inbound.MarkHead(at.sock, at.unread > 0, at.unread == maxUnread-1); err == unix.EAGAIN {
			return // a datagram with a bad checksum, or one that was taken back
		}
		// For the record only: the rules of a wait service admit everybody, or the kernel holds them.
		v.peer = at.mark.Peer
	}
	held := []*listening{}
	for _, o := range at.svc.listen { // in the order of the policy
		if o == at || o.sock != nil && at.svc.spec.Together() {
			held = append(held, o)
		}
	}
	if !at.screened(held) {
		return
	}
	s, reason := b.admit(&v)
	if s == nil {
		b.refuse(&v, reason)
		at.rest(min(max(v.svc.tally.limiter.Peek(b.loop.Now(), v.source()).RetryAfter, minRest), maxBackoff))
		return
	}
	defer b.abandon(s)
	s.held = held
	for _, h := range s.held {
		h.holder = s
	}
	for _, h := range s.held {
		h.sync()
	}
	s.run.start(s)
}

// maxUnread is how many programs one datagram or connection may start in vain.
const maxUnread = 5

var errUnread = errors.New("several programs in a row took nothing from it")

// leftAlone looks whether the program that has ended took anything from the socket,
// and returns how many in a row have not. That the first datagram looks as before
// is no proof: only from the second time on is it known to be the same, at a listener the last
// time, before the first is refused. Nobody rests there, and where the kernel does not say who
// waits (without inet_diag or unix_diag, and of more than some 950 unix clients) nobody is refused, and the limit's rate has to do.
func (at *listening) leftAlone() int {
	mark, err := inbound.MarkHead(at.sock, at.unread > 0, at.unread == maxUnread-1)
	if err != nil || !at.mark.Left(mark) {
		at.unread = 0
		return 0
	}
	if at.unread++; at.unread < maxUnread {
		return at.unread - 1
	}
	at.unread = 0
	if at.stream() {
		_ = unix.SetNonblock(at.fd(), true) // Restore comes after every program, and sets it back
		if conn, _, err := inbound.Accept(at.fd()); err == nil {
			inbound.Refuse(conn)
		}
		_ = at.sock.Restore()
	} else {
		_ = inbound.DropDatagram(at.fd())
	}
	at.b.limitedNote(at.name(), "unread "+at.spec.Key(), "listener "+at.spec.Key()+" rid of what its program does not take", errUnread)
	return maxUnread - 1
}
