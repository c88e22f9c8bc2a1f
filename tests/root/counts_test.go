package root

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestBuiltinCounts: status counts the clients of a built-in, whom its worker alone
// sees, at every log level, and over several workers.
func TestBuiltinCounts(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+fmt.Sprintf(`
acl "not-two" {
  deny { from = ["127.0.0.2"] }
  allow { from = ["127.0.0.0/8"] }
}

limit "three" {
  concurrent = 100
  rate       = "1000/s"
  burst      = 1000
  per_source {
    concurrent = 3
    rate       = "1000/s"
    burst      = 1000
  }
}

service "echo" {
  listen  = ["tcp4://:%[1]s", "udp4://:%[1]s"]
  builtin = "echo"
  acl     = acl.not-two
  limit   = limit.three
  log     = "sessions"
  linger  = "1s"
}
`, port))
	admitted, acl, source, loopback := 0, 0, 0, 0
	for turn := range 2 {
		var held []net.Conn
		for i := range 3 {
			c, err := net.Dial("tcp4", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			goesBack(t, fmt.Sprintf("client %d", i), c, "hello")
			held = append(held, c)
			admitted++
		}
		refusedBy := func(from string, count *int) {
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp4", "127.0.0.1:"+port)
			*count++
			if errors.Is(err, syscall.ECONNRESET) { // refused before the handshake was seen to end
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if n, err := c.Read(make([]byte, 1)); err == nil {
				t.Fatalf("%s was served %d bytes", from, n)
			}
		}
		refusedBy("127.0.0.1", &source)
		for range 2 {
			refusedBy("127.0.0.2", &acl)
		}
		u, err := net.Dial("udp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		if _, err := u.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		loopback++
		counts := func(live int) error {
			s, err := b.Service("echo")
			if err != nil {
				return err
			}
			got := fmt.Sprint(s.Live, s.Peak, s.Admitted, s.Refused, s.RefusedBy)
			want := fmt.Sprint(live, 3, admitted, acl+source+loopback, map[string]int{"acl": acl, "loopback-source": loopback, "source-concurrency": source})
			if got != want {
				return fmt.Errorf("status counts %s, want %s", got, want)
			}
			return nil
		}
		if err := rig.Until(10*time.Second, func() error { return counts(3) }); err != nil {
			t.Fatalf("turn %d: %v", turn, err)
		}
		for _, c := range held {
			c.Close()
		}
		if err := rig.Until(10*time.Second, func() error { return counts(0) }); err != nil {
			t.Fatalf("turn %d, after they have gone: %v", turn, err)
		}
		if err := rig.Until(10*time.Second, func() error { // the next turn meets another worker
			st, err := b.Status()
			if err == nil && len(st.Sessions) > 0 {
				err = fmt.Errorf("the worker still runs")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}
