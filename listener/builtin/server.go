package builtin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"casemate/listener/journal"

	"golang.org/x/sys/unix"
)

// Orders are what a worker is told while it serves.
type Orders struct {
	// Leaving is closed when it is to give its sockets up.
	Leaving <-chan struct{}
	// Said has what an operator has said of its service (wire.SaidAt), nil for nothing, and Shun tells that sessions are to end by that.
	Said io.ReaderAt
	Shun <-chan os.Signal
	// In Kept the limits find what those of the worker before remembered, and leave what these do; it may be nil.
	Kept *os.File
}

// Serve serves the Config's protocol on the sockets, which it takes over, until
// ctx ends, or until nobody has come for the linger time or Leaving is closed: then it
// gives the sockets up and serves those to the end who are there. All give nil. log gets the
// records, must not wait, and is called from several goroutines.
func Serve(ctx context.Context, o Orders, c *Config, sockets []*os.File, log func(journal.Record)) error {
	s, err := newServer(c, o.Kept, sockets, log)
	if err != nil {
		return fmt.Errorf("builtin: %w", err)
	}
	s.gate.said.from = o.Said
	over := make(chan struct{})
	defer close(over)
	go s.listen(o, over)
	return s.run(ctx)
}

// listen does as it is told: to leave, and to end the sessions of clients that are banned, or not admitted any more.
func (s *server) listen(o Orders, over <-chan struct{}) {
	for {
		select {
		case <-over:
			return
		case <-o.Leaving:
			o.Leaving = nil
			s.gate.said.depart()
		case <-o.Shun:
			s.endShunned()
		}
	}
}

func (s *server) endShunned() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reactors != nil {
		s.reactors.each(false, (*prompt).shun)
	}
	for c := range s.conns {
		s.look(c)
	}
}

// look ends a session whose client is to go. The caller holds mu.
func (s *server) look(c *conn) {
	if why := s.gate.said.shuns(&c.client, s.config.Service); why != "" {
		c.shunned.Store(&why)
		_ = c.Close()
	}
}

func newServer(c *Config, kept *os.File, sockets []*os.File, log func(journal.Record)) (*server, error) {
	if err := validate(c); err != nil {
		return nil, err
	}
	gate, err := newGate(c)
	if err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	if kept != nil {
		if gate.keeper, err = newKeeper(kept); err != nil {
			return nil, err
		}
		gate.keep()
	}
	s := &server{
		config: c, protocol: protocols[c.Builtin](c), gate: gate, idle: newIdle(c.Linger),
		records: newRecords(log, c), conns: make(map[*conn]struct{}), most: mostSessions(),
	}
	if err := s.open(sockets); err != nil {
		return nil, err
	}
	if c.Builtin == "tcpmux" {
		if s.mux == nil {
			s.close()
			return nil, errors.New("no socket to hand clients over by")
		}
		s.protocol.stream = s.multiplex
	}
	return s, nil
}

type server struct {
	config    *Config
	protocol  protocol
	gate      *gate
	idle      *idle
	records   *records
	listeners []acceptor   // of a protocol that is not prompt
	reactors  *reactors    // of one that is; nil without listeners
	living    atomic.Int64 // clients of these
	packets   []*packetSocket
	turns     sync.Mutex // of the packets' loops, which share what follows
	batch     *batch
	refusals  refusals
	mux       *os.File // of tcpmux: where clients are handed over
	sessions  sync.WaitGroup
	most      int // sessions at a time

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool // sessions end, new ones are refused
}

// run serves until idle, leaving or told to stop. An idle worker first ends its loops,
// and closes its sockets only when nobody has slipped in meanwhile: a session that
// went on beside closed listeners would keep all others from being served. What
// the kernel has queued but nobody accepted stays queued, for the next worker.
func (s *server) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, s.stop)()
	if s.mux != nil {
		defer s.mux.Close()
		go func() { cancel(s.alone()) }()
	}
	for !s.gate.said.leaving() && s.serveUntilIdle(ctx, cancel) { // it may have been told to leave before it heard
	}
	s.gate.keep() // before the next worker has anybody
	s.close()
	s.sessions.Wait()
	if s.reactors != nil {
		s.reactors.end()
	}
	s.gate.keep()
	s.records.suppressed(time.Now(), 0)
	s.records.tell()
	s.records.flush()
	var broken *socketError
	if errors.As(context.Cause(ctx), &broken) {
		return fmt.Errorf("builtin: %w", broken.error)
	}
	return nil
}

