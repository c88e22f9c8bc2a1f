package root

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// logged is a policy of one built-in and one program, behind a rule with a name.
func logged(t *testing.T, extra string) (text, echo, greet string) {
	t.Helper()
	echo, greet = rig.Port(t), rig.Port(t)
	return fmt.Sprintf(`policy {
  edition = 1
  %s
}
acl "here" {
  deny { from = ["127.0.0.66"] }
  allow "staff" { from = ["127.0.0.0/8"] }
}
service "echo" {
  listen  = ["tcp4://127.0.0.1:%s"]
  builtin = "echo"
  user    = "dynamic"
  acl     = acl.here
  profile = profile.builtin
}
service "greet" {
  listen  = ["tcp4://127.0.0.1:%s"]
  command = ["/bin/sh", "-c", "read -r line; echo to the log >&2; echo hi"]
  user    = "dynamic"
  acl     = acl.here
  profile = profile.server
}
`, extra, echo, greet), echo, greet
}

// TestRecordsHaveOneForm: a decision of the broker and one of a built-in have the
// same fields, the rule's name among them, and none of the two is told twice.
func TestRecordsHaveOneForm(t *testing.T) {
	text, echo, greet := logged(t, "")
	b := rig.Serve(t, text)
	for _, port := range []string{echo, greet} {
		if _, err := rig.Exchange(port, "hello"); err != nil {
			t.Fatal(err)
		}
	}
	for _, service := range []string{"echo", "greet"} {
		d, err := b.Await(1, 30*time.Second, "msg", "decision", "service", service, "verdict", "allow", "network", "tcp",
			"client", "127.0.0.1", "rule_name", "staff", "format_version", "1")
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.Await(1, 30*time.Second, "msg", "session", "service", service, "reason", "exit", "id", d[0].Str("id"), "client", "127.0.0.1")
		if err != nil || len(d) != 1 || len(s) != 1 || d[0].Str("reason") != "" {
			t.Errorf("%v, %v, %v", d, s, err)
		}
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", "greet", "text", "to the log", "format_version", "1"); err != nil {
		t.Error(err)
	}
}

