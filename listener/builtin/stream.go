package builtin

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"casemate/listener"
	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

const (
	// maxSessions bounds the worker's memory where the policy has no limit of its
	// own: a session holds a goroutine or two and one chunk.
	maxSessions = 1024
	// exhausted is how long accepting pauses when the process has no descriptors left.
	exhausted = 100 * time.Millisecond

	reasonSessions = "sessions" // maxSessions
)

// accept serves one listener until it is closed. It returns nil then, and once
// all of its sessions are over.
func (s *server) accept(l net.Listener) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return nil
		case listener.Exhausted(err):
			time.Sleep(exhausted)
			continue
		case listener.Temporary(err):
			continue
		default:
			return err
		}
		conn, w, v := s.decide(c)
		if conn == nil {
			continue
		}
		s.idle.begin()
		sessions.Go(func() {
			defer s.idle.end()
			s.serve(conn, w, v)
		})
	}
}

// decide asks the gate about a fresh connection, and refuses it or registers
// its session.
func (s *server) decide(c net.Conn) (*conn, client, verdict) {
	s.idle.touch()
	st, w, err := identify(c)
	if err != nil {
		_ = c.Close() // the client left before it was looked at
		return nil, w, verdict{}
	}
	v := s.gate.admit(w)
	if v.refused != "" {
		s.records.decision(w, v, false)
		refuse(st)
		return nil, w, v
	}
	conn, err := newConn(st, time.Now(), s.config.Limit.Session)
	if err == nil && s.full() {
		err, v.refused = errFull, reasonSessions
	}
	if err != nil || !s.enter(conn) {
		s.gate.release(w, v, false)
		if v.refused != "" {
			s.records.decision(w, v, false)
		}
		refuse(st)
		return nil, w, v
	}
	return conn, w, v
}

var errFull = errors.New("too many sessions")

func (s *server) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) >= maxSessions
}

// serve runs one session to its end.
func (s *server) serve(c *conn, w client, v verdict) {
	id := s.records.decision(w, v, true)
	began := time.Now()
	err := s.protocol.stream(c)
	reason := s.ending(c, err)
	_ = c.Close() // what was written is the kernel's to deliver
	s.leave(c)
	s.gate.release(w, v, reason == journal.Timeout)
	s.records.session(id, w, reason, time.Since(began))
}

func (s *server) ending(c *conn, err error) string {
	switch {
	case s.stopped():
		return journal.Killed
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
	cerr := raw.Control(func(fd uintptr) {
		if who.peer, err = listener.Connected(int(fd)); err == nil {
			who.local, err = listener.Local(int(fd))
		}
	})
	return st, who, errors.Join(err, cerr)
}

// refuse ends a connection with a reset, so that neither side keeps TIME_WAIT.
func refuse(c stream) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
