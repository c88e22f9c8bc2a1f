package escape

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// logging is a profile whose sessions have a /dev/log, with more in files.
func logging(base, more string) string {
	return fmt.Sprintf("  base = profile.%s\n  widens = [\"files\"]\n  init = false\n  files {\n    log = true\n%s\n  }", base, more)
}

// logNeeds leaves out a test of /dev/log where Landlock cannot hold what comes with it.
func logNeeds(t *testing.T) {
	t.Helper()
	if abi := landlock.ABI(); abi < landlock.ABIScopes {
		need.Kernel(t, "it has Landlock ABI %d: no service has a /dev/log", abi)
	}
}

// datagramCanary is a unix datagram socket of the host at name that counts who comes.
func datagramCanary(t *testing.T, c *canaries, name string) {
	t.Helper()
	l, err := net.ListenPacket("unixgram", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if !strings.HasPrefix(name, "@") {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		for {
			if _, _, err := l.ReadFrom(make([]byte, 16)); err != nil {
				return
			}
			c.touched.Add(1)
		}
	}()
}

// TestLogReachesNothingElse: with /dev/log come connect, sendmsg and unix datagram sockets.
// They aim the client's socket nowhere, reach no abstract socket of the host and no path that is
// not shown, and meet no other session (attempts 55, 56, 59 and 90 to 92). Landlock and the namespaces
// hold what the filter lets through here.
func TestLogReachesNothingElse(t *testing.T) {
	rig.Root(t)
	logNeeds(t)
	victim, c, free := compileVictim(t), plant(t), plant(t)
	hidden, shown := rig.PublicDir(t), rig.PublicDir(t)
	for _, set := range []struct {
		c    *canaries
		name string
	}{{c, "x"}, {free, "y"}} {
		datagramCanary(t, set.c, "@"+set.c.abstract+"-d")
		datagramCanary(t, set.c, filepath.Join(hidden, set.name))
	}
	datagramCanary(t, free, filepath.Join(shown, "sock"))
	text, ports := policyHead, map[string]string{}
	for _, base := range []string{"line", "server", "login"} {
		ports[base] = rig.Port(t)
		text += serviceText(base+"-log", ports[base], victim, logging(base, fmt.Sprintf("    read = [%q]", shown)))
	}
	ports["host"] = rig.Port(t)
	text += serviceText("host-log", ports["host"], victim, logging("line", "")+"\n  network { mode = \"host\" }\n  because = \"a test\"")
	text = strings.Replace(text, "\"host-log\" {\n  base = profile.line\n  widens = [\"files\"]", "\"host-log\" {\n  base = profile.line\n  widens = [\"files\", \"network\"]", 1)
	b := rig.Serve(t, text)
	attempts := []struct{ line, want string }{
		{"log-abstract {abstract}-d", "EPERM|EACCES|ECONNREFUSED"},
		{"log-path {hidden}", "ENOENT"},
		{"log-bind", shut},
		{"log-autobind", shut},
		{"log-number", "EPERM|EACCES"},
		{"log-creds", "EPERM"},
		{"unix-abstract {abstract}", noSocket},
		{"unix-path {dir}/read/sock", noSocket + "|ENOENT"},
		{"tcp 127.0.0.1 {tcp}", unreachable},
		{"mptcp 127.0.0.1 {tcp}", unreachable},
		{"udp 127.0.0.1 {udp}", unreachable},
		{"rebind 127.0.0.1", shut},
	}
	values := func(c *canaries, name string) map[string]string {
		v := c.values(victim, "0")
		v["hidden"] = filepath.Join(hidden, name)
		return v
	}
	for name, port := range ports {
		if o := inside(t, port, "log here"); o.result != "ok" {
			t.Errorf("%s: /dev/log: %s", name, o)
		}
		for _, a := range attempts {
			if o := inside(t, port, fill(t, a.line, values(c, "x"))); !denied(a.want, o) {
				t.Errorf("%s: %s: %s, want %s", name, a.line, o, a.want)
			}
		}
		for _, line := range []string{"log-reaim 127.0.0.1 {tcp}", "reaim 127.0.0.1 {tcp}", "relisten"} {
			inside(t, port, fill(t, line, values(c, "x"))) // who has lost its client answers nothing
		}
		got, err := b.Await(2, 10*time.Second, "msg", "syslog", "service", name+"-log")
		if err != nil {
			t.Fatal(err)
		}
		// Of two sessions, whose sockets are read in no order of theirs.
		if !slices.ContainsFunc(got, func(r rig.Record) bool {
			text := r.Str("text")
			return strings.Contains(text, "disconnect 0, connect EACCES,") && !strings.Contains(text, "sendmsg 0") && strings.Contains(text, "fastopen EPERM, listen EPERM")
		}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	time.Sleep(50 * time.Millisecond) // a connection that was made needs a moment to be counted
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
	for _, line := range []string{"log-abstract {abstract}-d", "log-path {hidden}", "reaim 127.0.0.1 {tcp}", "tcp 127.0.0.1 {tcp}", "log-bind", "log-autobind", "relisten"} {
		if o := outside(t, victim, fill(t, line, values(free, "y")), asNobody); o.result != "ok" {
			t.Errorf("%s: %s outside of the sandbox, so its denial inside proves nothing", line, o)
		}
	}
	if n := free.touched.Load(); n < 4 {
		t.Errorf("outside, the canaries were reached %d times", n)
	}
	// What a profile shows is reached, as SECURITY.md says, before Landlock's ABI 9.
	if o := inside(t, ports["line"], "log-path "+filepath.Join(shown, "sock")); !denied("ok|EACCES", o) {
		t.Errorf("a socket that is shown: %s", o)
	}
}

// TestLogOfOthers: a session that floods its /dev/log, says what is made to look like records of
// another, or sends descriptors along, takes nothing from another service nor from another session
// of its own, and nothing of it is missing uncounted (attempts 93 to 95).
func TestLogOfOthers(t *testing.T) {
	rig.Root(t)
	logNeeds(t)
	victim, loud, quiet := compileVictim(t), rig.Port(t), rig.Port(t)
	b := rig.Serve(t, policyHead+serviceText("loud", loud, victim, logging("server", ""))+serviceText("quiet", quiet, victim, logging("server", "")))
	const floods, messages, words = 4, 1500, 10
	var wg sync.WaitGroup
	for range floods {
		wg.Go(func() {
			if o := inside(t, loud, fmt.Sprintf("log-flood %d", messages)); o.result != "ok" {
				t.Errorf("flood: %s", o)
			}
		})
	}
	for i := range words {
		for service, port := range map[string]string{"quiet": quiet, "loud": loud} {
			text := fmt.Sprintf("%s-%d", service, i)
			if o := inside(t, port, "log "+text); o.result != "ok" {
				t.Errorf("%s: %s", text, o)
			}
			if _, err := b.Await(1, 10*time.Second, "msg", "syslog", "service", service, "text", text); err != nil && service == "quiet" {
				t.Error(err)
			}
		}
	}
	wg.Wait()
	if err := rig.Until(30*time.Second, func() error {
		written, err := b.Find("msg", "syslog", "service", "loud")
		if err != nil {
			return err
		}
		n := len(written)
		for _, what := range []string{"syslog-suppressed", "syslog-lost"} {
			left, err := b.Find("msg", what, "service", "loud")
			if err != nil {
				return err
			}
			for _, r := range left {
				more, _ := strconv.Atoi(r.Str("count"))
				n += more
			}
		}
		if n != floods*messages+words {
			return fmt.Errorf("%d messages are told of, %d were sent", n, floods*messages+words)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}

	for _, line := range []string{"log-bytes", "log-rights"} {
		if o := inside(t, loud, line); !denied("ok|EPERM", o) { // from Linux 6.16 on no descriptor comes through
			t.Errorf("%s: %s", line, o)
		}
	}
	if o := inside(t, quiet, "log last"); o.result != "ok" {
		t.Error(o)
	}
	if _, err := b.Await(1, 10*time.Second, "msg", "syslog", "service", "quiet", "text", "last"); err != nil {
		t.Error(err)
	}
	hostile, err := b.Await(1, 10*time.Second, "msg", "syslog", "service", "loud", "severity", "crit", "ident", "other", "ident_pid", "1")
	if err != nil {
		t.Fatal(err)
	}
	if want := `a\x0d\x08\x1b[2J\u202e\xff\x00\x0a<0>{"msg":"session","service":"quiet","id":1}`; hostile[0].Str("text") != want {
		t.Errorf("%q, want %q", hostile[0].Str("text"), want)
	}
	if forged, err := b.Find("msg", "session", "service", "quiet", "id", "1", "pid", ""); err != nil || len(forged) > 0 {
		t.Errorf("%v, %v", forged, err)
	}
	if _, err := b.Status(); err != nil {
		t.Error(err)
	}
}
