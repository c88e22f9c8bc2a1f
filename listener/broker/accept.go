package broker

import (
	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// The bounds of one wake of one listener: enough to drain a burst, few enough
// that the neighbours' listeners and the children's ends get their turn.
const (
	maxAccepts   = 64
	maxDatagrams = 16
)

// accept takes what is in the backlog.
func (at *listening) accept() {
	for range maxAccepts {
		conn, peer, err := inbound.Accept(at.fd())
		switch {
		case err == nil:
			at.visit(conn, peer)
		case err == unix.EAGAIN:
			return
		case inbound.Temporary(err):
		case inbound.Exhausted(err):
			at.b.exhaust(err)
			return
		default:
			at.broken(err)
			at.undo()
			return
		}
		if !at.polled {
			return
		}
	}
}

// visit starts a new connection on its way.
func (at *listening) visit(conn int, peer inbound.Peer) {
	if !at.clean {
		_ = inbound.Unshield(conn) // unix.ENOENT is that it came before
	}
	v := visit{svc: at.svc, at: at, conn: conn, peer: peer, local: at.local}
	if !peer.Unix && !v.local.IsValid() {
		// An error means the client has reset already; without a local address
		// no allow rule with a "to" matches.
		v.local, _ = inbound.Local(conn)
	}
	if err := inbound.Prioritize(at.sock, conn); err != nil {
		inbound.Refuse(conn)
		at.broken(err)
		return
	}
	defer v.strand()
	at.b.offer(&v)
}
