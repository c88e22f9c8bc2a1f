package warden

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/listener/host"
	"casemate/listener/loop"
	"casemate/tests/need"

	"golang.org/x/sys/unix"
)

// newWarden is one whose loop runs.
func newWarden(t *testing.T) *Warden {
	t.Helper()
	l, err := loop.New()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- l.Run() }()
	t.Cleanup(func() {
		_ = l.Post(l.End)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return New(Config{LibexecDir: "/usr/libexec", Warn: func(topic, msg string, err error) { t.Error(topic, msg, err) }}, l, host.NewBlocks(t.TempDir()))
}

// TestTakes asks about pids that must not be tried on a broker: kill(2) takes
// -1 for everybody, and other numbers below 1 for groups.
func TestTakes(t *testing.T) {
	own := exec.Command("/bin/sleep", "1000")
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { own.Process.Kill(); own.Wait() }()
	w := &Warden{known: make(map[int]*child)}
	for _, pid := range []int{0, -1, -7, 1, os.Getpid(), os.Getppid(), need.Stranger(t), 1 << 32, 1<<32 + own.Process.Pid, -own.Process.Pid} {
		if w.stray(pid) {
			t.Errorf("takes %d", pid)
		}
	}
	if !w.stray(own.Process.Pid) {
		t.Error("refuses a child")
	}
	w.known[own.Process.Pid] = &child{}
	if w.stray(own.Process.Pid) {
		t.Error("takes a child that has a record")
	}
}

// TestChildThatDoesNotEnd: who ends a child that SIGKILL does not end waits for it no longer than
// a moment, and it is reaped when it has ended. Here it is process 1 of a pid namespace,
// which waits for one in it that has another parent.
func TestChildThatDoesNotEnd(t *testing.T) {
	need.Root(t, "it makes pid namespaces")
	w := newWarden(t)
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
	if _, err := w.endChild(pid, time.Millisecond); err == nil {
		t.Fatal("a child that cannot end has ended")
	}
	if took := time.Since(began); took > graceTime+20*time.Second {
		t.Errorf("waited for %s", took)
	}
	later := false
	w.loop.Do(func() { later = w.known[pid] != nil })
	if !later {
		t.Error("nobody reaps it later")
	}
	_ = second.Wait()
	for end := time.Now().Add(30 * time.Second); unix.Kill(pid, 0) != unix.ESRCH; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not reaped when it has ended")
		}
	}
}

// TestKillIsForOne: kill(2) itself takes 0 for the caller's own group.
func TestKillIsForOne(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "trap 'echo hit' TERM; read x")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if w := new(Warden); w.Kill(-cmd.Process.Pid, unix.SIGTERM) || w.Kill(0, unix.SIGTERM) || w.Kill(cmd.Process.Pid, unix.SIGTERM) {
		t.Error("what has no record was signalled")
	}
	in.Close()
	cmd.Wait()
	if out.String() != "" {
		t.Error("a group was signalled")
	}
}

// TestBuriesOne: wait4(2) reaps any child for a number whose lower half is -1. Then a record would be left of a pid that is
// free for others, whom the broker could have root signal.
func TestBuriesOne(t *testing.T) {
	w := newWarden(t)
	own := exec.Command("/bin/true")
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	pid := own.Process.Pid
	// It has ended, and is not reaped.
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	b, left := &Broker{w: w}, false
	_ = w.loop.Do(func() {
		w.hold(pid)
		for _, n := range []int64{1<<32 - 1, 1 << 32, -1, 0, 1<<32 + int64(pid)} {
			b.heard(Tiding{Kind: TellBury, N: [5]int64{n}})
		}
		left = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil
		b.heard(Tiding{Kind: TellBury, N: [5]int64{int64(pid)}})
	})
	if !left {
		t.Error("a child was reaped that was not named")
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
		t.Errorf("the one that was named is not reaped: %v", err)
	}
}
