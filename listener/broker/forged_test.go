package broker

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

// stranger starts a process that is not a child of this one.
func stranger(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	return pid
}

func running(pid int) bool {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, ok := strings.Cut(string(text), ") ")
	return ok && after[0] != 'Z'
}

// TestForgedPID: a zygote that was taken over names a process that it has not
// started. Nothing is signalled, reaped or accounted for in its name; the zygote
// goes, its client is refused, the next one is served.
func TestForgedPID(t *testing.T) {
	g, port, other := newRig(t), freePort(t), freePort(t)
	forger := svc("forger", "tcp", port, "/bin/cat")
	forger.Limit = "strict"
	g.load(forger, svc("other", "tcp", other, "/bin/cat"))
	live := dial(t, other)
	echoes(t, live)
	var theirs int
	g.running(1, func(s *session) { theirs = int(s.pid) })
	outside := stranger(t)
	fake := g.fakes["forger"]
	// Only processes of this test: without the check, the broker signals what is named here.
	for name, pid := range map[string]int{
		"a stranger": outside, "another's session": theirs, "another's zygote": g.status1("other").ZygotePID,
	} {
		for _, errno := range []unix.Errno{0, unix.ENOENT} {
			fake.set(func() { fake.forge = func(r *zygote.Reply) { r.PID, r.Errno = pid, errno } })
			eventually(t, func() bool { st := g.status1("forger"); return st.Live == 0 && st.Error == "" })
			if !refusedAt(t, port) {
				t.Errorf("%s: served", name)
			}
			g.expect(`"reason":"start-failed"`, errForged.Error())
			if st := g.status1("forger"); st.Live != 0 || st.Zygote {
				t.Errorf("%s: %d live, zygote %v", name, st.Live, st.Zygote)
			}
			g.do(func() {
				if len(g.sessions) != 1 || g.corpses[pid] != nil {
					t.Errorf("%s: %d sessions, corpse %v", name, len(g.sessions), g.corpses[pid] != nil)
				}
			})
			g.do(func() { g.gen.services[0].run.failures = 0 }) // the backoff is another test's
		}
	}
	if !running(outside) || !running(theirs) {
		t.Error("a process of somebody else was ended")
	}
	echoes(t, live)
	fake.set(func() { fake.forge = nil })
	echoes(t, dial(t, port))
}

// TestTakes asks about pids that must not be tried on a broker: kill(2) takes
// -1 for everybody, and other numbers below 1 for groups.
func TestTakes(t *testing.T) {
	own := exec.Command("/bin/sleep", "1000")
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { own.Process.Kill(); own.Wait() }()
	b := &Broker{}
	for _, pid := range []int{0, -1, -7, 1, os.Getpid(), os.Getppid(), stranger(t), 1 << 32, 1<<32 + own.Process.Pid, -own.Process.Pid} {
		if b.takes(pid) {
			t.Errorf("takes %d", pid)
		}
	}
	if !b.takes(own.Process.Pid) {
		t.Error("refuses a child")
	}
	b.helpers = map[int]bool{own.Process.Pid: true}
	if b.takes(own.Process.Pid) {
		t.Error("takes a child that has a record")
	}
}

// TestForgedPIDOfALaunch: the same for the programs that run once.
func TestForgedPIDOfALaunch(t *testing.T) {
	g := newRig(t)
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	outside := stranger(t)
	fake := &fakeCell{argv: []string{"/bin/cat"}}
	for _, errno := range []unix.Errno{0, unix.ENOENT} {
		fake.forge = func(r *zygote.Reply) { r.PID, r.Errno = outside, errno }
		if pid, err := g.launch(fake, 1, 0); err != errForged {
			t.Errorf("pid %d, %v", pid, err)
		}
	}
	if !running(outside) {
		t.Error("a process of somebody else was ended")
	}
	w := newWorker(g.Broker, "forged", logProfile())
	w.prepare = func() (cell, error) { return fake, nil }
	if _, _, err := w.start(1); err != errForged {
		t.Error(err)
	}
	if _, err := g.converse(fake, []byte("x")); err != errForged {
		t.Error(err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(outside)); err != nil {
		t.Error(err)
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
	kill(-cmd.Process.Pid, unix.SIGTERM)
	in.Close()
	cmd.Wait()
	if out.String() != "" {
		t.Error("a group was signalled")
	}
}
