package root

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/sandbox/landlock"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// logs is a profile with a /dev/log, of the name that its base has in front of "log".
func logs(base, more string) string {
	return fmt.Sprintf("\nprofile %q {\n  base   = profile.%s\n  widens = [\"files\"]\n%s\n  files { log = true }\n}\n", base+"log", base, more)
}

// logNeeds leaves out a test of /dev/log where Landlock cannot hold what comes with it.
func logNeeds(t *testing.T) {
	t.Helper()
	if abi := landlock.ABI(); abi < landlock.ABIScopes {
		need.Kernel(t, "it has Landlock ABI %d: no service has a /dev/log", abi)
	}
}

// TestSyslog: what syslog(3) and logger(1) say is in the log with its priority, under the
// session whose process said it: in C, in Python, in a shell; of a leased uid, a fixed one
// and root; with an init or without, when several are there at once.
func TestSyslog(t *testing.T) {
	rig.Root(t)
	logNeeds(t)
	teller := rig.Compile(t, "testdata/syslog.c")
	python := "import sys, syslog\nline = sys.stdin.readline().strip()\nsyslog.openlog('snake', 0, syslog.LOG_MAIL)\nsyslog.syslog(syslog.LOG_WARNING, line + ' in Python')\nprint('ok')\n"
	script := `read -r line; logger -t shelly -p daemon.err "$line in a shell"; (logger -i -t deep "$line below") & wait; echo ok`
	type want struct{ level, facility, severity, ident, text string }
	cases := []struct {
		name    string
		command []string
		extra   []string
		said    []want
	}{
		{"c", []string{teller}, []string{"profile = profile.linelog"}, []want{{"ERROR", "auth", "crit", "teller", "%s in C"}, {"DEBUG", "local3", "debug", "p", `%s\x0a\x1b{"service":"x"}`}}},
		{"fixed", []string{teller}, []string{"profile = profile.linelog", `user = "nobody"`}, []want{{"ERROR", "auth", "crit", "teller", "%s in C"}}},
		{"root", []string{teller}, []string{"profile = profile.loginlog", `user = "root"`, `because = "a test of root"`}, []want{{"ERROR", "auth", "crit", "teller", "%s in C"}}},
		{"shell", []string{"/bin/sh", "-c", script}, []string{"profile = profile.serverlog", `user = "nobody"`}, []want{{"ERROR", "daemon", "err", "shelly", "%s in a shell"}, {"INFO", "user", "notice", "deep", "%s below"}}},
		{"python", []string{"/usr/bin/python3", "-c", python}, []string{"profile = profile.loginlog"}, []want{{"WARN", "mail", "warning", "snake", "%s in Python"}}},
		{"all", []string{teller}, []string{"profile = profile.linelog", `stdio = "socket-all"`}, []want{{"ERROR", "auth", "crit", "teller", "%s in C"}}},
		{"sealed", []string{teller}, []string{"profile = profile.fileslog"}, []want{{"ERROR", "auth", "crit", "teller", "%s in C"}}},
	}
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		cases = append(cases[:4], cases[5:]...)
	}
	text, ports := head+logs("line", "")+logs("files", "  syscalls { seal = true }")+logs("server", "  init = false")+"\nprofile \"loginlog\" {\n  base = profile.login\n}\n", map[string]string{}
	for _, c := range cases {
		ports[c.name] = rig.Port(t)
		text += service(c.name, "tcp://127.0.0.1:"+ports[c.name], c.command, c.extra...)
	}
	b := rig.Serve(t, text)
	const clients = 4
	sayTheirNames(t, ports, clients)
	for _, c := range cases {
		if _, err := b.Await(clients, 10*time.Second, "msg", "session", "service", c.name, "exit", "0"); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for i := range clients {
			who := fmt.Sprintf("%s-%d", c.name, i)
			id := ""
			for _, w := range c.said {
				text := strings.ReplaceAll(w.text, "%s", who)
				got, err := b.Await(1, 10*time.Second, "msg", "syslog", "service", c.name, "level", w.level, "facility", w.facility, "severity", w.severity, "text", text)
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 1 || got[0].Str("ident") != w.ident && w.ident != "p" || id != "" && id != got[0].Str("id") {
					t.Errorf("%v, want one of %q and session %q", got, w.ident, id)
				}
				id = got[0].Str("id")
			}
			if s, err := b.Find("msg", "session", "service", c.name, "id", id); err != nil || len(s) != 1 || ids[id] {
				t.Errorf("%s: session %q is %v, %v, among %v", who, id, s, err, ids)
			}
			ids[id] = true
		}
	}
}

