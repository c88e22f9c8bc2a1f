package sandbox

import (
	"errors"
	"testing"
	"time"

	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// TestTrueEndUnderInit: the broker, not the init, is told how a program ended,
// so that a crash is one and an exit with a crash's number is not.
func TestTrueEndUnderInit(t *testing.T) {
	for _, c := range []struct {
		script string
		want   unix.WaitStatus
	}{
		{"exit 139", 139 << 8},
		{"exit 0", 0},
		{"kill -SEGV $$; exit 0", unix.WaitStatus(unix.SIGSEGV)},
		{"kill -KILL $$; exit 0", unix.WaitStatus(unix.SIGKILL)},
		{"kill -PIPE $$; exit 0", unix.WaitStatus(unix.SIGPIPE)},
		{"kill -ALRM $$; exit 0", unix.WaitStatus(unix.SIGALRM)},
		{"kill -TERM $$; exit 0", unix.WaitStatus(unix.SIGTERM)},
		{"kill -KILL 1; kill -TERM 1; exit 5", 5 << 8},
	} {
		p := realistic()
		p.Init = true
		_, r, ws := once(t, start(t, p, shell(c.script)), zygote.Request{})
		if r.Err() != nil || ws != c.want {
			t.Errorf("%s: wait status %#x, want %#x (%v)", c.script, ws, c.want, r.Err())
		}
	}
}

// TestInitEndsItsNamespace: with the program all that it has started ends, also
// when its zygote is let go before it, and with a zygote that dies.
func TestInitEndsItsNamespace(t *testing.T) {
	const uid = LeaseBase + LeaseCount/2 + 77
	for _, c := range []struct {
		name   string
		zygote func(*zygote.Zygote)
		want   unix.WaitStatus
	}{
		{"serving", func(*zygote.Zygote) {}, 3 << 8},
		{"let go", func(z *zygote.Zygote) { z.Close() }, 3 << 8},
		{"killed", func(z *zygote.Zygote) { unix.Kill(z.PID(), unix.SIGKILL) }, unix.WaitStatus(unix.SIGKILL)},
	} {
		p := realistic()
		p.Init = true
		cmd := shell("(setsid sleep 1000 </dev/null >/dev/null 2>&1 &); read x; exit 3")
		cmd.Dynamic = true
		z := start(t, p, cmd)
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := z.Send(&zygote.Request{ID: 1, UID: uid, GID: uid, FDs: pair[1:]}); err != nil {
			t.Fatal(err)
		}
		unix.Close(pair[1])
		r, err := z.Recv()
		for errors.Is(err, unix.EAGAIN) {
			unix.Poll([]unix.PollFd{{Fd: int32(z.FD()), Events: unix.POLLIN}}, 5000)
			r, err = z.Recv()
		}
		if err != nil || r.Err() != nil {
			t.Fatal(err, r.Err())
		}
		for end := time.Now().Add(30 * time.Second); !has(uid); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nothing runs as the leased user: this test looks in vain")
			}
		}
		c.zygote(z)
		if c.want.Exited() { // else the program reads on until it is killed
			unix.Close(pair[0])
		} else {
			defer unix.Close(pair[0])
		}
		var ws unix.WaitStatus
		if _, err := unix.Wait4(r.PID, &ws, 0, nil); err != nil || ws != c.want {
			t.Fatalf("%s: wait status %#x, want %#x (%v)", c.name, ws, c.want, err)
		}
		for end := time.Now().Add(30 * time.Second); has(uid); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("zygote %s: something lives on", c.name)
			}
		}
	}
}

// has tells whether any process has the real uid.
func has(uid int) bool {
	_, err := unix.Getpriority(unix.PRIO_USER, uid)
	return !errors.Is(err, unix.ESRCH)
}
