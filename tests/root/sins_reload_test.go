package root

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// TestHangupsBesideAWaitingProgram (a SIGHUP while a wait program lived made an inetd bind its
// socket anew, fail, and leave the service out for ten minutes): through a hundred of them a
// program that holds its listening socket serves every client, and none is refused.
func TestHangupsBesideAWaitingProgram(t *testing.T) {
	rig.Root(t)
	program, port := rig.Compile(t, "testdata/manners.c"), rig.Port(t)
	b := rig.Serve(t, head+service("long", "tcp4://127.0.0.1:"+port, []string{program, "accept", "1000000"},
		"wait = true", "profile = profile.line", "acl = acl.anyone", "limit = limit.wait"))
	ask := func() error {
		got, err := order("127.0.0.1", port, "please")
		if err == nil && !strings.HasPrefix(got, "served please\n") {
			err = fmt.Errorf("port %s answered %q", port, got)
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	first := session(t, b, "long")
	var answers atomic.Int64
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for {
				if err := ask(); err != nil {
					t.Errorf("beside the hangups: %v", err)
					return
				}
				answers.Add(1)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 100 {
		if err := b.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // or they are one
	}
	answer, err := b.Request(control.Request{Verb: control.VerbReload})
	close(done)
	clients.Wait()
	if err != nil || !answer.OK {
		t.Fatalf("reload: %+v, %v", answer, err)
	}
	t.Logf("%d answers", answers.Load())
	if now := session(t, b, "long"); now.PID != first.PID {
		t.Errorf("the program that holds its socket was %d, and is %d", first.PID, now.PID)
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
}

// TestManyReloads (openbsd-inetd, Debian #1050208: a double free, and a leak with each reload):
// a policy that changes back and forth, with a service that comes and goes, leaves the
// broker what it had, and the session that is there alone.
func TestManyReloads(t *testing.T) {
	rig.Root(t)
	const warm, many = 20, 80
	program, stays, comes := rig.Compile(t, "testdata/rogue.c"), rig.Port(t), rig.Port(t)
	text := func(i int) string {
		s := head + service("stays", "tcp://127.0.0.1:"+stays, []string{program, "hold"}, "profile = profile.line", fmt.Sprintf("banner = \"%d\"", i))
		if i%2 == 0 {
			s += service("comes", "tcp://127.0.0.1:"+comes, []string{program, "once"}, "profile = profile.server")
		}
		return s
	}
	b := rig.Serve(t, text(0))
	c, err := net.Dial("tcp4", "127.0.0.1:"+stays)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	held := session(t, b, "stays").PID
	cycle := func(n int) {
		t.Helper()
		for i := range n {
			reloads(t, b, text(n-1-i))
		}
	}
	cycle(warm)
	var before, after holdings
	look := func(h *holdings, most holdings) {
		t.Helper()
		if err := rig.Until(30*time.Second, func() (err error) {
			if *h, err = holds(b); err != nil {
				return err
			}
			if h.Zombies > 0 || h.sessions != 1 || h.Children <= h.zygotes+1 { // without a log worker yet
				return fmt.Errorf("holds %+v", *h)
			}
			if most.FDs > 0 && (h.FDs > most.FDs || h.Children > most.Children || h.Mounts > most.Mounts || h.Cgroups > most.Cgroups) {
				return fmt.Errorf("holds %+v, before %+v", *h, most)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	exchange(t, comes, "", "once\n")
	look(&before, holdings{})
	began := time.Now()
	cycle(many)
	t.Logf("%d reloads in %s", many, time.Since(began))
	exchange(t, comes, "", "once\n")
	look(&after, before)
	if after.RSS > before.RSS+(8<<20) || after.Threads > before.Threads+crowdThreads {
		t.Errorf("holds %+v, before %+v", after, before)
	}
	if s := session(t, b, "stays"); s.PID != held {
		t.Errorf("the session was %d, and is %d", held, s.PID)
	}
}
