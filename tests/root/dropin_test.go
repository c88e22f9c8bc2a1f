package root

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// standIn is cmd/inetd in namespaces of the test's own, with what it leaves in a folder.
type standIn struct {
	*rig.Broker
	bin, pidFile string
	args         []string
}

// newStandIn empties what an inetd reads of this /etc.
func newStandIn(t *testing.T) *standIn {
	t.Helper()
	bin := rig.Root(t)
	if _, err := os.Stat(filepath.Join(bin, "inetd")); err != nil {
		t.Fatalf("%v: build the product first (make build)", err)
	}
	ownEtc(t)
	for _, name := range []string{"casemate", "inetd.conf", "inetd.d", "hosts.allow", "hosts.deny"} {
		if err := os.RemoveAll("/etc/" + name); err != nil {
			t.Fatal(err)
		}
	}
	dir := rig.PublicDir(t)
	s := &standIn{Broker: &rig.Broker{Control: dir + "/run/control.sock", LogFile: dir + "/log/inetd.log"}, bin: bin, pidFile: dir + "/inetd.pid"}
	s.args = []string{"--control", s.Control, "--log", s.LogFile, "-p" + s.pidFile}
	return s
}

// run runs inetd until it returns: with what it printed.
func (s *standIn) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, nil, filepath.Join(s.bin, "inetd"), append(s.args[:len(s.args):len(s.args)], args...)...)
}

// pid is what the file says.
func (s *standIn) pid(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(s.pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("the pid file says %q", text)
	}
	return pid
}

