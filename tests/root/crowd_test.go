package root

import (
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// crowd is how many connections live at once, and crowdBytes is the most that
// each may cost the broker in memory. Threads cost nothing by the connection: Go's
// runtime makes one more where one is in the kernel for long, on a busy machine.
const (
	crowd        = 2000
	crowdBytes   = 4 << 10
	crowdThreads = 8
)

// gather opens n connections to an echoing service and waits until each has
// its own words back.
func gather(t *testing.T, port string, n int) []*net.TCPConn {
	t.Helper()
	conns := make([]*net.TCPConn, n)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				if conns[i], errs[i] = rig.Dial(port); errs[i] != nil {
					continue
				}
				text := fmt.Sprintf("client %d\n", i)
				_, _ = conns[i].Write([]byte(text))
				buf := make([]byte, len(text))
				if _, err := io.ReadFull(conns[i], buf); err != nil || string(buf) != text {
					errs[i] = fmt.Errorf("got %q (%v)", buf, err)
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		t.Cleanup(func() { conns[i].Close() })
	}
	return conns
}

// TestCrowd: thousands of connections cost the broker no thread and a few KiB
// each, end with their clients, and do not survive the broker.
func TestCrowd(t *testing.T) {
	rig.Root(t)
	cat, port := need.Programs(t, "cat")[0], rig.Port(t)
	b := rig.Serve(t, head+service("cat", "tcp4://127.0.0.1:"+port, []string{cat}, "profile = profile.line"))
	gather(t, port, 200) // buffers grown
	before := counters(t, b)
	began := time.Now()
	conns := gather(t, port, crowd)
	t.Logf("%d connections in %s", crowd, time.Since(began))
	now := counters(t, b)
	each := (now.RSS - before.RSS) / crowd
	t.Logf("before %+v\nnow %+v\n%d bytes for each connection", before, now, each)
	if each > crowdBytes {
		t.Errorf("the broker holds %d bytes for each connection, want %d at most", each, crowdBytes)
	}
	if now.Threads > before.Threads+crowdThreads {
		t.Errorf("%d threads, before %d", now.Threads, before.Threads)
	}
	s, err := b.Status()
	if err != nil || len(s.Sessions)+s.SessionsLeftOut < crowd || len(s.Sessions) > 1000 {
		t.Errorf("status lists %d sessions and leaves out %d (%v), want all of %d counted", len(s.Sessions), s.SessionsLeftOut, err, crowd)
	}
	for _, c := range conns[crowd/2:] {
		c.Close()
	}
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service("cat")
		if err == nil && s.Live > crowd/2+200 {
			err = fmt.Errorf("%d live", s.Live)
		}
		return err
	}); err != nil {
		t.Errorf("half of the clients left: %v", err)
	}
	half := counters(t, b)
	if half.FDs > now.FDs-crowd/2+8 || half.Zombies > 0 {
		t.Errorf("half of the clients left: %+v, with all of them %+v", half, now)
	}
	all := family(t, b.PID)[1:]
	if len(all) < crowd/2 {
		t.Fatalf("%d processes below the broker, want %d and more", len(all), crowd/2)
	}
	if err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := gone(30*time.Second, all...); err != nil {
		t.Error(err)
	}
	t.Logf("everything in %s", time.Since(began))
}
