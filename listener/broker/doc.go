// Package broker is who decides: it accepts at the listeners of a compiled policy,
// decides by address and counters, hands every connection to its service's zygote,
// and keeps the records. Its process has no rights (casemate-worker broker): what takes
// root's, package warden does for it, by way of warden/far.
//
// It never reads a byte that a client sent or a service wrote, parses no policy
// language, asks no DNS and serves no built-in: other workers do that, each in a
// sandbox, and their answers are parsed strictly. The log worker's lines are put
// into the log as they come: of those only the length and the last byte are looked at.
//
// One event loop owns all state, so nothing here is locked: other goroutines hand
// the loop a function (loop.Do, loop.Post). A live session costs a copy of
// its client's socket (farewell.go), the end of a pipe and of its /dev/log (stderr.go)
// and one record, and a pidfd of root's; no goroutine or thread belongs to it.
//
// The way of a client, station by station. A test holds this map against the
// code: each function stands in its file and is called from one above it, or is
// called by the loop, which is marked with a star.
//
//	listening.go   (*listening).Ready *       somebody is there
//	accept.go      (*listening).accept        takes connections from the backlog
//	accept.go      (*listening).visit         who it is, and where it came to
//	decide.go      (*Broker).offer            asks the host rules
//	bans.go        (*bans).refuses            and, first, what operators have said
//	names.go       (*names).ask               holds it until its name is known, if a rule asks
//	names.go       (*names).answer *          the names worker's word
//	names.go       (*question).done           which makes room for another question
//	names.go       (*Broker).named            asks the rules again, with the name
//	decide.go      (*Broker).decided          to the limits, or refused
//	admit.go       (*Broker).admit            takes a place: it is a session now
//	refuse.go      (*Broker).refuse           or it ends here, counted and recorded
//	datagrams.go   (*listening).receive       a datagram goes the same way in one function
//	datagrams.go   (*listening).datagram      and gets a socket of its own
//	wait.go        (*listening).handOver      a wait service's program gets the listener
//	start.go       (*runner).start            waits for the service's zygote, if it must
//	runner.go      (*runner).spawn            which is started when it is first needed
//	start.go       (*runner).send             the socket and the peer's facts go to it
//	start.go       (*runner).Ready *          its reply
//	start.go       (*runner).replied          is checked, and matched with its session
//	runner.go      (*runner).Expire *         or it does not come in time
//	overdue.go     (*runner).overdue          and then the zygote is let go
//	session.go     (*Broker).runs             the program runs, watched by root
//	client.go      (*Broker).attend           its client is watched, if its service or limit asks
//	session.go     (*session).Expire *        its time is over
//	session.go     (*session).ended *         it has ended
//	leave.go       (*Broker).reaped           its status is collected
//	relays.go      (*relays).holds            unless its relay has more for its client
//	relays.go      (*relays).heard *          which says when it has not
//	leave.go       (*Broker).over             the session is over
//	ending.go      (*Broker).ending           and becomes a record
//	farewell.go    (*Broker).part             its client gets the last of its bytes, and an orderly end
//	ending.go      (*Broker).penalize         perhaps a penalty
//	leave.go       (*Broker).startFailed      it never ran
//	leave.go       (*Broker).leave            all that it held is given back
//	listening.go   (*listening).free          a wait program's sockets, too
package broker
