package root

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestBuiltinLimitsSurvive: neither the end of an idle worker of a built-in, nor its death, nor a reload that replaces it rids a
// source of what it owes its rate, or of a penalty. The service goes on for others.
func TestBuiltinLimitsSurvive(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+fmt.Sprintf(`
limit "it" {
  session = "1s"
  per_source {
    rate  = "2/h"
    burst = 2
  }
  penalty {
    on    = ["timeout"]
    first = "30m"
    max   = "1h"
  }
}
service "echo" {
  listen  = ["tcp4://127.0.0.1:%s"]
  builtin = "echo"
  acl     = acl.loopback
  limit   = limit.it
  linger  = "2s"
}
`, port))
	ask := func(from string) bool {
		t.Helper()
		c, err := dialFrom(from, port)
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err := c.Write([]byte("hello")); err != nil {
			return false
		}
		text := make([]byte, 5)
		n, _ := c.Read(text)
		return string(text[:n]) == "hello"
	}
	worker := func() int {
		t.Helper()
		s, err := b.Status()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range s.Sessions {
			if s.Service == "echo" {
				return s.PID
			}
		}
		return 0
	}
	gone := func(pid int) {
		t.Helper()
		if err := rig.Until(30*time.Second, func() error {
			if now := worker(); now == pid {
				return fmt.Errorf("worker %d still runs", pid)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	others := 0
	stands := func(after string) {
		t.Helper()
		for from, what := range map[string]string{"127.0.0.11": "its rate", "127.0.0.12": "its penalty"} {
			if ask(from) {
				t.Errorf("after %s %s is served in spite of %s", after, from, what)
			}
		}
		others++
		if other := fmt.Sprintf("127.0.1.%d", others); !ask(other) {
			t.Errorf("after %s %s is not served", after, other)
		}
	}
	for range 2 {
		if !ask("127.0.0.11") {
			t.Fatal("not served at first")
		}
	}
	late, err := dialFrom("127.0.0.12", port)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", "echo", "reason", "timeout"); err != nil {
		t.Fatal(err)
	}
	stands("nothing")

	gone(worker()) // idle
	stands("its worker's idle end")

	pid := worker()
	if pid == 0 {
		t.Fatal("no worker")
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone(pid)
	stands("its worker's death")

	pid = worker()
	text := readPolicy(t, b)
	if err := b.WritePolicy("test.cm.hcl", strings.Replace(text, `session = "1s"`, `session = "3s"`, 1)); err != nil {
		t.Fatal(err)
	}
	reload(t, b, "")
	gone(pid)
	stands("a reload")
	if now := worker(); now == pid || now == 0 {
		t.Errorf("the worker %d was not replaced: %d", pid, now)
	}
	for _, reason := range []string{"source-rate", "penalty"} { // once each time, but what the dead one had counted in its last second
		if err := rig.Until(30*time.Second, func() error {
			if n := refusedBy(t, b, "echo", reason); n < 3 || n > 4 {
				return fmt.Errorf("%d are refused by %s, want 3 or 4", n, reason)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}
