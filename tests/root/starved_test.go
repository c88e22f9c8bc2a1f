package root

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// descriptors are the numbers that the broker has in use.
func descriptors(t *testing.T, b *rig.Broker) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.PID))
	if err != nil {
		t.Fatal(err)
	}
	used := map[int]bool{}
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			used[n] = true
		}
	}
	return used
}

// starve lowers the broker's descriptor limit until just spare numbers are left,
// once those of earlier requests are back, and returns a check that none is.
func starve(t *testing.T, b *rig.Broker, spare int) (full func() error) {
	t.Helper()
	var used map[int]bool
	if err := rig.Until(10*time.Second, func() error {
		used = descriptors(t, b)
		time.Sleep(100 * time.Millisecond)
		if now := descriptors(t, b); !maps.Equal(now, used) {
			return fmt.Errorf("%d descriptors, then %d", len(used), len(now))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	limit := 0
	for left := spare; left > 0 || used[limit]; limit++ {
		if !used[limit] {
			left--
		}
	}
	var old unix.Rlimit
	if err := unix.Prlimit(b.PID, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(b.PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return func() error {
		now := descriptors(t, b)
		for n := range limit {
			if !now[n] {
				return fmt.Errorf("descriptor %d is free", n)
			}
		}
		return nil
	}
}

// TestAcceptFails: with its descriptor table full the broker cannot accept, on
// any listener. It rests instead of spinning, and serves again by itself as
// soon as what filled the table is gone.
func TestAcceptFails(t *testing.T) {
	b, ports := rogues(t, "", "once")
	exchange(t, ports["once"], "", "once\n")
	before := counters(t, b)
	const spare, silent = 4, 6
	full := starve(t, b, spare)
	began := time.Now()
	var held []net.Conn
	for range silent { // they hold a descriptor each until their time is up, and two wait in the backlog
		c, err := net.Dial("unix", b.Control)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	if err := rig.Until(2*time.Second, full); err != nil {
		t.Fatal(err)
	}
	client, err := rig.Dial(ports["once"])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	used, err := rig.CPU(b.PID)
	if err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadDeadline(time.Now().Add(2 * time.Second))
	buf := make([]byte, 16)
	if n, err := client.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with no descriptor left a client got %q (%v): the table was not full", buf[:n], err)
	}
	after, err := rig.CPU(b.PID)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s of processor time in 2 s without a descriptor", after-used)
	if d := after - used; d > 300*time.Millisecond {
		t.Errorf("waiting for descriptors took %s of processor time in 2 s", d)
	}
	_ = client.SetReadDeadline(time.Now().Add(15 * time.Second))
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "once\n" {
		t.Errorf("then it got %q (%v)", buf[:n], err)
	}
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %s to recover, the control connections' time is 5 s", d)
	}
	for _, c := range held {
		c.Close()
	}
	exchange(t, ports["once"], "", "once\n")
	quiet(t, b, before)
	if got, err := b.Find("level", "WARN", "msg", "out of resources, resting all listeners"); err != nil || len(got) == 0 || len(got) > 3 {
		t.Errorf("%d warnings about it (%v), want a few", len(got), err)
	}
}

// TestNoTasksLeft: with not one task left to the services and the broker together,
// clients are refused and loads fail, the broker goes on, and serves when there is room again.
func TestNoTasksLeft(t *testing.T) {
	rig.Root(t)
	under, group := rig.PidsGroup(t)
	if group == "" {
		need.Kernel(t, "no control group counts tasks")
	}
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Under: under, Files: map[string]string{
		"test.cm.hcl": head + service("once", "tcp://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.line")}})
	exchange(t, port, "", "once\n")
	counters(t, b)
	rig.SetPids(t, group, 0)
	var wg sync.WaitGroup
	var refused atomic.Int64 // whoever comes as a task ends is served
	for range 8 {
		wg.Go(func() {
			for range 25 {
				if _, err := rig.Exchange(port, ""); err != nil {
					refused.Add(1)
				}
				_, _ = b.Status()
			}
			_ = b.Signal(unix.SIGHUP)
		})
	}
	wg.Wait()
	rig.SetPids(t, group, -1)
	if refused.Load() < 20 {
		t.Errorf("%d of 200 clients were refused: there were tasks left", refused.Load())
	}
	if s, err := b.Status(); err != nil || s.PID != b.PID {
		t.Fatalf("the broker: %+v (%v)", s, err)
	}
	if err := rig.Until(15*time.Second, func() error { _, err := rig.Exchange(port, ""); return err }); err != nil {
		t.Error(err)
	}
}
