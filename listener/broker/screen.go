package broker

import (
	"errors"
	"fmt"
	"slices"

	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// The program of a wait service takes its clients itself. With refuse = "silent" the kernel's filter at the listening sockets holds
// them to the host rules, and nothing else does: so no socket is handed over before this process has seen that filter there. The
// program cannot change it (valid.Check), and the next one is put in its place while the program runs.

// loose is a program that runs with a socket of the service, from before its acl was held by the kernel: nobody has looked then whether its profile lets it take
// the filter off, which it gets all the same. nil is none.
func (s *service) loose() *session {
	for _, at := range s.listen {
		if at.holder != nil && s.spec.Screened() && !at.holder.svc.spec.Screened() {
			return at.holder
		}
	}
	return nil
}

// looseness says so to who has to do something about it.
func (s *session) looseness() string {
	return fmt.Sprintf("its program that runs (pid %d) is from before refuse = \"silent\": it has whom it had taken then, and its profile may let it take the kernel's filter off its sockets; casemate kill %d has the next one started without", s.pid, s.id)
}

// unheld is what status says of a filter that is not there.
func (s *service) unheld(why error) string {
	switch {
	case !s.spec.Screened():
		return "refuse: clients are refused, but not by the kernel: " + why.Error()
	case slices.ContainsFunc(s.listen, (*listening).held):
		return "acl: its program that runs may take clients whom that refuses: " + why.Error()
	}
	return "refuse: its program is not started: " + why.Error()
}

// noteScreen is how many times in a row a socket waits for its filter before that is worth a note.
const noteScreen = 5

var errUnscreened = errors.New("the kernel has not the filter that would hold its clients to the acl")

// screened tells whether all whom the rules refuse are kept from these sockets. Else it rests, and the filter is attached meanwhile.
func (at *listening) screened(all []*listening) bool {
	s := at.svc.tally.shield
	if !at.svc.spec.Screened() {
		return true
	}
	for _, l := range all {
		if s == nil || s.missing != nil || !inbound.Filtered(l.fd(), l.program(s.now)) {
			at.unscreened(l)
			return false
		}
	}
	at.tries = 0
	early := false
	for _, l := range all {
		if l.early {
			early, l.early = true, false
			l.empty()
		}
	}
	if early { // what made it readable may be gone
		at.rest(minRest)
	}
	return !early
}

// unscreened has l get its filter, and at rest as long as that may take.
func (at *listening) unscreened(l *listening) {
	b, s := at.b, at.svc.tally.shield
	if at.tries++; at.tries >= noteScreen {
		err := b.shields.lacks(s)
		if err == nil {
			err = errUnscreened
		}
		b.limitedNote(at.name(), "screen "+at.spec.Key(), "listener "+at.spec.Key()+" is not handed over", err)
	}
	l.sent = nil
	l.sync()
	at.rest(backoffAfter(at.tries, minRest, maxBackoff))
}

// maxEarly bounds how many that came before the filter are thrown out at once; a queue holds no more.
const maxEarly = 1 << 16

// empty throws out who is in the queue. Nobody is but who came between the opening of the socket and its filter.
func (at *listening) empty() {
	if !at.stream() {
		for i := 0; i < maxEarly && inbound.DropDatagram(at.fd()) == nil; i++ {
		}
		return
	}
	_ = unix.SetNonblock(at.fd(), true)
	for range maxEarly {
		conn, _, err := inbound.Accept(at.fd())
		if err != nil {
			break
		}
		inbound.Refuse(conn)
	}
	_ = at.sock.Restore()
}
