package broker

import (
	"io"
	"os"
	"slices"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/journal"
	"casemate/policy"

	"golang.org/x/sys/unix"
)

// mux is the broker's end of the socket by which a tcpmux worker hands its clients over, their names read.
type mux struct {
	s  *session // the worker's
	fd int
}

// handsOver are the names of all services that s hands its clients over to, in their order.
func handsOver(p *policy.Policy, s *policy.Service) (names []string) {
	for i := range p.Services {
		if s.Builtin == policy.Tcpmux {
			names = append(names, p.Services[i].Mux...)
		}
	}
	return names
}

// openMux gives the worker's end.
func (b *Broker) openMux(s *session) (end int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	if err = b.loop.Add(pair[0], unix.EPOLLIN, &mux{s, pair[0]}); err != nil {
		unix.Close(pair[0])
		unix.Close(pair[1])
	}
	return pair[1], err
}

// Ready takes clients over: each comes to its service as one that was accepted there. Who sends anything else was taken over.
func (m *mux) Ready(uint32) {
	b := m.s.svc.b
	for range maxAccepts {
		which, conn, peer, err := inbound.Handed(m.fd)
		switch {
		case err == nil:
			b.muxed(m.s, which, conn, peer)
		case err == unix.EAGAIN:
			return
		case inbound.Temporary(err):
		default:
			b.loop.Del(m.fd)
			listener.Bury(m.fd) // clients may lie in its queue
			if err != io.EOF && b.sessions[m.s.key] == m.s {
				b.limitedNote(m.s.svc.name, "mux", "ending a worker of tcpmux", err)
				b.terminate(m.s, journal.Killed)
			}
			return
		}
	}
}

// muxed starts a client on its way to the which-th of the names that its worker was told of.
func (b *Broker) muxed(s *session, which, conn int, peer inbound.Peer) {
	v := visit{svc: s.svc, at: s.at, conn: conn, peer: peer}
	defer v.strand()
	if names := handsOver(s.svc.gen.doc.Policy, s.svc.spec); which < len(names) {
		v.muxed = names[which]
	}
	v.local, _ = inbound.Local(conn) // see listening.visit
	if now := v.current(); v.muxed == "" || now == nil || now.broken() || now.full() || b.stopping {
		b.refuse(&v, reasonBusy)
	} else {
		v.svc = now
		b.offer(&v)
	}
}

// current is the service in force that the visit is for, nil where it is gone.
func (v *visit) current() *service {
	if v.muxed == "" {
		return v.at.svc
	}
	for _, s := range v.svc.b.gen.services {
		if slices.Contains(s.spec.Mux, v.muxed) {
			return s
		}
	}
	return nil
}
