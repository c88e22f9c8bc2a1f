package root

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// TestWorkersAfterAnUpdate: a reload replaces the workers of casemated whose program is
// another file now, and no others. What a session writes is logged before and after.
func TestWorkersAfterAnUpdate(t *testing.T) {
	l := newLibexec(t)
	talks, asks := rig.Port(t), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Args: []string{"--libexec", l.dir}, Files: map[string]string{"test.cm.hcl": head +
		"\nacl \"named\" {\nallow { from = [\"known\", \"unknown\", \"paranoid\"] }\n}\n" +
		service("talks", "tcp://127.0.0.1:"+talks, []string{"/bin/sh", "-c", "while read -r line; do echo $line >&2; echo ok; done"}, "profile = profile.server") +
		service("asks", "tcp://127.0.0.1:"+asks, []string{"/bin/echo", "ok"}, "profile = profile.line", "acl = acl.named")}})
	c, err := rig.Dial(talks)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	id := ""
	says := func(text string) {
		t.Helper()
		if _, err := fmt.Fprintln(c, text); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != "ok\n" {
			t.Fatalf("%q, %v", got, err)
		}
		r, err := b.Await(1, 10*time.Second, "msg", "stderr", "service", "talks", "text", text)
		if err != nil {
			t.Fatal(err)
		}
		if id == "" {
			id = r[0].Str("id")
		}
		if got := r[0].Str("id"); got != id || len(r) != 1 {
			t.Errorf("%q has id %s of %d records, want %s of one", text, got, len(r), id)
		}
	}
	ask := func() {
		t.Helper()
		if _, _, err := visit("127.0.0.1", asks); err != nil { // whatever its name
			t.Error(err)
		}
	}
	program := filepath.Join(l.dir, "casemate-worker")
	says("one")
	ask()
	log, names := worker(t, b, "log", program), worker(t, b, "names", program)
	reload(t, b, "")
	says("two")
	ask()
	if now := worker(t, b, "log", program); now != log {
		t.Errorf("the log worker is %d, was %d, and its program is the same", now, log)
	}
	if now := worker(t, b, "names", program); now != names {
		t.Errorf("the names worker is %d, was %d, and its program is the same", now, names)
	}
	must(t, "cp", program, program+".new")
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	reload(t, b, "")
	says("three")
	ask()
	worker(t, b, "log", program)
	worker(t, b, "names", program)
}

// TestDenialsWorkerAfterAnUpdate: it is replaced as the others are, and its successor goes on where it ended: a session that
// makes denied calls all the time gets EPERM for each, no sooner or later, and each is counted once.
func TestDenialsWorkerAfterAnUpdate(t *testing.T) {
	l := newLibexec(t)
	victim, port := rig.Compile(t, "testdata/denied.c"), rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Args: []string{"--libexec", l.dir}, Files: map[string]string{"test.cm.hcl": head +
		service("victim", "tcp://127.0.0.1:"+port, []string{victim}, "profile = profile.server")}})
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	calls := 0
	denied := func(line string) {
		t.Helper()
		if _, err := fmt.Fprintln(c, line); err != nil {
			t.Fatal(err)
		}
		if got, err := answers.ReadString('\n'); err != nil || got != "1\n" {
			t.Fatalf("call %d: errno %q, %v, want EPERM", calls, got, err)
		}
		calls++
	}
	denied("stay tcp")
	program := filepath.Join(l.dir, "casemate-worker")
	before := worker(t, b, "denials", program)
	reload(t, b, "")
	denied("again")
	if now := worker(t, b, "denials", program); now != before {
		t.Errorf("the worker is %d, was %d, and its program is the same", now, before)
	}
	for range 3 {
		must(t, "cp", program, program+".new")
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
		loaded := make(chan error, 1)
		go func() { _, err := b.Request(control.Request{Verb: control.VerbReload}); loaded <- err }()
		for more := true; more; { // while the one goes and the other comes
			denied("again")
			if process, err := rig.Children(b.PID); err == nil {
				more = slices.ContainsFunc(process, func(p rig.Process) bool { return p.PID == before })
			}
		}
		if err := <-loaded; err != nil {
			t.Fatal(err)
		}
		denied("again")
		before = worker(t, b, "denials", program)
	}
	c.Close()
	if err := rig.Until(30*time.Second, func() error {
		all, err := b.Find("msg", "denied", "service", "victim", "syscall", "socket")
		counted := 0
		for _, r := range all {
			n, _ := strconv.Atoi(r.Str("count"))
			counted += n
		}
		if err == nil && counted != calls {
			err = fmt.Errorf("%d of %d calls are counted", counted, calls)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if stray, err := b.Find("msg", "denied", "id", "0"); err != nil || len(stray) > 0 {
		t.Errorf("nobody's: %v, %v", stray, err)
	}
}

// worker is the one of a broker's workers that runs program; there is no other of its kind.
func worker(t *testing.T, b *rig.Broker, verb, program string) (pid int) {
	t.Helper()
	want, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(20*time.Second, func() error {
		children, err := rig.Children(b.PID)
		if err != nil {
			return err
		}
		all := 0
		for _, c := range children {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.PID))
			if string(text) != "casemate-worker\x00"+verb+"\x00" {
				continue
			}
			all++
			if runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", c.PID)); err == nil && os.SameFile(runs, want) {
				pid = c.PID
			}
		}
		if pid == 0 || all != 1 {
			return fmt.Errorf("%d workers %s, and one of %s is %d", all, verb, program, pid)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestBrokerAfterAnUpdate: a broker that is killed after another program has been installed in its place is followed by one of
// the program that this casemated knows how to speak with.
func TestBrokerAfterAnUpdate(t *testing.T) {
	l := newLibexec(t)
	port := rig.Port(t)
	b := rig.ServeWith(t, rig.Options{Args: []string{"--libexec", l.dir}, Files: map[string]string{"test.cm.hcl": head +
		service("says", "tcp://127.0.0.1:"+port, []string{"/bin/echo", "ok"}, "profile = profile.line")}})
	program := filepath.Join(l.dir, "casemate-worker")
	must(t, "cp", "/bin/false", program+".new")
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	old := acceptor(t, b)
	if err := unix.Kill(old, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if now, err := b.Acceptor(); err != nil || now == old {
			return fmt.Errorf("the broker is %d (%v), was %d", now, err, old)
		}
		got, err := rig.Exchange(port, "")
		if err == nil && got != "ok\n" {
			err = fmt.Errorf("it answered %q", got)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
