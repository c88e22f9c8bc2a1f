package root

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

const exemptHCL = `
limit "public" {
  concurrent = 200
  rate       = "1000/s"
  burst      = 1000
  exempt     = ["127.0.0.6"]
  per_source {
    rate        = "1/min"
    burst       = 3
    ipv4_prefix = 29
  }
}

service "hello" {
  listen  = ["tcp://127.0.0.1:%s"]
  command = ["/bin/echo", "served"]
  acl     = acl.localhost
  limit   = limit.public
  user    = "dynamic"
  profile = profile.line
  refuse  = "silent"
}

service "answers" {
  listen  = ["udp://127.0.0.1:%s"]
  builtin = "echo"
  acl     = acl.localhost
  limit   = limit.answers
}

limit "answers" {
  responses = "1/min"
  exempt    = ["127.0.0.6"]
}
`

// TestExempt: while a network is flooded from and shut out, by the kernel too, the one of it that is exempt is served every time, and
// so are those outside.
func TestExempt(t *testing.T) {
	rig.Root(t)
	hello, answers := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+fmt.Sprintf(exemptHCL, hello, answers))
	var stop atomic.Bool
	var flood sync.WaitGroup
	for n := range 3 { // 127.0.0.1 to 127.0.0.3 are one source, as is 127.0.0.6
		flood.Go(func() {
			d := net.Dialer{Timeout: 20 * time.Millisecond, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n))}}
			for i := 0; i < 5000 && !stop.Load(); i++ {
				if c, err := d.Dial("tcp4", "127.0.0.1:"+hello); err == nil {
					c.Close()
				}
			}
		})
	}
	defer flood.Wait()
	defer stop.Store(true)
	if err := rig.Until(20*time.Second, func() error {
		if got := answer(t, "127.0.0.4", hello); got != "silence" {
			return fmt.Errorf("the network that the flood comes from gets %q", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if got := answer(t, "127.0.0.6", hello); got != "served\n" {
			t.Fatalf("visit %d of who is exempt: %q", i, got)
		}
	}
	if got := answer(t, "127.0.0.20", hello); got != "served\n" {
		t.Errorf("who is of another network gets %q", got)
	}
	if err := rig.Until(10*time.Second, func() error { // what the kernel drops is counted every second
		s, err := b.Service("hello")
		if err == nil && (s.RefusedBy["source-rate"] == 0 || s.RefusedBy["kernel"] == 0) {
			err = fmt.Errorf("refused by %v", s.RefusedBy)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	for from, most := range map[string]int{"127.0.0.6": 40, "127.0.0.9": 2} {
		if got := datagramsAnswered(t, from, answers, 40); got != most {
			t.Errorf("%s: %d of 40 datagrams are answered, want %d", from, got, most)
		}
	}
}

// datagramsAnswered is how many of n datagrams are answered, which are sent one after the other.
func datagramsAnswered(t *testing.T, from, port string, n int) (got int) {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wait := 10 * time.Second // for the worker to start
	for range n {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(wait))
		if _, err := c.Read(make([]byte, 8)); err == nil {
			got++
		}
		if wait = 2 * time.Second; got < n && got == 2 {
			wait = 100 * time.Millisecond
		}
	}
	return got
}