// toldOf adds up what the log tells of a service's messages: records, and what is counted in their place.
func toldOf(b *rig.Broker, service string) (n int, err error) {
	written, err := b.Find("msg", "syslog", "service", service)
	if err != nil {
		return 0, err
	}
	n = len(written)
	for _, what := range []string{"syslog-suppressed", "syslog-lost"} {
		left, err := b.Find("msg", what, "service", service)
		if err != nil {
			return 0, err
		}
		for _, r := range left {
			count, err := strconv.Atoi(r.Str("count"))
			if err != nil {
				return 0, err
			}
			n += count
		}
	}
	return n, nil
}

// TestSyslogWithoutALogWorker: neither a log worker that is stopped nor one that dies
// holds up a program that says more than its /dev/log holds, and each message is a
// record or counted, those before and those after too.
func TestSyslogWithoutALogWorker(t *testing.T) {
	rig.Root(t)
	logNeeds(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+logs("line", "")+service("loud", "tcp://127.0.0.1:"+port, []string{rig.Compile(t, "testdata/syslog.c")}, "profile = profile.linelog"))
	const clients, messages, own = 20, 40, 2
	exchange(t, port, "hello\n", "ok\n")
	if _, err := b.Await(1, 10*time.Second, "msg", "syslog", "text", "hello in C"); err != nil {
		t.Fatal(err)
	}
	sent, worker := own, logWorkerPID(t, b, 0)
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		rig.Signal(t, worker, sig)
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				if got, err := rig.Exchange(port, fmt.Sprintf("%d %v\n", messages, sig)); err != nil || got != "ok\n" {
					t.Errorf("%v: %q, %v", sig, got, err)
				}
			})
		}
		wg.Wait()
		worker = logWorkerPID(t, b, worker)
		sent += clients * (messages + own)
		if err := rig.Until(30*time.Second, func() error {
			n, err := toldOf(b, "loud")
			if err == nil && n != sent {
				err = fmt.Errorf("%v: %d messages are told of, %d were sent", sig, n, sent)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	exchange(t, port, "again\n", "ok\n")
	if _, err := b.Await(1, 10*time.Second, "msg", "syslog", "text", "again in C"); err != nil {
		t.Error(err)
	}
}

// TestSyslogGoesOn: a session's /dev/log is what it was after a reload that replaces its
// service, after the end of its zygote, and when another log worker has taken over.
func TestSyslogGoesOn(t *testing.T) {
	rig.Root(t)
	logNeeds(t)
	port := rig.Port(t)
	text := func(extra string) string {
		return head + logs("server", "  init = false\n"+extra) + service("slow", "tcp://127.0.0.1:"+port,
			[]string{"/bin/sh", "-c", "while read -r line; do logger -t slow \"$line\"; echo ok; done"}, "profile = profile.serverlog", `linger = "1s"`)
	}
	b := rig.Serve(t, text(""))
	c := connect(t, port)
	answers := bufio.NewReader(c)
	say := func(text string) {
		t.Helper()
		if _, err := fmt.Fprintln(c, text); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != "ok\n" {
			t.Fatalf("%s: %q, %v", text, got, err)
		}
		if got, err := b.Await(1, 10*time.Second, "msg", "syslog", "service", "slow", "text", text); err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	say("before")
	if err := b.WritePolicy("test.cm.hcl", text("  resources { open_files = 100 }\n")); err != nil {
		t.Fatal(err)
	}
	if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
		t.Fatal(a, err)
	}
	say("reloaded")
	worker := logWorkerPID(t, b, 0)
	if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	logWorkerPID(t, b, worker)
	say("taken over")
	exchange(t, port, "new\n", "ok\n")
	if _, err := b.Await(1, 10*time.Second, "msg", "syslog", "service", "slow", "text", "new"); err != nil {
		t.Error(err)
	}
	if err := rig.Until(20*time.Second, func() error {
		s, err := b.Service("slow")
		if err == nil && s.Zygote {
			err = fmt.Errorf("zygote %d runs", s.ZygotePID)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	say("retired")
}
