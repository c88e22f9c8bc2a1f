package broker

import (
	"net"
	"testing"
	"time"

	"casemate/listener/inbound"

	"golang.org/x/sys/unix"
)

// TestHangup: a session ends with its client although its program neither reads nor
// writes.
func TestHangup(t *testing.T) {
	for _, network := range []string{"close", "reset"} {
		g, port := newRig(t), freePort(t)
		s := svc("idler", "tcp", port, "/bin/sleep", "1000")
		s.Hangup = true
		g.load(s)
		c := dial(t, port)
		eventually(t, func() bool { return g.status1("idler").Live == 1 })
		if network == "reset" {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
		g.expect(`"session"`, `"reason":"hangup"`)
	}
}

// TestIdle: a session without a byte either way ends, one that goes on talking does not.
func TestIdle(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.Idle = 2 * time.Second // as long as a crowded machine may take for an echo
	g.load(s)
	c := dial(t, port)
	for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(200 * time.Millisecond) {
		echoes(t, c)
	}
	began := time.Now()
	g.expect(`"session"`, `"reason":"idle"`, `"bytes_in"`)
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("ended %v after its last byte", took)
	}
}

// TestKeepSocket: with keep_socket = false the broker holds no copy.
func TestKeepSocket(t *testing.T) {
	for _, keep := range []bool{true, false} {
		g, port := newRig(t), freePort(t)
		s := svc("cat", "tcp", port, "/bin/cat")
		s.KeepSocket = keep
		g.load(s)
		echoes(t, dial(t, port))
		g.running(1, func(s *session) {
			if (s.conn >= 0) != keep {
				t.Errorf("keep_socket = %v, descriptor %d", keep, s.conn)
			}
		})
	}
}

// TestKeepalive: accepted connections have what the policy says, and lose it with it.
func TestKeepalive(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	for _, keepalive := range []time.Duration{2 * time.Minute, 0} {
		s.Socket.Keepalive = keepalive
		g.load(s)
		c := dial(t, port)
		echoes(t, c)
		g.running(1, func(s *session) {
			on, err := unix.GetsockoptInt(s.conn, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
			idle, _ := unix.GetsockoptInt(s.conn, unix.SOL_TCP, unix.TCP_KEEPIDLE)
			if _, ok := inbound.Overhear(s.conn); !ok || err != nil || (on == 1) != (keepalive > 0) || on == 1 && idle != 120 {
				t.Errorf("keepalive %v: %d, %d s, %v", keepalive, on, idle, err)
			}
		})
		c.Close()
		g.expect(`"session"`)
	}
}
