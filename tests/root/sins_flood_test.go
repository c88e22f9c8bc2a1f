package root

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// crowdOf has eight clients do what one does, n times in all, and fails with the first error.
func crowdOf(t *testing.T, n int, do func() error) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	errs := make(chan error, 8)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
}

// growth is how much more memory is none: Go's heap breathes. A leak of ten thousand
// of anything that holds a connection is three times that and more.
const growth = 6 << 20

// weigh is the memory and the number of descriptors of a process.
func weigh(t *testing.T, pid int) (bytes int64, fds int) {
	t.Helper()
	m, err := rig.MemoryOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return m.RSS, len(entries)
}

// TestCVE2001_0309_BuiltinConnections: built-ins kept the sockets of their clients. Ten thousand
// leave neither the broker nor the worker with more than they had.
func TestCVE2001_0309_BuiltinConnections(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+fmt.Sprintf("service \"echo\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"echo\"\n  acl = acl.loopback\n  limit = limit.wide\n  linger = \"60s\"\n}\n", port))
	exchange(t, port, "hello", "hello")
	worker := session(t, b, "echo").PID
	one := func() error {
		got, err := rig.Exchange(port, "x")
		if err == nil && got != "x" {
			err = fmt.Errorf("answer %q", got)
		}
		return err
	}
	crowdOf(t, 1000, one)
	before, err := holds(b)
	if err != nil {
		t.Fatal(err)
	}
	rss, fds := weigh(t, worker)
	began := time.Now()
	crowdOf(t, 10_000, one)
	t.Logf("10000 connections in %s", time.Since(began))
	if err := rig.Until(30*time.Second, func() error {
		now, err := holds(b)
		if err != nil {
			return err
		}
		if m, n := weigh(t, worker); n > fds+4 || m > rss+growth || now.FDs > before.FDs+4 || now.Threads > before.Threads+crowdThreads || now.RSS > before.RSS+growth {
			err = fmt.Errorf("the worker has %d descriptors and %d KiB, before %d and %d; the broker %+v, before %+v", n, m>>10, fds, rss>>10, now, before)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if s := session(t, b, "echo"); s.PID != worker {
		t.Errorf("the worker was %d, and is %d: nothing was measured", worker, s.PID)
	}
}

// shedOnce connects and expects to be refused.
func shedOnce(source, port string) error {
	got, err := order(source, port, "x")
	if err == nil || got != "" {
		return fmt.Errorf("%s was answered %q (%v), want a refusal", source, got, err)
	}
	if errors.As(err, new(*net.OpError)) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		return err
	}
	return nil
}

// TestCVE2003_0211_RefusedConnections: xinetd kept memory for each connection that it refused.
// Five thousand refused by a rule and five thousand by a rate leave the broker what it had, are
// counted, and the next client is served.
func TestCVE2003_0211_RefusedConnections(t *testing.T) {
	rig.Root(t)
	program, shut, used, open := rig.Compile(t, "testdata/manners.c"), rig.Port(t), rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"acl \"elsewhere\" {\n  allow { from = [\"192.0.2.0/24\"] }\n}\nlimit \"one\" {\n  rate = \"1/h\"\n  burst = 1\n}\n"+
		service("shut", "tcp://127.0.0.1:"+shut, []string{program, "serve"}, "acl = acl.elsewhere", "profile = profile.line", `refuse = "reset"`)+
		service("used", "tcp://127.0.0.1:"+used, []string{program, "serve"}, "limit = limit.one", "profile = profile.line")+
		service("open", "tcp://127.0.0.1:"+open, []string{program, "serve"}, "profile = profile.line"))
	served(t, "127.0.0.2", used)
	served(t, "127.0.0.2", open)
	var turn atomic.Int64
	shed := func() error { return shedOnce("127.0.0.1", []string{shut, used}[turn.Add(1)%2]) }
	crowdOf(t, 1000, shed) // buffers grown
	before := counters(t, b)
	began := time.Now()
	crowdOf(t, 10_000, shed)
	t.Logf("10000 refusals in %s", time.Since(began))
	quiet(t, b, before)
	if after := counters(t, b); after.Threads > before.Threads+crowdThreads || after.RSS > before.RSS+growth {
		t.Errorf("the broker holds %+v, before %+v", after, before)
	}
	served(t, "127.0.0.2", open)
	for name, reason := range map[string]string{"shut": "acl", "used": "rate"} {
		if n := refusedBy(t, b, name, reason); n != 5500 {
			t.Errorf("%s: %d were refused by %s, want 5500", name, n, reason)
		}
	}
}