// echoed is a connection that the built-in echo at port has answered: its worker runs.
func echoed(t *testing.T, port string) net.Conn {
	t.Helper()
	c := connect(t, port)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLogIsTheBrokersAlone: no other process holds the log's file, so none can
// overwrite or cut it. The broker itself is the control.
func TestLogIsTheBrokersAlone(t *testing.T) {
	text, echo, greet := logged(t, "")
	b := rig.Serve(t, text)
	echoed(t, echo)
	if _, err := rig.Exchange(greet, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "stderr"); err != nil { // the log worker runs
		t.Fatal(err)
	}
	// Until it is so: between a fork and its exec or close_range a child has the broker's descriptors.
	if err := rig.Until(10*time.Second, func() error {
		var holders []string
		all := family(t, b.PID)
		for _, pid := range all {
			fds, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
			if err != nil {
				return err
			}
			for _, fd := range fds {
				if to, err := os.Readlink(fd); err == nil && to == b.LogFile {
					holders = append(holders, fd)
				}
			}
		}
		if len(holders) != 1 || !strings.HasPrefix(holders[0], "/proc/"+strconv.Itoa(acceptor(t, b))+"/") || len(all) < 5 {
			return fmt.Errorf("the log is %q, of %d processes, want one of the broker's alone", holders, len(all))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestLogRotation: after a move, HUP and reload go on in the new file, and the old
// one gets nothing more and is not held.
func TestLogRotation(t *testing.T) {
	text, echo, greet := logged(t, "")
	b := rig.Serve(t, text)
	for i, again := range []func() error{
		func() error { return b.Signal(syscall.SIGHUP) },
		func() error {
			_, err := b.Request(control.Request{FormatVersion: control.Format, Verb: control.VerbReload})
			return err
		},
	} {
		old := fmt.Sprintf("%s.%d", b.LogFile, i)
		if err := os.Rename(b.LogFile, old); err != nil {
			t.Fatal(err)
		}
		if err := again(); err != nil {
			t.Fatal(err)
		}
		if err := rig.Until(30*time.Second, func() error { _, err := os.Stat(b.LogFile); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Await(1, 30*time.Second, "msg", "loaded"); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(old)
		if err != nil {
			t.Fatal(err)
		}
		for service, port := range map[string]string{"echo": echo, "greet": greet} {
			if _, err := rig.Exchange(port, "x"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Await(1, 30*time.Second, "msg", "session", "service", service); err != nil {
				t.Error(err)
			}
		}
		if after, err := os.ReadFile(old); err != nil || string(after) != string(before) {
			t.Errorf("the moved log grew by %q, %v", strings.TrimPrefix(string(after), string(before)), err)
		}
	}
	fds, err := filepath.Glob("/proc/" + strconv.Itoa(acceptor(t, b)) + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("/proc/" + strconv.Itoa(b.PID) + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	fds = append(fds, own...)
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, b.LogFile+".") {
			t.Errorf("%s is still %s", fd, to)
		}
	}
}

// TestFailedHangupNamesThePlace: what is wrong with a policy that SIGHUP did not
// load is in the log, with file, line and column.
func TestFailedHangupNamesThePlace(t *testing.T) {
	text, echo, _ := logged(t, "")
	b := rig.Serve(t, text)
	if err := b.WritePolicy("bad.cm.hcl", "acl \"x\" {\n  allow { from = [\"any\"] }\n  defualt = \"deny\"\n}\n"); err != nil {
		t.Fatal(err)
	}
	if err := b.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "load failed, nothing changed", "level", "ERROR"); err != nil {
		t.Fatal(err)
	}
	d, err := b.Find("msg", "diagnostic", "level", "ERROR", "file", filepath.Join(b.Policy, "bad.cm.hcl"), "line", "3", "column", "3")
	if err != nil || len(d) != 1 || !strings.Contains(d[0].Str("error"), "defualt") {
		all, _ := b.Find("msg", "diagnostic")
		t.Errorf("%v, %v among %v", d, err, all)
	}
	if _, err := rig.Exchange(echo, "x"); err != nil {
		t.Error(err)
	}
}

// TestLastWordsAreLogged: what a built-in and a program say when the broker stops
// is in the log before its last record.
func TestLastWordsAreLogged(t *testing.T) {
	text, echo, _ := logged(t, "")
	b := rig.Serve(t, text)
	echoed(t, echo)
	if _, err := b.Await(1, 30*time.Second, "msg", "decision", "service", "echo", "client", "127.0.0.1"); err != nil { // the log worker runs
		t.Fatal(err)
	}
	if err := b.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	all, err := b.Records()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := b.Find("msg", "session", "service", "echo", "reason", "killed", "client", "127.0.0.1"); err != nil || len(s) != 1 {
		t.Errorf("%v, %v", s, err)
	}
	if last := all[len(all)-1].Str("msg"); last != "stopped" {
		t.Errorf("the last record is %q", last)
	}
}

// TestSlowLogIsWhole: a pipe that is read slowly gets whole lines, though the
// broker, a built-in and a service's stderr of long lines all fill it.
func TestSlowLogIsWhole(t *testing.T) {
	text, echo, greet := logged(t, "")
	text = strings.Replace(text, "echo to the log >&2", "for i in 1 2 3 4 5 6 7 8 9; do head -c 4000 /dev/zero | tr '\\\\\\\\0' '\\\\\\\\1' >&2; echo >&2; done", 1)
	fifo := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": text}, Args: []string{"--log", fifo}})
	for range 20 {
		for _, port := range []string{echo, greet} {
			if _, err := rig.Exchange(port, "x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	kinds, long := readSlowly(t, r, b.LogFile, 40)
	if kinds["decision"] < 40 || kinds["stderr"] == 0 || kinds["session"] < 40 || long == 0 {
		t.Errorf("records %v, %d longer than a pipe's page", kinds, long)
	}
}

// readSlowly moves what is in a fifo to a file, a little at a time and until
// nothing has come for a second after so many sessions' ends, or for 30, and counts the file's records by kind, and those
// above PIPE_BUF.
func readSlowly(t *testing.T, r *os.File, file string, sessions int) (kinds map[string]int, long int) {
	t.Helper()
	var text []byte
	buf := make([]byte, 3000)
	for last := time.Now(); time.Since(last) < 30*time.Second; {
		if err := r.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := r.Read(buf)
		if err != nil && bytes.Count(text, []byte(`"msg":"session"`)) >= sessions {
			break
		}
		if n > 0 {
			last = time.Now()
		}
		text = append(text, buf[:n]...)
		time.Sleep(time.Millisecond)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := (&rig.Broker{LogFile: file}).Records() // fails where two lines have mixed
	if err != nil {
		t.Fatal(err)
	}
	kinds = map[string]int{}
	for _, r := range all {
		kinds[r.Str("msg")]++
	}
	for line := range strings.Lines(string(text)) {
		if len(line) > 4096 {
			long++
		}
	}
	return kinds, long
}

// TestLogLevels: a service's level holds for a program and for a built-in, and no
// level leaves out what went wrong. A service of every record is the control.
func TestLogLevels(t *testing.T) {
	text, ports := head, map[string]string{}
	for _, level := range policy.LogLevels {
		for kind, what := range map[string]string{
			"program": "command = [\"/bin/sh\", \"-c\", \"read -r line; eval \\\"$line\\\"; echo ok\"]\n  user = \"dynamic\"\n  profile = profile.server",
			"builtin": "builtin = \"echo\"\n  profile = profile.builtin",
		} {
			name := kind + "-" + string(level)
			ports[name] = rig.Port(t)
			text += fmt.Sprintf("\nservice %q {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  %s\n  acl = acl.here\n  limit = limit.wide\n  log = %q\n}\n", name, ports[name], what, level)
		}
	}
	text += "\nacl \"here\" {\n  deny { from = [\"127.0.0.66\"] }\n  allow { from = [\"127.0.0.0/8\"] }\n}\n"
	b := rig.Serve(t, text)
	for _, port := range ports {
		for _, line := range []string{":\n", "kill -SEGV $$\n"} {
			_, _ = rig.Exchange(port, line) // the second of a program has no answer
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: 30 * time.Second}
		if c, err := d.Dial("tcp4", "127.0.0.1:"+port); err == nil {
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}
	}
	for name := range ports { // a client has its answer before its session is over
		if level := name[strings.Index(name, "-")+1:]; level != "refusals" {
			if _, err := b.Await(2, 30*time.Second, "msg", "session", "service", name); err != nil {
				t.Error(err)
			}
		}
	}
	if err := b.Signal(syscall.SIGTERM); err != nil { // whatever is to be written is written
		t.Fatal(err)
	}
	if _, err := b.Ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	for name := range ports {
		got := map[string]int{}
		all, err := b.Find("service", name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.Str("client") == "" {
				continue // of the built-in's worker
			}
			got[r.Str("msg")+" "+r.Str("verdict")+r.Str("reason")]++
		}
		kind, level, _ := strings.Cut(name, "-")
		want := map[string]int{}
		if level != "refusals" {
			want["decision allow"] = 2
			want["session exit"] = map[string]int{"program": 1, "builtin": 2}[kind]
		}
		if level != "sessions" {
			want["decision denyacl"] = 1
		}
		if kind == "program" {
			want["session crash"] = 1
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
