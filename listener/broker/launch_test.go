package broker

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// TestChildThatDoesNotEnd: who ends a child that SIGKILL does not end waits for it no longer than
// a moment, and it is reaped when it has ended. Here it is process 1 of a pid namespace,
// which waits for one in it that has another parent.
func TestChildThatDoesNotEnd(t *testing.T) {
	need.Root(t, "it makes pid namespaces")
	g := newRig(t)
	first := exec.Command("/bin/sleep", "1000")
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	pid := first.Process.Pid
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/pid", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ns)
	second := exec.Command("/bin/sleep", "1000")
	joined := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: its children are in the namespace
		if err := unix.Setns(ns, unix.CLONE_NEWPID); err != nil {
			joined <- err
			return
		}
		joined <- second.Start()
	}()
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := g.endChild(pid, time.Millisecond); err == nil {
		t.Fatal("a child that cannot end has ended")
	}
	if took := time.Since(began); took > graceTime+20*time.Second {
		t.Errorf("waited for %s", took)
	}
	var later bool
	g.do(func() { later = g.corpses[pid] != nil })
	if !later {
		t.Error("nobody reaps it later")
	}
	_ = second.Wait()
	eventually(t, func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}
