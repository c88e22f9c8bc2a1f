package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// answer is what the benchmark's service sends (testdata/answer.c).
const answer = "casemate\n"

// sample is what one stretch of load saw.
type sample struct {
	served  int
	lost    int
	elapsed time.Duration
	latency []time.Duration // connect to end of file, one for each connection, sorted
	cpu     time.Duration   // used by the server and the programs it started
	machine time.Duration   // used by everybody
}

// rate is connections per second.
func (s sample) rate() float64 { return float64(s.served) / s.elapsed.Seconds() }

// percentile returns the p-th (0..100) percentile of the latencies.
func (s sample) percentile(p float64) time.Duration {
	if len(s.latency) == 0 {
		return 0
	}
	i := int(p / 100 * float64(len(s.latency)))
	return s.latency[min(i, len(s.latency)-1)]
}

// load drives addr with so many clients for the given time. Clients
// make plain blocking calls: the runtime's poller would cost as much as the
// service. One wrong answer fails the whole stretch: a target that
// sheds load must not win by it.
func load(addr netip.AddrPort, clients int, d time.Duration) (sample, error) {
	return loadBy(clients, d, func() (func() error, func(), error) {
		return func() error { return ask(addr) }, func() {}, nil
	})
}

// errLost is an answer that did not come, where none was promised.
var errLost = errors.New("no answer")

// loadBy is load by clients that come with their own way to ask, and to go.
func loadBy(clients int, d time.Duration, come func() (ask func() error, leave func(), err error)) (sample, error) {
	return loadPaused(clients, d, 0, come)
}

// loadPaused is loadBy by clients that do nothing for a while after each answer.
func loadPaused(clients int, d, pause time.Duration, come func() (ask func() error, leave func(), err error)) (sample, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		out   sample
		fails []error
	)
	start := time.Now()
	end := start.Add(d)
	for range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var seen []time.Duration
			lost := 0
			ask, leave, failed := come()
			if failed == nil {
				defer leave()
			}
			for failed == nil {
				began := time.Now()
				if began.After(end) {
					break
				}
				if failed = ask(); errors.Is(failed, errLost) {
					failed, lost = nil, lost+1
					continue
				}
				seen = append(seen, time.Since(began))
				time.Sleep(pause)
			}
			mu.Lock()
			defer mu.Unlock()
			out.latency, out.lost = append(out.latency, seen...), out.lost+lost
			if failed != nil {
				fails = append(fails, failed)
			}
		}()
	}
	wg.Wait()
	out.elapsed = time.Since(start)
	out.served = len(out.latency)
	slices.Sort(out.latency)
	return out, errors.Join(fails...)
}

// ask makes one connection, reads the whole answer and closes.
func ask(addr netip.AddrPort) error { return askFrom(addr, nil) }

// askFrom is ask from an address of the client's own, nil for any.
func askFrom(addr netip.AddrPort, from unix.Sockaddr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	// A server that hangs is an error after ten seconds, not a benchmark without end.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		return fmt.Errorf("set receive timeout: %w", err)
	}
	if from != nil {
		if err := unix.Bind(fd, from); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return fmt.Errorf("connect %s: %w", addr, err)
	}
	var buf [64]byte
	have := 0
	for {
		n, err := unix.Read(fd, buf[have:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read from %s: %w", addr, err)
		}
		if n == 0 {
			break
		}
		have += n
	}
	if got := string(buf[:have]); got != answer {
		return fmt.Errorf("%s answered %q, want %q", addr, got, answer)
	}
	return nil
}
