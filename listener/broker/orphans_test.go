package broker

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"casemate/listener/warden"
	"casemate/listener/warden/hands"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// slowCell is a cell whose zygotes run long before anybody is told of them.
type slowCell struct {
	*fakeCell
	made chan int
	tell chan bool
}

func (c slowCell) Spawn() (hands.Starter, error) {
	z, err := c.fakeCell.Spawn()
	if err == nil {
		c.made <- z.PID()
		<-c.tell
	}
	return z, err
}

// TestSweepBesideANewZygote: the sweep of orphans ends a program that nobody knows. It
// takes no zygote that is being made for one, for a client or for a policy that is
// loaded: that is a child which nobody knows yet. Nor does it end what is in no
// sandbox, which process 1 may have adopted, but reaps it.
func TestSweepBesideANewZygote(t *testing.T) {
	need.Root(t, "it makes pid namespaces")
	g, port, next := newRig(t), freePort(t), freePort(t)
	slow := slowCell{&fakeCell{argv: []string{"/bin/cat"}}, make(chan int), make(chan bool)}
	cells := g.cells
	g.cells = func(j *warden.Job) (hands.Cell, error) {
		if j.Service == "slow" {
			return slow, nil
		}
		return cells(j)
	}
	swept := func() { // both looks, and one more
		g.do(func() { g.warden.Sweep(); g.warden.Look(); g.warden.Look() })
	}
	orphan := func(flags uintptr) int {
		cmd := exec.Command("/bin/sleep", "1000") // nobody waits for it
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Pid
	}
	g.load(svc("cat", "tcp", port, "/bin/cat"))

	control, adopted := orphan(unix.CLONE_NEWPID), orphan(0)
	swept()
	eventually(t, func() bool { return !running(control) })
	time.Sleep(200 * time.Millisecond) // what it would take to end
	if !running(adopted) {
		t.Error("a process outside of every sandbox was ended")
	}
	unix.Kill(adopted, unix.SIGKILL)
	eventually(t, func() bool { return unix.Kill(adopted, 0) == unix.ESRCH })

	loaded := make(chan error, 1)
	g.setPolicy(svc("cat", "tcp", port, "/bin/cat"), svc("slow", "tcp", next, "/bin/cat"))
	go func() { _, _, err := g.Load(); loaded <- err }()
	for _, what := range []string{"that a load proves", "that a client starts"} {
		zygote := <-slow.made
		swept()
		var ended bool
		g.do(func() { ended = g.warden.Kill(zygote, 0) })
		if ended || !running(zygote) {
			t.Errorf("a zygote %s was taken for an orphan", what)
		}
		slow.tell <- true
		if what == "that a load proves" {
			if err := <-loaded; err != nil {
				t.Fatal(err)
			}
			g.do(func() { g.gen.service("slow").run.drop() })
			dial(t, next)
		}
	}
	echoes(t, dial(t, next))

	control = orphan(unix.CLONE_NEWPID) // and the sweep works as before
	swept()
	eventually(t, func() bool { return !running(control) })
}