// ends waits for a process that was asked to end.
func ends(t *testing.T, pid int) {
	t.Helper()
	if err := rig.Until(30*time.Second, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") { // who reaps it is not this test
			return fmt.Errorf("casemated still runs: %s", stat)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestDropIn: inetd goes into the background over the files of an inetd and returns when it
// serves; a HUP reads them again and leaves alone what did not change, a program that holds its
// socket as well, and a TERM ends it.
func TestDropIn(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	s, rogue := newStandIn(t), rig.Compile(t, "testdata/rogue.c")
	table := strings.ReplaceAll(`127.0.0.1:7001 stream tcp nowait nobody ROGUE rogue hold
127.0.0.1:7002 stream tcp wait nobody ROGUE rogue take
echo stream tcp4 nowait root internal
127.0.0.1:7003 stream tcp nowait daemon /usr/sbin/tcpd ROGUE hold
127.0.0.1:7009 strem tcp nowait nobody /bin/cat cat
`, "ROGUE", rogue)
	write(t, "/etc/inetd.conf", table, 0o644)
	if err := os.Mkdir("/etc/casemate", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/casemate/site.cm.hcl", head+"service \"own\" {\n  extends = \"7001/tcp\"\n}\n", 0o644)

	if out, err := s.run(t, "--strict"); err == nil || !strings.Contains(out, `there is no type of socket "strem"`) || !strings.Contains(out, "/etc/inetd.conf:5:") {
		t.Errorf("--strict: %v\n%s", err, out)
	}
	if _, err := os.Stat(s.pidFile); err == nil {
		t.Error("a pid file of nobody")
	}
	out, err := s.run(t)
	if err != nil || !strings.Contains(out, "this line is not served") || !strings.Contains(out, "/etc/inetd.conf:5:") {
		t.Fatalf("%v\n%s", err, out)
	}
	pid := s.pid(t)
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	if st, err := s.Status(); err != nil || st.PID != pid {
		t.Fatalf("%+v, %v; the pid file says %d", st, err, pid)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("casemated is in session %d (%v), and not its own", sid, err)
	}
	held, taken := says(t, "7001", "holding"), says(t, "7002", "taken")
	exchange(t, "7", "around\n", "around\n")
	says(t, "7003", "holding")
	waiter, hold, take := session(t, s.Broker, "port-7002"), listening(t, "7001"), listening(t, "7002")
	session(t, s.Broker, "own")

	// An edit and a first hosts.deny, with what no policy can say, and as many HUPs as somebody likes.
	write(t, "/etc/inetd.conf", table+"127.0.0.1:7004 stream tcp nowait nobody "+rogue+" rogue hold\n", 0o644)
	write(t, "/etc/hosts.allow", "ALL: LOCAL, @friends\n", 0o644)
	write(t, "/etc/hosts.deny", "ALL: ALL: spawn (echo %a >>/var/log/refused) &\n", 0o644)
	for range 20 {
		if err := unix.Kill(s.pid(t), unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := rig.Until(30*time.Second, func() error { _, err := s.Service("port-7004"); return err }); err != nil {
		t.Fatal(err)
	}
	says(t, "7004", "holding")
	if c, err := rig.Dial("7003"); err == nil { // stands behind tcpd
		closed(t, c)
	}
	if now := session(t, s.Broker, "port-7002"); now.PID != waiter.PID {
		t.Errorf("the program with wait is process %d, and was %d", now.PID, waiter.PID)
	}
	for _, c := range []net.Conn{held, taken} {
		if _, err := c.Write([]byte("still\n")); err != nil {
			t.Errorf("a session did not outlive the HUPs: %v", err)
		}
	}
	_ = taken.Close()
	says(t, "7002", "taken") // of the next program, on the same socket
	if now := [2]string{listening(t, "7001"), listening(t, "7002")}; now != [2]string{hold, take} {
		t.Errorf("the sockets are %v, and were %v", now, [2]string{hold, take})
	}
	if got, err := s.Await(2, 30*time.Second, "msg", "diagnostic", "level", "WARN", "file", "/etc/inetd.conf", "line", "5"); err != nil {
		t.Errorf("%v: the line that is not served is in the log of each load: %v", err, got)
	}
	if got, err := s.Find("msg", "notify"); err != nil || len(got) > 0 {
		t.Errorf("%v, %v: nobody waits for READY any more", got, err)
	}

	if out, err := s.run(t); err == nil || s.pid(t) != pid {
		t.Errorf("a second inetd: %v, pid %d\n%s", err, s.pid(t), out)
	}
	says(t, "7001", "holding")
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ends(t, pid)
	if c, err := net.DialTimeout("tcp", "127.0.0.1:7001", time.Second); err == nil {
		_ = c.Close()
		t.Error("somebody listens after TERM")
	}
}

// TestDropInForeground: with -f inetd becomes casemated, and its flags are in force: where
// entries listen, and how many a service has at a time. Without a policy and without one of the
// files that an inetd reads, a directory of tables is enough.
func TestDropInForeground(t *testing.T) {
	rig.Root(t)
	if !alone(t) {
		return
	}
	s, rogue := newStandIn(t), rig.Compile(t, "testdata/rogue.c")
	if out, err := s.run(t, "-f"); err == nil || !strings.Contains(out, "neither /etc/inetd.conf nor /etc/inetd.d is there") {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Mkdir("/etc/inetd.d", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/inetd.d/hold", "7005 stream tcp nowait nobody "+rogue+" rogue hold\n", 0o644)
	cmd := exec.Command(filepath.Join(s.bin, "inetd"), append(s.args, "-fc1", "-a", "127.0.0.1")...)
	said := filepath.Join(t.TempDir(), "said")
	f, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var st *control.ServiceStatus
	if err := rig.Until(60*time.Second, func() (err error) { st, err = s.Service("port-7005"); return err }); err != nil {
		text, _ := os.ReadFile(said)
		t.Fatalf("%v\n%s", err, text)
	}
	if got := s.pid(t); got != cmd.Process.Pid {
		t.Errorf("the pid file says %d, and inetd is %d", got, cmd.Process.Pid)
	}
	if len(st.Listeners) != 1 || !strings.Contains(st.Listeners[0].Key, "127.0.0.1:7005") {
		t.Errorf("-a 127.0.0.1: %+v", st.Listeners)
	}
	says(t, "7005", "holding")
	if c, err := rig.Dial("7005"); err == nil { // one too many for -c 1
		closed(t, c)
	}
	if r, err := s.Await(1, 30*time.Second, "msg", "decision", "service", "port-7005", "verdict", "deny"); err != nil {
		t.Errorf("%v (%v): -c 1 refuses a second client", r, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after TERM: %v", err)
	}
}
