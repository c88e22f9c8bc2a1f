package builtin

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"casemate/acl/limit"
)

var quotes = []string{"Less is more.\r\n", "So is more,\r\nsaid the other.\r\n"}

func TestQuote(t *testing.T) {
	c := config("qotd")
	c.Says = quotes
	r := start(t, c)
	seen := map[string]bool{}
	for range 200 {
		got, err := io.ReadAll(r.dial())
		if err != nil || !slices.Contains(quotes, string(got)) {
			t.Fatalf("%q, %v", got, err)
		}
		if seen[string(got)] = true; len(seen) == len(quotes) {
			return
		}
	}
	t.Errorf("200 clients got %v", seen)
}

// TestQuoteByUDP: a quote is no longer than the datagram that asks for it, unless the policy says so.
func TestQuoteByUDP(t *testing.T) {
	for _, tt := range []struct {
		amplify bool
		size    int
		want    []string // none is no answer
	}{
		{false, 0, nil}, {false, len(quotes[0]) - 1, nil}, {false, len(quotes[0]), quotes[:1]}, {false, 512, quotes}, {true, 0, quotes},
	} {
		c := config("qotd")
		c.Says, c.Amplify = quotes, tt.amplify
		r := start(t, c)
		wait := 200 * time.Millisecond // for no answer
		if tt.want != nil {
			wait = 30 * time.Second
		}
		got, ok := r.ask("127.0.0.1:0", make([]byte, tt.size), wait)
		if ok != (tt.want != nil) || ok && !slices.Contains(tt.want, string(got)) {
			t.Errorf("%+v: %q, %v", tt, got, ok)
		}
		r.end()
	}
}

func TestAuth(t *testing.T) {
	const bad = "0 , 0 : ERROR : INVALID-PORT\r\n"
	for _, tt := range []struct{ says, query, want string }{
		{"", "6191, 23\r\n", "6191 , 23 : ERROR : HIDDEN-USER\r\n"},
		{"guest", "6191, 23\r\n", "6191 , 23 : USERID : UNIX : guest\r\n"},
		{"guest", " 6191\t,23 \n", "6191 , 23 : USERID : UNIX : guest\r\n"},
		{"guest", "65535,1\r\nmore\r\n", "65535 , 1 : USERID : UNIX : guest\r\n"},
		{"guest", "65536, 23\r\n", bad},
		{"guest", "0, 23\r\n", bad},
		{"guest", "-1, 23\r\n", bad},
		{"guest", "+1, 23\r\n", bad},
		{"guest", "0x17, 23\r\n", bad},
		{"guest", "1_0, 23\r\n", bad},
		{"guest", "23\r\n", bad},
		{"guest", "1,2,3\r\n", bad},
		{"guest", "\r\n", bad},
		{"guest", "1 2, 3\r\n", bad},
		{"guest", "1, 2\r\r\n", bad},
		{"guest", "1, 2\x00\r\n", bad},
		{"guest", "1, \x1b[2J\r\n", bad},
		{"guest", strings.Repeat(" ", maxQuery) + "1, 2\r\n", bad},
		{"guest", "1, 2", ""}, // no end of the line
		{"guest", "", ""},
	} {
		c := config("auth")
		if tt.says != "" {
			c.Says = []string{tt.says}
		}
		r := startOnly(t, c, "tcp")
		conn := r.dial()
		_, _ = conn.Write([]byte(tt.query))
		_ = conn.CloseWrite()
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: %q, %v", tt.query, got, err)
		}
		r.end()
	}
}

// TestAuthHasNoUDP: a socket that it cannot serve ends the worker.
func TestAuthHasNoUDP(t *testing.T) {
	r := startOnly(t, config("auth"), "udp")
	if err := <-r.done; err == nil || !strings.Contains(err.Error(), "auth is not served by udp") {
		t.Errorf("%v", err)
	}
	close(r.done)
}

// TestLineHasOneDeadline: a client that sends a byte now and then does not put its end off.
func TestLineHasOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		c, err := newConn(pipeStream{here}, time.Now(), &limit.Spec{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var client sync.WaitGroup
		client.Go(func() {
			for {
				if _, err := there.Write([]byte("1")); err != nil {
					return
				}
				time.Sleep(lineTime / 7)
			}
		})
		_, err = c.line(maxQuery, lineTime)
		if took := time.Since(began); err == nil || took != lineTime {
			t.Errorf("%v after %v", err, took)
		}
		here.Close()
		client.Wait()
	})
}

// TestLineTakesNothingBehindIt: the byte after the line's end is still there.
func TestLineTakesNothingBehindIt(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	c, err := newConn(pipeStream{here}, time.Now(), &limit.Spec{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() { fmt.Fprint(there, "finger\r\nroot\r\n") }()
	line, err := c.line(maxQuery, lineTime)
	rest := make([]byte, 6)
	if _, rerr := io.ReadFull(c, rest); err != nil || rerr != nil || string(line) != "finger" || string(rest) != "root\r\n" {
		t.Errorf("%q, %v, then %q, %v", line, err, rest, rerr)
	}
}

// pipeStream is a net.Pipe as a stream.
type pipeStream struct{ net.Conn }

func (p pipeStream) CloseWrite() error { return nil }

// startOnly is start with one protocol's socket.
func startOnly(t *testing.T, c *Config, proto string) *running {
	t.Helper()
	return startWith(t, c, "127.0.0.1:0", proto)
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: ", what)
		}
		<-tick.C
	}
}