// serveUntilIdle runs the accept and receive loops for as long as there is
// something to do, and tells whether it must be called again.
func (s *server) serveUntilIdle(ctx context.Context, cancel context.CancelCauseFunc) (again bool) {
	var loops sync.WaitGroup
	loop := func(serve func() error) {
		loops.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				cancel(&socketError{err}) // a socket that cannot be served any more ends the worker
			}
		})
	}
	s.until(time.Time{})
	if s.reactors != nil {
		s.reactors.accept(true, func(err error) { cancel(&socketError{err}) })
	}
	for _, l := range s.listeners {
		loop(func() error { return s.accept(l) })
	}
	for _, p := range s.packets {
		loop(func() error { return s.receive(p) })
	}
	s.idle.wait(ctx, s.gate.said.leaves)
	s.until(time.Unix(1, 0))
	if s.reactors != nil {
		s.reactors.accept(false, nil)
	}
	loops.Wait()
	return ctx.Err() == nil && s.idle.left(time.Now()) > 0
}

// until ends the loops at t; the zero time leaves them going.
func (s *server) until(t time.Time) {
	for _, l := range s.listeners {
		_ = l.SetDeadline(t) // fails for a closed socket alone
	}
	for _, p := range s.packets {
		_ = p.conn.SetReadDeadline(t)
	}
}

// socketError is why the worker itself ended its context.
type socketError struct{ error }

// close closes the sockets.
func (s *server) close() {
	if s.reactors != nil {
		s.reactors.close()
	}
	for _, l := range s.listeners {
		_ = l.Close() // closing what only we use cannot usefully fail
	}
	for _, p := range s.packets {
		_ = p.conn.Close()
	}
}

// stop ends every session.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.reactors != nil {
		s.reactors.each(true, func(p *prompt) { p.kill("") })
	}
	for c := range s.conns {
		_ = c.Close()
	}
}

// enter registers a session; false when the worker is ending.
func (s *server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *server) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// open turns the inherited descriptors into Go sockets by what they are.
func (s *server) open(files []*os.File) error {
	if len(files) == 0 {
		return errors.New("no sockets were handed over")
	}
	var prompt []int
	for _, f := range files {
		fd, err := s.openOne(f)
		if fd >= 0 {
			prompt = append(prompt, fd)
		}
		// Go's net works on duplicates.
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			for _, fd := range prompt {
				unix.Close(fd)
			}
			s.close()
			return err
		}
	}
	if len(prompt) > 0 {
		var err error
		if s.reactors, err = newReactors(s, prompt); err != nil {
			s.close()
			return err
		}
	}
	own := make(map[uint16]bool)
	for _, p := range s.packets {
		own[p.bound.Port()] = true
	}
	for _, p := range s.packets {
		p.guard = guard{ports: own, loopback: p.bound.Addr().IsLoopback()}
	}
	return nil
}

// openOne opens one, or duplicates the descriptor of a listener for the reactor; -1 is none for that.
func (s *server) openOne(f *os.File) (prompt int, err error) {
	kind, err := socketType(f)
	switch {
	case err != nil:
	case kind == unix.SOCK_SEQPACKET && s.config.Builtin == "tcpmux" && s.mux == nil:
		s.mux, err = pollable(f)
	case kind != unix.SOCK_DGRAM && s.protocol.prompt():
		if prompt, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			return prompt, nil
		}
		err = os.NewSyscallError("fcntl", err)
	case kind != unix.SOCK_DGRAM:
		var l net.Listener
		if l, err = net.FileListener(f); err != nil {
			return -1, fmt.Errorf("listener %s: %w", f.Name(), err)
		}
		s.listeners = append(s.listeners, l.(acceptor)) // tcp or unix: both have deadlines
	case s.protocol.datagram == nil:
		err = fmt.Errorf("socket %s: %s is not served by udp", f.Name(), s.config.Builtin)
	default:
		var p *packetSocket
		if p, err = newPacketSocket(f); err != nil {
			return -1, err
		}
		s.packets = append(s.packets, p)
		if s.batch == nil {
			s.batch = newBatch()
		}
	}
	return -1, err
}
