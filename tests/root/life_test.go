package root

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestKilledBroker: nothing survives a broker that is killed, and the next one
// starts clean on the same ports.
func TestKilledBroker(t *testing.T) {
	b, ports := rogues(t, "", "hold", "deaf")
	var clients []net.Conn
	for range 25 {
		for _, way := range []string{"hold", "deaf"} {
			c, err := rig.Dial(ports[way])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			clients = append(clients, c)
		}
	}
	for _, c := range clients {
		if _, err := c.Read(make([]byte, 16)); err != nil { // the program runs
			t.Fatal(err)
		}
	}
	var all []int
	for _, pid := range family(t, b.PID)[1:] {
		all = append(all, pid)
	}
	if len(all) < 50 {
		t.Fatalf("%d processes below the broker, want 50 sessions and more", len(all))
	}
	if err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := gone(30*time.Second, all...); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(b.Policy, "test.cm.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	again := rig.Serve(t, string(text))
	c, err := rig.Dial(ports["hold"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	session(t, again, "hold")
}

// TestStop: TERM ends the sessions and takes the socket files away.
func TestStop(t *testing.T) {
	rig.Root(t)
	program, dir := rig.Compile(t, "testdata/rogue.c"), rig.PublicDir(t)
	sock := filepath.Join(dir, "hold.sock")
	b := rig.Serve(t, head+service("hold", "unix:"+sock, []string{program, "hold"}, "profile = profile.line", "acl = acl.anyone"))
	c, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pid := session(t, b, "hold").PID
	if err := b.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state, err := b.Ended(30 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if state.ExitCode() != 0 {
		t.Errorf("casemated ended with %s", state)
	}
	if err := gone(30*time.Second, pid); err != nil {
		t.Error(err)
	}
	for _, path := range []string{sock, b.Control} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
}

// TestSecondInstance: a broker does not take over another's control socket.
func TestSecondInstance(t *testing.T) {
	b, ports := rogues(t, "", "once")
	second, err := rig.Launch(rig.Options{Bin: rig.Root(t), Files: map[string]string{"test.cm.hcl": head}, Args: []string{"--control", b.Control}})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()
	state, err := second.Ended(30 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if state.ExitCode() != 1 || !strings.Contains(second.Stderr(), b.Control) {
		t.Errorf("the second instance ended with %s and said %q", state, second.Stderr())
	}
	exchange(t, ports["once"], "", "once\n")
	if _, err := b.Status(); err != nil {
		t.Errorf("the first instance does not answer any more: %v", err)
	}
}

// TestFloodThenOne: ten times more than a limit allows is shed, and then the
// next connection is served.
func TestFloodThenOne(t *testing.T) {
	rig.Root(t)
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	b := rig.Serve(t, head+`
limit "small" {
  concurrent = 4
  rate       = "20/s"
  burst      = 20
}
`+service("once", "tcp://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.line", "limit = limit.small"))
	before := counters(t, b)
	var wg sync.WaitGroup
	var served, shed atomic.Int64
	for range 16 {
		wg.Go(func() {
			for range 25 {
				if got, err := rig.Exchange(port, ""); err == nil && got == "once\n" {
					served.Add(1)
				} else {
					shed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d served, %d shed", served.Load(), shed.Load())
	if served.Load() == 0 || shed.Load() == 0 {
		t.Error("want some served and some shed")
	}
	if err := rig.Until(30*time.Second, func() error {
		got, err := rig.Exchange(port, "")
		if err == nil && got != "once\n" {
			err = fmt.Errorf("answer %q", got)
		}
		return err
	}); err != nil {
		t.Errorf("after the flood: %v", err)
	}
	quiet(t, b, before)
	s, err := b.Service("once")
	if err != nil {
		t.Fatal(err)
	}
	if s.Refused < uint64(shed.Load()) {
		t.Errorf("status counts %d refused, the clients %d", s.Refused, shed.Load())
	}
	refusals, err := b.Find("msg", "decision", "verdict", "deny")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d refusals recorded", len(refusals))
}

// TestOutOfFiles: a broker with fewer descriptors than programs to watch still
// serves, answers, and gives everything back.
func TestOutOfFiles(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	hold, once := rig.Port(t), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{NoFile: 128, Files: map[string]string{"test.cm.hcl": head +
		service("hold", "tcp://127.0.0.1:"+hold, []string{program, "hold"}, "profile = profile.line") +
		service("once", "tcp://127.0.0.1:"+once, []string{program, "once"}, "profile = profile.line")}})
	before := counters(t, b)
	var held []net.Conn
	for range 300 {
		c, err := net.DialTimeout("tcp4", "127.0.0.1:"+hold, time.Second)
		if err != nil {
			break // the backlog is full, too: as starved as it gets
		}
		held = append(held, c)
	}
	if err := rig.Until(30*time.Second, func() error {
		now, err := holds(b) // by the control socket, which must answer
		if err == nil && now.sessions <= 128 {
			err = fmt.Errorf("%d programs run, no more than there are descriptors", now.sessions)
		}
		return err
	}); err != nil {
		t.Errorf("with %d clients: %v", len(held), err)
	}
	exchange(t, once, "", "once\n") // the neighbour is served all the while
	for _, c := range held {
		c.Close()
	}
	if err := rig.Until(30*time.Second, func() error {
		got, err := rig.Exchange(once, "")
		if err == nil && got != "once\n" {
			err = fmt.Errorf("answer %q", got)
		}
		return err
	}); err != nil {
		t.Errorf("with %d clients held, then gone: %v", len(held), err)
	}
	quiet(t, b, before)
}

// TestTenThousandConnections: nothing grows with the number of connections served.
func TestTenThousandConnections(t *testing.T) {
	b, ports := rogues(t, "", "once")
	serve := func(n int) {
		var wg sync.WaitGroup
		var left, failed atomic.Int64
		left.Store(int64(n))
		for range 8 {
			wg.Go(func() {
				for left.Add(-1) >= 0 {
					if got, err := rig.Exchange(ports["once"], ""); err != nil || got != "once\n" {
						failed.Add(1)
						t.Logf("answer %q (%v)", got, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if failed.Load() > 0 {
			t.Fatalf("%d clients were let down", failed.Load())
		}
	}
	serve(1000) // buffers grown, zygote started
	before := counters(t, b)
	began := time.Now()
	serve(10_000)
	t.Logf("10000 connections in %s", time.Since(began))
	quiet(t, b, before)
	after := counters(t, b)
	t.Logf("before %+v, after %+v", before, after)
	if after.Threads > before.Threads+2 {
		t.Errorf("%d threads, before %d", after.Threads, before.Threads)
	}
	if after.RSS > before.RSS+(4<<20) {
		t.Errorf("%d KiB resident, before %d", after.RSS>>10, before.RSS>>10)
	}
	got, err := b.Find("msg", "session", "service", "once", "reason", "exit")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 11_000 {
		t.Errorf("%d session records for 11000 sessions", len(got))
	}
}
