package broker

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"casemate/listener"
	"casemate/listener/inbound"
	"casemate/listener/loop"
	"casemate/policy/control"

	"golang.org/x/sys/unix"
)

// brokenPause is how long a listener rests after an error that is not the client's.
const brokenPause = time.Second

// listening is one listening socket. It lives as long as generations name its
// key, and longer while a wait program holds it.
type listening struct {
	b    *Broker
	sock *inbound.Socket // nil while a retry is waiting for the address
	spec listener.Spec
	svc  *service // of the current generation; nil = removed from the policy
	// local is where clients connect to, invalid if it differs for each (wildcard).
	local  netip.AddrPort
	polled bool         // in the epoll set
	holder *session     // the wait program that has it
	mark   inbound.Mark // what it was started for
	unread int          // programs in a row that took nothing
	lanes  []*listening // the other sockets of a nowait udp service, nil until it is served
	lane   bool         // it is one of them
	attached
	pause loop.Timer // not polled until then
	retry loop.Timer // opening it is tried again then
	tries int
	err   error // why it is not open, or what last went wrong
}

func newListening(b *Broker, spec listener.Spec, sock *inbound.Socket) *listening {
	at := &listening{b: b, sock: sock, spec: spec}
	at.pause.Owner, at.retry.Owner = at, at
	if sock != nil && spec.Addr.IsValid() && !spec.Addr.Addr().IsUnspecified() {
		at.local = netip.AddrPortFrom(spec.Addr.Addr().WithZone(""), sock.Spec.Addr.Port())
	}
	return at
}

// name is the service's, for records.
func (at *listening) name() string {
	if at.svc == nil {
		return ""
	}
	return at.svc.name
}

func (at *listening) stream() bool { return at.spec.Stream() }

// fd is only to be used while sock is open.
func (at *listening) fd() int { return at.sock.FD }

// wanted tells whether the socket should be in the epoll set now.
func (at *listening) wanted() bool {
	switch {
	case at.sock == nil, at.svc == nil, at.svc.broken(), at.holder != nil, at.pause.Armed():
		return false
	case at.b.stopping, at.b.exhausted.Armed(), at.svc.full():
		return false
	case at.svc.spec.Wait && at.svc.run.backoff.Armed():
		return false
	}
	// One program may take all sockets of its service at once.
	return !at.svc.spec.Together() || !slices.ContainsFunc(at.svc.listen, (*listening).held)
}

func (at *listening) held() bool { return at.holder != nil }

// regroup releases the worker of a builtin that was started without this socket,
// whose address was busy: the limits of a service are counted by one worker.
func (at *listening) regroup() {
	if at.sock == nil || at.held() || at.svc == nil || at.svc.spec.Builtin == "" {
		return
	}
	if i := slices.IndexFunc(at.svc.listen, (*listening).held); i >= 0 {
		at.b.loop.After(&at.retry, firstRetry) // it may be just starting
		if s := at.svc.listen[i].holder; s.pid > 0 {
			at.b.release(s)
		}
	}
}

// sync puts the socket into the epoll set or takes it out. Out means out: a
// descriptor with an empty event mask still reports EPOLLHUP, and a wait program
// could shut its listening socket down to make the loop spin.
func (at *listening) sync() {
	at.shielded()
	want := at.wanted()
	if want {
		at.spread()
	}
	for _, l := range at.lanes {
		l.svc = at.svc
		l.sync()
	}
	if want == at.polled {
		return
	}
	if !want {
		at.b.loop.Del(at.fd())
		at.polled = false
		return
	}
	if err := at.b.loop.Add(at.fd(), unix.EPOLLIN, at); err != nil {
		at.broken(err)
		return
	}
	at.polled = true
}

// rest takes the socket out of the poll set for d.
func (at *listening) rest(d time.Duration) {
	at.b.loop.After(&at.pause, d)
	at.sync()
}

// broken rests the socket after an error that has nothing to do with a client.
func (at *listening) broken(err error) {
	at.err = err
	at.b.limitedNote(at.name(), "socket "+at.spec.Key(), "listener "+at.spec.Key()+" failed, resting", err)
	at.rest(brokenPause)
}

