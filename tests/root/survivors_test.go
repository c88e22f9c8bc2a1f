package root

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// untied is a profile under which a session may clear what ties it to the
// broker: the control, and what the next broker is for.
const untied = `
profile "untied" {
  base    = profile.line
  widens  = ["syscalls"]
  because = "shows that no profile lets a session clear its parent-death signal"
  syscalls { allow = ["prctl"] }
}
profile "init" {
  base    = profile.server
  widens  = ["syscalls"]
  because = "shows that a session ends with its init, which is tied, whatever its program clears"
  syscalls { allow = ["prctl"] }
}
profile "threads" {
  base   = profile.line
  widens = ["syscalls"]
  syscalls { allow = ["@process"] }
}
`

// kill9 ends a broker the hard way, and waits until it is gone.
func kill9(t *testing.T, b *rig.Broker) {
	t.Helper()
	if err := b.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
}

// says is the first line that a service sends, with the session's connection.
func says(t *testing.T, port, want string) net.Conn {
	t.Helper()
	c := connect(t, port)
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("port %s said %q (%v), want %q", port, line, err, want)
	}
	return c
}

// sessionsOf are a broker's sessions, once there are n.
func sessionsOf(t *testing.T, b *rig.Broker, n int) (out []control.SessionStatus) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Status()
		if err == nil && len(s.Sessions) != n {
			err = fmt.Errorf("%d sessions, want %d", len(s.Sessions), n)
		}
		if err == nil {
			out = s.Sessions
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// alive tells whether a process still runs.
func alive(pid int) bool {
	s, err := rig.Status(pid)
	return err == nil && !strings.HasPrefix(s["State"], "Z")
}

// TestNoSessionUnties: under the profiles as they are shipped, and two that grant
// prctl, a session that tries to outlive its broker dies with it, before any other
// broker looks. With prctl and an init, what its program clears is its own affair.
func TestNoSessionUnties(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	ports, text := map[string]string{}, head+untied
	for _, p := range []string{"line", "files", "server", "login", "untied", "init"} {
		ports[p] = rig.Port(t)
		text += service(p, "tcp://127.0.0.1:"+ports[p], []string{program, "untie"}, "profile = profile."+p)
	}
	b := rig.Serve(t, text)
	var pids []int
	for p, port := range ports {
		says(t, port, map[bool]string{true: "untied", false: "tied"}[p == "init"])
		pids = append(pids, session(t, b, p).PID)
	}
	kill9(t, b)
	if err := gone(30*time.Second, pids...); err != nil {
		t.Error(err)
	}
}

// TestSurvivorsAreEnded: what outlived a killed broker, by a thread that executes
// or by anything else, is ended by the next broker
// before a uid is leased; what is not ours is not.
func TestSurvivorsAreEnded(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	thread, hold := rig.Port(t), rig.Port(t)
	text := head + untied + service("thread", "tcp://127.0.0.1:"+thread, []string{program, "untie-by-thread", program}, "profile = profile.threads") +
		service("hold", "tcp://127.0.0.1:"+hold, []string{program, "hold"}, "profile = profile.line")
	b := rig.Serve(t, text)
	says(t, thread, "untied")
	survivor := session(t, b, "thread")
	kill9(t, b)
	byHand := stray(t, uidOf(t, survivor.PID)+500)
	elsewhere := stray(t, 0x70000000-1) // no leased uid
	time.Sleep(200 * time.Millisecond)
	if !alive(survivor.PID) {
		t.Error("it did not outlive its broker, so its end proves nothing")
	}
	again := rig.Serve(t, text)
	if err := gone(30*time.Second, survivor.PID); err != nil {
		t.Error(err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if alive(byHand) {
			return fmt.Errorf("%d, with a leased uid of that broker's, is still there", byHand)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if !alive(elsewhere) {
		t.Error("a process with no leased uid was ended")
	}
	got, err := again.Await(1, 30*time.Second, "msg", "survivors of an earlier broker")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v", got[0])
	says(t, hold, "holding")
}

// stray starts a process with a uid, as a session that nobody knows.
func stray(t *testing.T, uid uint32) int {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func uidOf(t *testing.T, pid int) uint32 {
	t.Helper()
	s, err := rig.Status(pid)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(strings.Fields(s["Uid"])[0], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(uid)
}

// TestLeftSessionsKeepTheirUid: sessions that on_stop = "leave" let live are
// neither ended by the brokers after it, not even by one that comes after a
// kill, nor do they share their uid with anybody.
func TestLeftSessionsKeepTheirUid(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	port, next := rig.Port(t), rig.Port(t)
	leaving := strings.Replace(head, "{ edition = 1 }", "{\n  edition = 1\n  on_stop = \"leave\"\n}", 1)
	b := rig.Serve(t, leaving+service("hold", "tcp://127.0.0.1:"+port, []string{program, "hold"}, "profile = profile.line"))
	var left []int
	uids := map[uint32]bool{}
	for range 3 {
		says(t, port, "holding")
	}
	for _, x := range sessionsOf(t, b, 3) {
		left = append(left, x.PID)
		uids[uidOf(t, x.PID)] = true
	}
	if len(uids) != 3 {
		t.Fatalf("%d sessions with %d uids", len(left), len(uids))
	}
	b.Stop()
	text := head + service("hold", "tcp://127.0.0.1:"+next, []string{program, "hold"}, "profile = profile.line")
	second := rig.Serve(t, text)
	if _, err := second.Await(1, 30*time.Second, "msg", "survivors of an earlier broker"); err != nil {
		t.Error(err)
	}
	for range 5 {
		says(t, next, "holding")
	}
	for _, x := range sessionsOf(t, second, 5) {
		if uid := uidOf(t, x.PID); uids[uid] {
			t.Errorf("a new session has the uid %x of one that was left", uid)
		}
	}
	kill9(t, second)
	rig.Serve(t, text)
	for _, pid := range left {
		if !alive(pid) {
			t.Errorf("%d, which may live on, was ended", pid)
		}
	}
}

// TestTwoBrokersShareThePool: brokers of one host lease different uids, and
// neither ends the other's sessions, living or killed.
func TestTwoBrokersShareThePool(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	seen := map[uint32]int{}
	var pids []int
	serve := func() *rig.Broker {
		port := rig.Port(t)
		b := rig.Serve(t, head+service("hold", "tcp://127.0.0.1:"+port, []string{program, "hold"}, "profile = profile.line"))
		for range 3 {
			says(t, port, "holding")
		}
		for _, x := range sessionsOf(t, b, 3) {
			uid := uidOf(t, x.PID)
			if seen[uid] != 0 {
				t.Errorf("%d and %d both have uid %x", seen[uid], x.PID, uid)
			}
			seen[uid] = x.PID
			pids = append(pids, x.PID)
		}
		return b
	}
	serve()
	second := serve()
	kill9(t, second)
	serve()
	if len(seen) != 9 {
		t.Errorf("%d uids for 9 sessions", len(seen))
	}
	for i, pid := range pids {
		if killed := i/3 == 1; alive(pid) == killed {
			t.Errorf("session %d of broker %d: alive %v", pid, i/3+1, alive(pid))
		}
	}
	if fi, err := os.Stat("/run/casemate-leases"); err != nil || fi.Mode().Perm()&0o022 != 0 {
		t.Errorf("the pool's directory: %v %v", fi, err)
	}
}
