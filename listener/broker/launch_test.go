package broker

import (
	"testing"

	"casemate/sandbox/zygote"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

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
	pid, fd, err := g.warden.Link(nearCell{fake}, 1, unix.SOCK_SEQPACKET)
	if err != nil {
		t.Fatal(err)
	}
	theirs := <-end
	defer unix.Kill(pid, unix.SIGKILL)
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
