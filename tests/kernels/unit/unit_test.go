//go:build guest

package unit

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestMachine: it is the machine that the other tests are meant for.
func TestMachine(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Errorf("systemd does not run: %v", err)
	}
	if on := read(t, "/sys/module/apparmor/parameters/enabled"); strings.TrimSpace(on) != "Y" {
		t.Errorf("AppArmor is %q", on)
	}
	systemctl(t, "is-active", "apparmor.service")
	var st unix.Statfs_t
	if err := unix.Statfs(groups, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Errorf("%s is no cgroup v2: type %x (%v)", groups, st.Type, err)
	}
}

// TestStart: systemctl start returns when the policy is served.
func TestStart(t *testing.T) {
	b := started(t)
	if err := factors(); err != nil {
		t.Error(err)
	}
	s, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	if pid := show(t, "MainPID"); pid != strconv.Itoa(s.PID) {
		t.Errorf("systemd's main process is %s, the broker %d", pid, s.PID)
	}
	for _, v := range s.Services {
		if v.Error != "" {
			t.Errorf("%s: %s", v.Name, v.Error)
		}
		t.Logf("%s: losses %q", v.Name, v.Losses)
	}
}

// TestGroupsInsideTheUnit: every process is in a group of the unit, a limited
// service in one of its own, and none lies beside systemd's.
func TestGroupsInsideTheUnit(t *testing.T) {
	b := started(t)
	defer held(t, forksPort, "forks").Close()
	s, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	in := processes(t, show(t, "ControlGroup"))
	if in[s.PID] == "" {
		t.Errorf("the broker is not in the unit's group %s", show(t, "ControlGroup"))
	}
	for _, session := range s.Sessions {
		group, ok := in[session.PID]
		if !ok || group == in[s.PID] {
			t.Errorf("process %d of %s is in group %q, the broker in %q", session.PID, session.Service, group, in[s.PID])
			continue
		}
		if limit := strings.TrimSpace(read(t, filepath.Join(groups, group, "pids.max"))); session.Service == "forks" && limit != "11" {
			t.Errorf("%s has pids.max %s, want 11: the profile says 8, and its zygote and two parked inits are in it", group, limit)
		}
	}
	if top, err := filepath.Glob(groups + "/*casemate*"); err != nil || len(top) > 0 {
		t.Errorf("at the root of the tree: %q (%v)", top, err)
	}
}

// TestReload: systemctl reload returns when the new policy is served.
func TestReload(t *testing.T) {
	b := started(t)
	before, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, policyFile)
	write(t, text+service("added", addedPort, "line", "/bin/date"))
	systemctl(t, "reload", unitName)
	after, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	if after.Generation <= before.Generation || after.Digest == before.Digest || after.PID != before.PID || after.LastReload != "" {
		t.Errorf("after the reload %+v, was %+v", after, before)
	}
	if got, err := rig.Exchange(addedPort, ""); err != nil || got == "" {
		t.Errorf("the new service answered %q (%v)", got, err)
	}
	if err := factors(); err != nil {
		t.Error(err)
	}
	write(t, text)
	systemctl(t, "reload", unitName)
}

// TestFailedReload: systemctl reload fails, the journal says why and where, and
// the old policy is served on.
func TestFailedReload(t *testing.T) {
	b := started(t)
	before, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, policyFile)
	write(t, text+"\nservice \"broken\" {\n  acl = acl.no_such_thing\n}\n")
	if out, err := run("systemctl", "reload", unitName); err == nil {
		t.Errorf("the reload of a broken policy succeeded: %s", out)
	}
	if said := journal(t); !strings.Contains(said, "no_such_thing") || !strings.Contains(said, filepath.Base(policyFile)) {
		t.Errorf("the journal names neither the word nor the file:\n%s", said)
	}
	after, err := b.Status()
	if err != nil || after.Digest != before.Digest || after.PID != before.PID {
		t.Errorf("the policy in force changed: %+v, %v", after, err)
	}
	if err := factors(); err != nil {
		t.Error(err)
	}
	systemctl(t, "is-active", unitName)
	write(t, text)
	systemctl(t, "reload", unitName)
}

// TestRestart: a new broker serves, and nothing of the old one's is left.
func TestRestart(t *testing.T) {
	b := started(t)
	defer held(t, forksPort, "forks").Close()
	old := processes(t, show(t, "ControlGroup"))
	systemctl(t, "restart", unitName)
	succeeded(t, b, old)
}

// TestKillNine: systemd starts a killed broker again, and nothing of the old one's is left.
func TestKillNine(t *testing.T) {
	b := started(t)
	defer held(t, forksPort, "forks").Close()
	old := processes(t, show(t, "ControlGroup"))
	pid, err := strconv.Atoi(show(t, "MainPID"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(60*time.Second, func() error {
		s, err := b.Status()
		if err == nil && s.PID == pid {
			err = fmt.Errorf("process %d answers still", pid)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	succeeded(t, b, old)
}

// TestStop: nothing is left, neither a process nor a group.
func TestStop(t *testing.T) {
	started(t)
	unit := show(t, "ControlGroup")
	defer held(t, forksPort, "forks").Close()
	old := processes(t, unit)
	systemctl(t, "stop", unitName)
	gone(t, old)
	if _, err := os.Stat(filepath.Join(groups, unit)); err == nil {
		t.Errorf("%s is left with %v", unit, processes(t, unit))
	}
	if result := show(t, "Result"); result != "success" {
		t.Errorf("systemd calls the result %s", result)
	}
}

// held opens a session of a service and sees it run.
func held(t *testing.T, port, name string) net.Conn {
	t.Helper()
	idle(t, name)
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	busy(t, name)
	return c
}

// succeeded checks that a new broker serves and that the old one's processes and
// groups are gone.
func succeeded(t *testing.T, b *rig.Broker, old map[int]string) {
	t.Helper()
	if len(old) < 3 {
		t.Errorf("only %d processes were in the unit before", len(old))
	}
	if err := rig.Until(20*time.Second, factors); err != nil {
		t.Error(err)
	}
	gone(t, old)
	s, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	now := processes(t, show(t, "ControlGroup"))
	if now[s.PID] == "" {
		t.Errorf("the new broker is in no group of the unit: %v", now)
	}
	for pid, group := range now {
		if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err == nil && old[pid] == group {
			t.Errorf("process %d in %s is an old one", pid, group)
		}
	}
}

// gone waits until none of the processes lives.
func gone(t *testing.T, old map[int]string) {
	t.Helper()
	if err := rig.Until(10*time.Second, func() error {
		for pid, group := range old {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("process %d of %s lives on", pid, group)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
