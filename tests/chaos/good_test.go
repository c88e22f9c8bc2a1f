package chaos

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// deadline is the most that a good client waits in any weather: longer is a hang.
const deadline = 40 * time.Second

// retry is how long it waits for the answer to one datagram.
const retry = 500 * time.Millisecond

// good is the one good client of a target: it asks, one request after the other,
// and counts.
type good struct {
	*target
	ledger *ledger

	mu       sync.Mutex
	asked    int
	answered int
	refused  int // by a closed target
	retries  int // datagrams without an answer that were sent again
	lost     int
	slowest  time.Duration
	errs     []string        // a hang, or the answer of somebody else
	tried    map[string]int  // by its own address and port: connections
	served   map[string]int  // and those that were answered
	took     []time.Duration // by the requests of one part of the storm that were answered
}

func newGood(x *target, l *ledger) *good {
	return &good{target: x, ledger: l, tried: map[string]int{}, served: map[string]int{}}
}

// until asks until stop is closed.
func (g *good) until(stop <-chan struct{}, rnd *rand.Rand) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(30+rnd.IntN(150)) * time.Millisecond):
		}
		_ = g.ask(n) // it is in the books
	}
}

// median is how long the answers took that came since it was asked last; 0 where there were too few to say.
func (g *good) median() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	took := g.took
	g.took = nil
	if len(took) < enough {
		return 0
	}
	return middle(took)
}

// enough is how many answers a median is of.
const enough = 100

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// errWrong is an answer to another question.
var errWrong = errors.New("wrong answer")

// ask makes one request and books what came of it.
func (g *good) ask(n int) error {
	began := time.Now()
	key, retries, err := g.request(fmt.Sprintf("%s.%d.%d", g.name, n, began.UnixNano()))
	took := time.Since(began)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	g.tried[key]++
	g.retries += retries
	g.slowest = max(g.slowest, took)
	var timeout net.Error
	switch {
	case g.closed && err != nil && !errors.Is(err, errWrong) && took < deadline:
		g.refused++
		err = nil
	case g.closed && err == nil:
		err = errors.New("a closed service answered")
		g.errs = append(g.errs, err.Error())
	case err == nil:
		g.answered++
		g.served[key]++
		g.took = append(g.took, took)
	case errors.Is(err, errWrong):
		g.errs = append(g.errs, err.Error())
	case errors.As(err, &timeout) && timeout.Timeout():
		g.errs = append(g.errs, fmt.Sprintf("hung for %s since %s: %v", took, began.Format("05.000"), err))
	default:
		g.lost++
		g.ledger.lose(g.name, began, time.Now(), err)
	}
	return err
}

// request makes one request; key is where it came from.
func (g *good) request(nonce string) (key string, retries int, err error) {
	end := time.Now().Add(deadline)
	if g.network != "udp" {
		key, err = g.stream(nonce, end)
		return key, 0, err
	}
	for ; ; retries++ {
		key, err = g.datagram(nonce)
		if err == nil || errors.Is(err, errWrong) || time.Now().After(end) {
			return key, retries, err
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			time.Sleep(retry / 10) // refused: nobody is behind its socket now
		}
	}
}

func (g *good) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: deadline}
	switch g.network {
	case "tcp":
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(g.source)}
	case "udp":
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(g.source)}
	}
	return d
}

// question and answer are what is sent for a nonce, and what is to come back.
func (g *good) question(nonce string) (question, answer string) {
	if g.builtin {
		return "say " + nonce + "\n", "say " + nonce + "\n"
	}
	return "say " + nonce + "\n", g.name + " " + nonce + "\n"
}

func (g *good) stream(nonce string, end time.Time) (key string, err error) {
	c, err := g.dialer().Dial(g.network, g.address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(end)
	key = c.LocalAddr().String()
	question, want := g.question(nonce)
	if _, err = io.WriteString(c, question); err != nil {
		return key, err
	}
	buf := make([]byte, len(want)+1)
	n := 0
	for err == nil && n < len(want) {
		var m int
		m, err = c.Read(buf[n:])
		n += m
	}
	switch got := string(buf[:n]); {
	case got == want:
		return key, nil
	case n > 0 && got != want[:min(n, len(want))]:
		return key, fmt.Errorf("%w: %s got %q, want %q", errWrong, g.name, got, want)
	}
	return key, fmt.Errorf("after %d bytes: %w", n, err)
}

func (g *good) datagram(nonce string) (key string, err error) {
	c, err := g.dialer().Dial(g.network, g.address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(retry))
	question, want := g.question(nonce)
	if _, err = io.WriteString(c, question); err != nil {
		return c.LocalAddr().String(), err
	}
	buf := make([]byte, 1024)
	n, err := c.Read(buf)
	if err == nil && string(buf[:n]) != want {
		err = fmt.Errorf("%w: %s got %q, want %q", errWrong, g.name, buf[:n], want)
	}
	return c.LocalAddr().String(), err
}