// Expire ends a rest, or tries to open again what is missing of the socket.
func (at *listening) Expire(t *loop.Timer) {
	if t == &at.retry {
		at.reopen()
		at.regroup()
	}
	at.sync()
}

// Ready is called when somebody is there.
func (at *listening) Ready(events uint32) {
	switch {
	case !at.polled: // taken out earlier in this wake
	case events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		at.undo() // it would report that for ever
	case at.svc.spec.Wait:
		at.handOver()
	case at.stream():
		at.accept()
	default:
		at.receive()
	}
}

// free is called when the wait program that held the socket has ended. The
// program could do to it what it liked: undo what would stay.
func (at *listening) free(s *session) {
	if at.holder != s {
		return
	}
	at.holder = nil
	if at.svc == nil {
		at.b.dropSocket(at)
		return
	}
	if at.sock == nil || at.b.stopping {
		return
	}
	if at.b.sessions[s.key] != s { // else it is a worker of ours that lives on, and closes it
		at.b.loop.Guard(at.undo)
	}
	if at.sock != nil && at.sock.Spec != at.spec { // changed by a reload while it was out
		if err := at.sock.Reconfigure(at.spec); err != nil {
			at.broken(err)
		}
	}
	n := at.svc.tally.faults
	if at.sock != nil && at.svc.spec.Builtin == "" && s.at == at {
		if left := at.leftAlone(); !at.stream() {
			n = max(n, left)
		}
	}
	if n > 0 {
		at.rest(backoffAfter(n, firstBackoff, maxBackoff))
	}
	for _, o := range at.svc.listen {
		o.sync()
	}
}

// state names the socket's state for status.
func (at *listening) state() string {
	switch {
	case at.svc.broken():
		return "broken"
	case at.sock == nil:
		return "retrying"
	case at.holder != nil:
		return "waiting"
	case at.pause.Armed() || at.b.exhausted.Armed():
		return "shedding"
	}
	return "listening"
}

func (at *listening) status() control.ListenerStatus {
	st := control.ListenerStatus{Key: at.spec.Key(), State: at.state()}
	if at.err != nil && st.State != "listening" {
		st.Error = at.err.Error()
	}
	return st
}

// undo takes back what a wait program may have done to the socket it held; one
// that is beyond that is opened anew, without those who waited on it.
func (at *listening) undo() {
	if s := at.svc; s == nil || s.tally == nil || s.tally.shield == nil {
		at.clean = false // its program may have attached something
	}
	if err := at.sock.Restore(); err != nil {
		at.b.limitedNote(at.name(), "socket "+at.spec.Key(), "listener "+at.spec.Key()+" opened anew, its program left it useless", err)
		at.close()
		at.reopen()
	}
}

// close closes the socket, if it is open.
func (at *listening) close() {
	at.unspread()
	if at.sock == nil {
		return
	}
	if at.polled {
		at.b.loop.Del(at.fd())
		at.polled = false
	}
	if err := at.sock.Close(); err != nil {
		at.b.limitedNote(at.name(), "socket "+at.spec.Key(), "closing "+at.spec.Key(), err)
	}
	at.sock, at.attached = nil, attached{}
}

// reopen opens the socket, or tries again later.
func (at *listening) reopen() {
	if at.svc == nil || at.svc.broken() || at.b.stopping || at.sock != nil {
		return
	}
	sock, err := at.b.hands.Open(at.spec)
	if err != nil {
		at.tries++
		at.b.loop.After(&at.retry, backoffAfter(at.tries, firstRetry, maxRetry))
		if at.tries == 1 || at.err == nil || at.err.Error() != err.Error() {
			at.b.limitedNote(at.name(), "socket "+at.spec.Key(), "listener cannot be opened, trying again", err)
		}
		at.err = err
		return
	}
	if at.tries > 0 {
		at.b.log.Put(at.b.note(slog.LevelInfo, "listener opened", slog.String("service", at.name()), slog.String("text", at.spec.Key())))
	}
	at.sock, at.err, at.tries = sock, nil, 0
	at.local = newListening(at.b, at.spec, sock).local
	for _, o := range at.svc.listen {
		o.sync()
	}
	at.b.tellServing()
}
