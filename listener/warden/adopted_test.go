package warden

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAdoptsWithoutPidfd: a program for whose end there was no descriptor is looked at by the time; the broker that takes it over
// asks at once whether it has ended, and is told later when it has.
func TestAdoptsWithoutPidfd(t *testing.T) {
	w := newWarden(t)
	program := exec.Command("/bin/sleep", "1000")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pid, told := program.Process.Pid, make(chan Exit, 1)
	if err := w.loop.Do(func() {
		c := &child{w: w, pid: pid, pidfd: -1, text: []byte("a session")}
		w.known[pid], c.timer.Owner = c, c
		w.loop.After(&c.timer, pollChild)
		c.ended = func(e Exit) { told <- e }
		c.Ready(0)
	}); err != nil {
		t.Errorf("it is asked about: %v", err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := <-told; e.PID != pid || e.Status.Signal() != unix.SIGKILL {
		t.Errorf("it is said that %+v", e)
	}
}
