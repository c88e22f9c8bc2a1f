package builtin

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"casemate/listener/inbound"
	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

const (
	// spareFiles is how many of its descriptors the worker needs for other things
	// than sessions: its sockets, and the runtime's own.
	spareFiles = 128
	// exhausted is how long accepting pauses when the process has no descriptors left.
	exhausted = 100 * time.Millisecond

	reasonSessions = "sessions" // mostSessions
)

// acceptor is a listener of tcp or unix.
type acceptor interface {
	net.Listener
	SetDeadline(time.Time) error
}

// mostSessions is how many sessions the worker's descriptors allow: a session
// holds one, and memory for a goroutine or two and one chunk.
func mostSessions() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 1
	}
	return max(int(min(r.Cur, 1<<20))-spareFiles, 1)
}

// accept serves one listener until it is closed, or until its deadline.
func (s *server) accept(l acceptor) error {
	for !s.gate.said.left() {
		c, err := l.Accept()
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return nil
		case inbound.Exhausted(err):
			time.Sleep(exhausted)
			continue
		case inbound.Temporary(err):
			continue
		default:
			return err
		}
		conn, w, v := s.decide(c)
		if conn == nil {
			continue
		}
		s.idle.begin()
		s.sessions.Go(func() {
			defer s.idle.end()
			s.serve(conn, w, v)
		})
	}
	return nil
}

// decide asks the gate about a fresh connection, and refuses it or registers
// its session.
func (s *server) decide(c net.Conn) (*conn, client, verdict) {
	now := time.Now()
	s.idle.touch(now)
	st, w, err := identify(c)
	if err != nil {
		_ = c.Close() // the client left before it was looked at
		return nil, w, verdict{}
	}
	v := s.gate.admit(&w)
	if v.refused != "" {
		s.records.decision(&w, &v, false, now)
		refuse(st)
		return nil, w, v
	}
	conn, err := newConn(st, now, &s.config.Limit, s.config.Idle)
	conn.client = w
	if err == nil && s.full() {
		err, v.refused = errFull, reasonSessions
	}
	if err != nil || !s.enter(conn) {
		conn.watch.end()
		s.gate.release(&w, &v, "")
		if v.refused != "" {
			s.records.decision(&w, &v, false, now)
		}
		refuse(st)
		return nil, w, v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(conn) // endShunned may have passed between the gate and enter
	return conn, w, v
}

var errFull = errors.New("too many sessions")

func (s *server) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) >= s.most
}

// serve runs one session to its end.
func (s *server) serve(c *conn, w client, v verdict) {
	began := time.Now()
	id := s.records.decision(&w, &v, true, began)
	err := s.protocol.stream(c)
	e := journal.Session{ID: id, Client: w.peer, Reason: s.ending(c, err), Took: time.Since(began)}
	talk, tcp := c.talk()
	e.In, e.Out, e.Heard = talk.In, talk.Out, tcp
	c.part(e.Reason)
	c.watch.leave()
	_ = c.Close() // what was written is the kernel's to deliver
	s.leave(c)
	s.gate.release(&w, &v, e.Reason)
	if why := c.shunned.Load(); why != nil {
		e.Detail = *why
	}
	s.records.session(&e)
}

func (s *server) ending(c *conn, err error) string {
	slow := c.watch.end()
	switch {
	case s.stopped(), c.shunned.Load() != nil:
		return journal.Killed
	case slow != "":
		return slow
	case !c.ends.IsZero() && !time.Now().Before(c.ends):
		return journal.Timeout
	case err == nil, errors.Is(err, unix.EPIPE):
		return journal.Exit
	case errors.Is(err, os.ErrDeadlineExceeded):
		return journal.Stalled
	}
	return journal.Reset
}

// identify tells who is at the other end of a connection.
func identify(c net.Conn) (stream, client, error) {
	st, ok := c.(interface {
		stream
		syscall.Conn
	})
	if !ok {
		return nil, client{}, errors.New("neither tcp nor unix")
	}
	raw, err := st.SyscallConn()
	if err != nil {
		return nil, client{}, err
	}
	who := client{network: c.LocalAddr().Network()}
	if from, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		who.peer = peerAt(from.AddrPort())
		at, _ := c.LocalAddr().(*net.TCPAddr) // nil has no address
		who.local = peerAt(at.AddrPort()).Addr
		return st, who, nil
	}
	cerr := raw.Control(func(fd uintptr) { who.peer, err = inbound.Credentials(int(fd)) })
	return st, who, errors.Join(err, cerr)
}

// peerAt is the peer at an address that the kernel wrote, which may be mapped
// and have a zone.
func peerAt(addr netip.AddrPort) inbound.Peer {
	ip := addr.Addr().Unmap()
	return inbound.Peer{Addr: netip.AddrPortFrom(ip.WithZone(""), addr.Port()), Zone: ip.Zone()}
}

// refuse ends a connection with a reset, so that neither side keeps TIME_WAIT.
func refuse(c stream) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
