package broker

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"casemate/sandbox/zygote"
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

// TestHelpersSendNoDescriptors: a helper that was taken over sends nothing along whose close waits for others, where
// the kernel can refuse it: what comes over its link is dropped on the loop.
func TestHelpersSendNoDescriptors(t *testing.T) {
	g := newRig(t)
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	end := make(chan int, 1)
	fake := &fakeCell{argv: []string{"/bin/sleep", "1000"}, saw: func(q *zygote.Request) {
		fd, _ := unix.FcntlInt(uintptr(q.FDs[0]), unix.F_DUPFD_CLOEXEC, 0)
		end <- fd
	}}
	pid, fd, err := g.link(fake, 1, unix.SOCK_SEQPACKET)
	if err != nil {
		t.Fatal(err)
	}
	theirs := <-end
	defer kill(pid, unix.SIGKILL)
	defer unix.Close(fd)
	defer unix.Close(theirs)
	if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS); err != nil {
		need.Skip(t, "before Linux 6.16 nothing keeps descriptors out of a socket, and listener.Recv buries them: %v", err)
	}
	if err := unix.Sendmsg(theirs, []byte("x"), unix.UnixRights(theirs), nil, 0); err != unix.EPERM {
		t.Errorf("a descriptor was sent: %v", err)
	}
	if err := unix.Sendmsg(theirs, []byte("x"), nil, nil, 0); err != nil {
		t.Errorf("a message was not: %v", err)
	}
}
