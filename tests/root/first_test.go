package root

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// asFirst is a start of casemated as process 1 of a pid namespace, as in a container:
// whatever loses its parent is its child.
var asFirst = []string{"unshare", "--pid", "--fork", "--kill-child", "--mount-proc"}

// firstBelow is the casemated that was started so, as the host sees it.
func firstBelow(t *testing.T, b *rig.Broker) int {
	t.Helper()
	children, err := rig.Children(b.PID)
	if err != nil || len(children) != 1 {
		t.Fatalf("children %+v (%v), want casemated alone", children, err)
	}
	s, err := rig.Status(children[0].PID)
	if err != nil || !strings.HasSuffix(s["NSpid"], " 1") {
		t.Fatalf("casemated is %q (%v), want process 1", s["NSpid"], err)
	}
	return children[0].PID
}

// TestFirstProcess: where casemated is process 1, the inits of a zygote that is killed
// become its children. They end with their zygote and are reaped, no session is
// mistaken for another, and the next clients are served.
func TestFirstProcess(t *testing.T) {
	rig.Root(t)
	need.Programs(t, asFirst[0])
	program, port, other := rig.Compile(t, "testdata/rogue.c"), rig.Port(t), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Under: asFirst, Files: map[string]string{"test.cm.hcl": head +
		service("held", "tcp://127.0.0.1:"+port, []string{program, "hold"}, "profile = profile.server") +
		service("other", "tcp://127.0.0.1:"+other, []string{program, "hold"}, "profile = profile.server")}})
	first := firstBelow(t, b)
	says(t, other, "holding")
	bystander := session(t, b, "other").PID
	for round := range 3 {
		var held []net.Conn
		for range 4 {
			held = append(held, says(t, port, "holding"))
		}
		s, err := b.Service("held")
		if err != nil || s.ZygotePID == 0 || s.Live != 4 {
			t.Fatalf("round %d: %+v (%v), want 4 sessions and a zygote", round, s, err)
		}
		killInside(t, first, s.ZygotePID)
		for _, c := range held { // their inits are tied to the zygote
			closed(t, c)
		}
		if err := rig.Until(30*time.Second, func() error { // who comes before it is known to be dead is lost with it
			now, err := b.Service("held")
			if err == nil && now.ZygotePID == s.ZygotePID {
				err = fmt.Errorf("zygote %d counts as alive", s.ZygotePID)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := rig.Until(time.Minute, func() error { // it looks twice, and again
		children, err := rig.Children(first)
		for _, c := range children {
			if c.State == "Z" {
				return fmt.Errorf("%+v is left to reap", c)
			}
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if got, err := b.Await(12, 30*time.Second, "msg", "session", "service", "held", "signal", "SIGKILL"); err != nil || len(got) != 12 {
		t.Errorf("%d records (%v), want one for each of 12 sessions", len(got), err)
	}
	if s, err := b.Status(); err != nil || len(s.Sessions) != 1 || s.Sessions[0].PID != bystander {
		t.Errorf("%+v (%v), want the other service's session alone", s, err)
	}
	says(t, port, "holding")
}

// killInside kills a process by its number in the pid namespace that first is process 1 of.
func killInside(t *testing.T, first, pid int) {
	t.Helper()
	children, err := rig.Children(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children {
		s, err := rig.Status(c.PID)
		if ids := strings.Fields(s["NSpid"]); err == nil && len(ids) == 2 && ids[1] == fmt.Sprint(pid) {
			if err := unix.Kill(c.PID, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no child of casemated is its process %d", pid)
}
