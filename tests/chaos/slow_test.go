package chaos

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// slow are clients that hold a place as long as they are let, at services that end such. They stay while others come and go:
// a rate is a mean over half a minute.
var slow = []bad{
	{"slow: says nothing", slowly, func(w *world, x *target, rnd *rand.Rand) {
		w.stays(x, rnd, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	}},
	{"slow: byte by byte", slowly, func(w *world, x *target, rnd *rand.Rand) {
		w.stays(x, rnd, func(c net.Conn) {
			for {
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
				select {
				case <-time.After(3 * time.Second):
				case <-w.slows.ends:
					return
				}
			}
		})
	}},
	{"slow: never reading", func(x *target) bool { return slowly(x) && !x.builtin }, func(w *world, x *target, rnd *rand.Rand) {
		w.stays(x, rnd, func(c net.Conn) {
			_, _ = io.WriteString(c, "spew\n")
			<-w.slows.ends
		})
	}},
}

func slowly(x *target) bool { return x.slow }

// mostSlow is how many slow clients there are at once.
const mostSlow = 24

// slows are the slow clients of one part of a storm.
type slows struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
	ends  chan struct{}
}

func newSlows() *slows { return &slows{conns: map[net.Conn]bool{}, ends: make(chan struct{})} }

// stays does something with a connection while the storm goes on: do returns when that breaks.
func (w *world) stays(x *target, rnd *rand.Rand, do func(c net.Conn)) {
	s := w.slows
	c, err := (&net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(anywhere(rnd))}}).Dial(x.network, x.address)
	if err != nil {
		return
	}
	s.mu.Lock()
	full := len(s.conns) >= mostSlow
	if !full {
		s.conns[c] = true
	}
	s.mu.Unlock()
	if full {
		c.Close()
		return
	}
	s.wg.Go(func() {
		do(c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		c.Close()
	})
}

// end has them all leave.
func (s *slows) end() {
	close(s.ends)
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}
