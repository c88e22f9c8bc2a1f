package escape

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// serviceText is one more service of the victim, with lines of its own.
func serviceText(name, port, victim, profile string, extra ...string) string {
	return fmt.Sprintf("\nprofile %[1]q {\n%[4]s\n}\nservice %[1]q {\n  listen = [\"tcp://127.0.0.1:%[2]s\"]\n  command = [%[3]q]\n  user = \"nobody\"\n"+
		"  acl = acl.localhost\n  limit = limit.wide\n  profile = profile.%[1]s\n  %[5]s\n}\n", name, port, victim, profile, strings.Join(extra, "\n  "))
}

// policyHead is what these tests' policies begin with.
const policyHead = "policy { edition = 1 }\nlimit \"wide\" { session = \"2m\" }\n"

// copied puts a copy of a program of the host into dir.
func copied(t *testing.T, dir, program string, mode os.FileMode) string {
	t.Helper()
	from, err := exec.LookPath(program)
	if err != nil {
		need.Skip(t, "%v", err)
	}
	text, err := os.ReadFile(from)
	path := filepath.Join(dir, program)
	if err == nil {
		err = os.WriteFile(path, text, 0o755)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPrivilegedFiles: a set-uid program and one with file capabilities give
// nothing to a service that may run them (attempt 7).
func TestPrivilegedFiles(t *testing.T) {
	rig.Root(t)
	victim, dir, port := compileVictim(t), rig.PublicDir(t), rig.Port(t)
	lines := []string{
		"setuid-copy " + copied(t, dir, "id", os.ModeSetuid|0o755),
		"filecap-copy " + copied(t, dir, "grep", 0o755),
	}
	// struct vfs_cap_data, revision 2, effective: CAP_NET_RAW permitted (linux/capability.h).
	caps := []byte{1, 0, 0, 2, 0, 1 << (13 - 8), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := unix.Setxattr(filepath.Join(dir, "grep"), "security.capability", caps, 0); err != nil {
		t.Fatal(err)
	}
	rig.Serve(t, policyHead+serviceText("victim", port, victim,
		fmt.Sprintf("  base = profile.server\n  widens = [\"files\"]\n  init = false\n  files {\n    exec = [%q]\n  }", dir)))
	for _, line := range lines {
		if o := inside(t, port, line); o.result != "EPERM" || len(o.notes) != 1 {
			t.Errorf("%s: %s, want it to run as nobody more", line, o)
		} else {
			t.Log(o)
		}
		if o := outside(t, victim, line, asNobody); o.result != "ok" {
			t.Errorf("%s: %s outside of the sandbox, so its denial inside proves nothing", line, o)
		}
	}
}

// TestDescriptorBomb: a service that takes every descriptor it can get runs into
// its own limit, and its neighbours do not notice (attempt 28).
func TestDescriptorBomb(t *testing.T) {
	s := newSite(t)
	done := make(chan outcome, 4)
	for range cap(done) {
		go func() { done <- inside(t, s.port, "fd-bomb 5000") }()
	}
	began := time.Now()
	if o := inside(t, s.port, "identity"); o.result != "ok" || time.Since(began) > 30*time.Second {
		t.Errorf("beside the bombs: %s after %s", o, time.Since(began))
	}
	for range cap(done) {
		o := <-done
		if o.result != "EMFILE" {
			t.Errorf("fd-bomb: %s, want EMFILE", o)
		}
		for _, n := range o.notes {
			if strings.HasSuffix(n, "enough") {
				t.Errorf("5000 of %s", n)
			}
		}
	}
	if o := outside(t, s.victim, "fd-bomb 60", asNobody); o.result != "ok" {
		t.Errorf("outside: fd-bomb 60: %s", o)
	}
	if _, err := s.broker.Status(); err != nil {
		t.Error(err)
	}
}

// TestSiblingsDoNotMeet: two connections of one service have no socket in common
// over which a descriptor could go (attempt 63).
func TestSiblingsDoNotMeet(t *testing.T) {
	s := newSite(t)
	passing := rig.Port(t)
	text := fmt.Sprintf(policyText, s.port, s.victim, filepath.Join(s.canaries.dir, "read"), filepath.Join(s.canaries.dir, "write")) +
		serviceText("passing", passing, s.victim, "  base = profile.server\n  widens = [\"network\", \"syscalls\"]\n"+
			"  network { mode = \"host\" }\n  because = \"passes descriptors\"\n  best_effort = [\"landlock.scopes\"]\n  init = false\n  syscalls {\n    allow = [\"@fd-passing\"]\n  }")
	if err := s.broker.WritePolicy("test.cm.hcl", text); err != nil {
		t.Fatal(err)
	}
	reloaded(t, s.broker)
	place := filepath.Join(s.canaries.dir, "write", "meet")
	for _, line := range []string{"meet-bind " + place, "meet-bind @" + s.canaries.abstract + "-2", "meet-connect " + place} {
		for _, port := range []string{s.port, passing} {
			if o := inside(t, port, line); !denied(noSocket+"|ENOENT", o) {
				t.Errorf("%s: %s", line, o)
			}
		}
	}
	if o := inside(t, s.port, "give 1"); !denied(shut, o) {
		t.Errorf("give: %s", o)
	}
	for _, port := range []string{s.port, passing} {
		if o := inside(t, port, "take"); !denied("ENOTSOCK|EPERM", o) {
			t.Errorf("take: %s: something of a sibling arrived", o)
		}
	}
	worker := logWorker(t, s.broker)
	before := descriptors(t, worker)
	if o := inside(t, passing, "give 300"); !denied("ENOTSOCK", o) {
		t.Errorf("give 300: %s", o)
	}
	if err := rig.Until(10*time.Second, func() error { // it may have the stderr of a session for a moment
		if now := descriptors(t, worker); now > before {
			return fmt.Errorf("the log worker holds %d descriptors, before it was given some %d", now, before)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if o := outside(t, s.victim, "meet-bind "+place, asNobody); o.result != "ok" {
		t.Errorf("outside: meet-bind: %s", o)
	}
	if o := outside(t, s.victim, "meet-connect "+place, asNobody); o.result != "ECONNREFUSED" { // its owner is gone, the place is not
		t.Errorf("outside: meet-connect: %s", o)
	}
}

// TestStderrIsNotShared: whatever a session does to its stderr, the sessions beside
// it and after it write to theirs (attempt 74). One socket for all is the control.
func TestStderrIsNotShared(t *testing.T) {
	s := newSite(t)
	beside, err := rig.Dial(s.port)
	if err != nil {
		t.Fatal(err)
	}
	defer beside.Close()
	if err := rig.Until(30*time.Second, func() error {
		if st, err := s.broker.Status(); err != nil || len(st.Sessions) != 1 {
			return fmt.Errorf("%v, %v", st, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Log(inside(t, s.port, "spoil"))
	if _, err := beside.Write([]byte("say beside\n")); err != nil {
		t.Fatal(err)
	}
	if o := inside(t, s.port, "say next"); o.result != "ok" {
		t.Errorf("say: %s", o)
	}
	said := map[string]bool{}
	for _, text := range []string{"beside", "next"} {
		line, err := s.broker.Await(1, 30*time.Second, "msg", "stderr", "service", "victim", "text", text)
		if err != nil {
			t.Fatal(err)
		}
		said[line[0].Str("id")] = true
	}
	if len(said) != 2 {
		t.Errorf("what two sessions said has the ids %v", said)
	}

	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	shared, log := os.NewFile(uintptr(fds[0]), "shared"), os.NewFile(uintptr(fds[1]), "log")
	defer shared.Close()
	defer log.Close()
	if o := outsideWith(t, s.victim, "say first", asNobody, shared); o.result != "ok" {
		t.Errorf("outside: say: %s", o)
	}
	if o := outsideWith(t, s.victim, "spoil", asNobody, shared); o.result == "killed" {
		t.Errorf("outside: spoil: %s", o)
	}
	if o := outsideWith(t, s.victim, "say next", asNobody, shared); o.result == "ok" {
		t.Errorf("outside, with one stderr for all: %s", o)
	}
}

// TestNoise: what a service writes into its descriptors reaches no broker, and
// there is no control descriptor among them (attempt 73).
func TestNoise(t *testing.T) {
	s := newSite(t)
	o := inside(t, s.port, "noise")
	if o.result != "EBADF" || strings.Join(o.notes, ",") != "fd 0,fd 1,fd 2" {
		t.Errorf("noise: %s, want no descriptor beside 0, 1 and 2", o)
	}
	// What this process was itself started with open is not meant.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if o := outside(t, s.victim, "noise", asNobody); o.result != "ok" {
		t.Errorf("outside, with a descriptor left open: %s", o)
	}
	if o := inside(t, s.port, "identity"); o.result != "ok" {
		t.Errorf("the next connection: %s", o)
	}
	if _, err := s.broker.Status(); err != nil {
		t.Error(err)
	}
}

// logWorker is the pid of the broker's log worker.
func logWorker(t *testing.T, b *rig.Broker) (pid int) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		children, err := rig.Children(b.PID)
		for _, c := range children {
			if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.PID)); string(text) == "casemate-worker\x00log\x00" {
				pid = c.PID
				return nil
			}
		}
		return fmt.Errorf("no log worker among %v (%v)", children, err)
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
