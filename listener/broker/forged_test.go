package broker

import (
	"casemate/tests/need"
	"os"
	"strconv"
	"strings"
	"testing"

	"casemate/listener/warden"
	"casemate/sandbox/zygote"

	"golang.org/x/sys/unix"
)

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
	outside := need.Stranger(t)
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
			g.expect(`"reason":"start-failed"`, warden.ErrForged.Error())
			if st := g.status1("forger"); st.Live != 0 || st.Zygote {
				t.Errorf("%s: %d live, zygote %v", name, st.Live, st.Zygote)
			}
			g.do(func() {
				if len(g.sessions) != 1 || pid == outside && g.warden.Kill(pid, 0) {
					t.Errorf("%s: %d sessions, or its end is waited for", name, len(g.sessions))
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

// TestForgedPIDOfALaunch: the same for the programs that run once.
func TestForgedPIDOfALaunch(t *testing.T) {
	g := newRig(t)
	g.load(svc("cat", "tcp", freePort(t), "/bin/cat"))
	outside := need.Stranger(t)
	fake := &fakeCell{argv: []string{"/bin/cat"}}
	for _, errno := range []unix.Errno{0, unix.ENOENT} {
		fake.forge = func(r *zygote.Reply) { r.PID, r.Errno = outside, errno }
		if pid, _, err := g.warden.Link(nearCell{fake}, 1, unix.SOCK_STREAM); err != warden.ErrForged {
			t.Errorf("pid %d, %v", pid, err)
		}
	}
	if !running(outside) {
		t.Error("a process of somebody else was ended")
	}
	w := newWorker(g.Broker, "log")
	w.helper.(*warden.Helper).Prepare = func() (warden.Cell, error) { return nearCell{fake}, nil }
	if _, _, err := w.start(); err != warden.ErrForged {
		t.Error(err)
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(outside)); err != nil {
		t.Error(err)
	}
}
