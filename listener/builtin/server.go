package builtin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"casemate/listener/journal"
)

// Serve serves the Config's protocol on the sockets, which it takes over, until
// ctx ends or nobody has come for the linger time; both give nil. log gets the
// records, must not wait, and is called from several goroutines.
func Serve(ctx context.Context, c *Config, sockets []*os.File, log func(journal.Record)) error {
	if err := validate(c); err != nil {
		return fmt.Errorf("builtin: %w", err)
	}
	gate, err := newGate(c)
	if err != nil {
		return fmt.Errorf("builtin: acl: %w", err)
	}
	s := &server{
		config: c, protocol: protocols[c.Builtin], gate: gate, idle: newIdle(c.Linger),
		records: newRecords(log, c), conns: make(map[*conn]struct{}),
	}
	if err := s.open(sockets); err != nil {
		return fmt.Errorf("builtin: %w", err)
	}
	return s.run(ctx)
}

type server struct {
	config    *Config
	protocol  protocol
	gate      *gate
	idle      *idle
	records   *records
	listeners []net.Listener
	packets   []*packetSocket

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool // sessions end, new ones are refused
}

// run serves until idle or told to stop. An idle end closes the listeners first
// and then still serves whoever slipped in; what the kernel has queued but nobody
// accepted stays queued, for the next worker.
func (s *server) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ctx, s.stop)()
	var loops sync.WaitGroup
	loop := func(serve func() error) {
		loops.Go(func() {
			if err := serve(); err != nil {
				cancel(&socketError{err}) // a socket that cannot be served any more ends the worker
			}
		})
	}
	for _, l := range s.listeners {
		loop(func() error { return s.accept(l) })
	}
	for _, p := range s.packets {
		loop(func() error { return s.receive(p) })
	}
	s.idle.wait(ctx)
	s.close()
	loops.Wait()
	s.records.suppressed(time.Now(), 0)
	var broken *socketError
	if errors.As(context.Cause(ctx), &broken) {
		return fmt.Errorf("builtin: %w", broken.error)
	}
	return nil
}

// socketError is why the worker itself ended its context.
type socketError struct{ error }

// close ends the accept and receive loops.
func (s *server) close() {
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
	for _, f := range files {
		err := s.openOne(f)
		// Go's net works on duplicates.
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
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

func (s *server) openOne(f *os.File) error {
	datagram, err := isDatagram(f)
	if err != nil {
		return err
	}
	if !datagram {
		l, err := net.FileListener(f)
		if err != nil {
			return fmt.Errorf("listener %s: %w", f.Name(), err)
		}
		s.listeners = append(s.listeners, l)
		return nil
	}
	p, err := newPacketSocket(f)
	if err != nil {
		return err
	}
	s.packets = append(s.packets, p)
	return nil
}
