package broker

import (
	"io"
	"net"
	"testing"
	"time"

	"casemate/tests/need"
)

// gone waits until the kernel has nothing of a connection's server end any more, and tells how long that took.
func gone(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, func() bool {
		there, _ := need.ServerEnd(t, c)
		return !there
	})
	return time.Since(began)
}

// TestFirstByte: a client that says nothing is ended in time, counted and shut out; one that has said something stays.
func TestFirstByte(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("cat", "tcp", port, "/bin/cat")
	s.Limit = "prompt"
	g.load(s)
	speaks, silent := dial(t, port), dial(t, port)
	echoes(t, speaks)
	g.expect(`"session"`, `"reason":"silent"`, `"limits":[{"of":"limit.prompt","limit":"first_byte","value":2000000000,"count":1}]`, `"bytes_in":0,"bytes_out":0`)
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the silent one read %d bytes, %v", n, err)
	}
	if !refusedAt(t, port) {
		t.Error("admitted in spite of its penalty")
	}
	g.expect(`"reason":"penalty"`)
	echoes(t, speaks)
	if by := g.status1("cat").EndedBy; by["silent"] != 1 || len(by) != 1 {
		t.Errorf("ended by %v", by)
	}
}

// TestOutstayedLeavesNothing: what a program wrote to a client who never reads is gone from the kernel soon after
// the session's time is over.
func TestOutstayedLeavesNothing(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("yes", "tcp", port, "/usr/bin/yes")
	s.Limit = "brief"
	g.load(s)
	c := dial(t, port)
	eventually(t, func() bool {
		_, queued := need.ServerEnd(t, c)
		return queued > 1<<16
	})
	g.expect(`"session"`, `"reason":"timeout"`)
	if took := gone(t, c); took > 4*farewellTime {
		t.Errorf("its socket was there for %v", took)
	}
	g.parted()
}

// TestTimeoutDeliversLastWords: a client that reads is sent what there is, and an end in order, after its session's time too.
func TestTimeoutDeliversLastWords(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("late", "tcp", port, "/bin/sh", "-c", `trap 'head -c 300000 /dev/zero; exit' TERM; read x; while :; do sleep 0.1; done`)
	s.Limit = "brief"
	g.load(s)
	c := dial(t, port)
	if _, err := c.Write([]byte("x\n")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	total, buf := 0, make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		total += n
		if err != nil {
			if err.Error() != "EOF" || total != 300000 {
				t.Errorf("%d bytes, %v", total, err)
			}
			break
		}
	}
	g.expect(`"session"`, `"reason":"timeout"`, `"bytes_out":300000`)
}

// TestUnwatched: a service whose limit says nothing of slow clients has no timer for them.
func TestUnwatched(t *testing.T) {
	for _, limit := range []string{"none", "prompt"} {
		g, port := newRig(t), freePort(t)
		s := svc("cat", "tcp", port, "/bin/cat")
		s.Limit = limit
		g.load(s)
		echoes(t, dial(t, port))
		g.running(1, func(s *session) {
			if watched := s.pace != nil && s.client.Armed(); watched != (limit == "prompt") || s.client.Armed() != watched {
				t.Errorf("limit %s: watched %v, timer armed %v", limit, watched, s.client.Armed())
			}
		})
	}
}