// TestResetBeforeAccept (NetBSD 1998; and its rate limiter, which ended the daemon when
// getpeername failed): clients that reset what nobody has accepted yet, at a service without limits
// and at one that counts by source, neither hang the broker nor end it. The neighbour is
// served all the while.
func TestResetBeforeAccept(t *testing.T) {
	rig.Root(t)
	program, plain, counted, once := rig.Compile(t, "testdata/rogue.c"), rig.Port(t), rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"limit \"few\" {\n  per_source {\n    rate = \"20/s\"\n    burst = 20\n    concurrent = 5\n  }\n}\n"+
		service("plain", "tcp://127.0.0.1:"+plain, []string{program, "count"}, "profile = profile.line")+
		service("counted", "tcp://127.0.0.1:"+counted, []string{program, "count"}, "profile = profile.line", "limit = limit.few", `refuse = "reset"`)+
		service("once", "tcp://127.0.0.1:"+once, []string{program, "once"}, "profile = profile.line"))
	exchange(t, once, "", "once\n")
	before := counters(t, b)
	done := make(chan struct{})
	var neighbour sync.WaitGroup
	answers := 0
	neighbour.Go(func() {
		for {
			if got, err := rig.Exchange(once, ""); err != nil || got != "once\n" {
				t.Errorf("beside the resets the neighbour got %q (%v)", got, err)
				return
			}
			answers++
			select {
			case <-done:
				return
			default:
			}
		}
	})
	var turn atomic.Int64
	crowdOf(t, 3000, func() error {
		port := plain
		if turn.Add(1)%10 != 0 { // each that is admitted starts a program
			port = counted
		}
		c, err := dialFrom("127.0.0.3", port)
		if errors.Is(err, unix.ECONNRESET) { // refused before connect(2) was back
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.SetLinger(0); err != nil {
			return err
		}
		return c.Close()
	})
	close(done)
	neighbour.Wait()
	t.Logf("%d answers beside the resets", answers)
	quiet(t, b, before)
	exchange(t, plain, "12345", "5 bytes\n")
	exchange(t, counted, "12345", "5 bytes\n")
}

// TestRefusalsKeepNoPlace (NetBSD accept_max: a refused connection kept its place): after as many
// refusals as you like there are as many places as before.
func TestRefusalsKeepNoPlace(t *testing.T) {
	const places = 4
	b, port := obedient(t, fmt.Sprintf("limit \"it\" {\n  concurrent = %d\n  session = \"60s\"\n}\n", places))
	live := func(n int) {
		t.Helper()
		if err := rig.Until(30*time.Second, func() error {
			s, err := b.Service("it")
			if err == nil && s.Live != n {
				err = fmt.Errorf("%d live, want %d", s.Live, n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		var held []*net.TCPConn
		for range places {
			c, err := dialFrom("127.0.0.1", port)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			held = append(held, c)
		}
		live(places)
		crowdOf(t, 200, func() error { return shedOnce("127.0.0.1", port) })
		for i, c := range held {
			if _, err := c.Write([]byte("please\n")); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); err != nil || string(got) != "served please\n" {
				t.Errorf("round %d, client %d: %q (%v)", round, i, got, err)
			}
		}
		live(0)
	}
}

// TestSlowReadersOfBanners (xinetd wrote banners in its loop, and waited): refused clients that
// read nothing, and some that send all the while, keep no other waiting, and are let go.
func TestSlowReadersOfBanners(t *testing.T) {
	rig.Root(t)
	program, shut, once := rig.Compile(t, "testdata/rogue.c"), rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+"acl \"elsewhere\" {\n  allow { from = [\"192.0.2.0/24\"] }\n}\n"+
		service("shut", "tcp://127.0.0.1:"+shut, []string{program, "once"}, "acl = acl.elsewhere", "profile = profile.line", `banner = "421 come back another day"`)+
		service("once", "tcp://127.0.0.1:"+once, []string{program, "once"}, "profile = profile.line"))
	exchange(t, once, "", "once\n")
	before := counters(t, b)
	const crowd = 100
	var noise sync.WaitGroup
	for i := range crowd {
		c, err := rig.Dial(shut)
		if errors.Is(err, unix.ECONNRESET) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%10 == 0 {
			noise.Go(func() { // until it is cut off
				for buf := make([]byte, 4096); ; {
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			})
		}
		exchange(t, once, "", "once\n")
	}
	noise.Wait()
	quiet(t, b, before) // though they are still there
	if n := refusedBy(t, b, "shut", "acl"); n != crowd {
		t.Errorf("%d were refused, want %d", n, crowd)
	}
}
