package root

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// TestHalfClose: a service may still answer a client that stopped sending.
func TestHalfClose(t *testing.T) {
	_, ports := rogues(t, "", "count")
	exchange(t, ports["count"], strings.Repeat("x", 100_000), "100000 bytes\n")
	exchange(t, ports["count"], "", "0 bytes\n")
}

// TestClientsThatMisbehave: resets, silence and vanishing leave nothing behind
// and do not keep the neighbours waiting.
func TestClientsThatMisbehave(t *testing.T) {
	b, ports := rogues(t, "", "count", "hold", "once")
	before := counters(t, b)
	for range 200 {
		c, err := rig.Dial(ports["count"])
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetLinger(0); err != nil { // a reset instead of an end
			t.Fatal(err)
		}
		c.Close()
	}
	var silent []net.Conn
	for range 50 {
		c, err := rig.Dial(ports["hold"])
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	began := time.Now()
	exchange(t, ports["once"], "", "once\n")
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("beside 50 silent clients an answer took %s", d)
	}
	for _, c := range silent {
		c.Close()
	}
	quiet(t, b, before)
}

// TestProgramsThatMisbehave: crash, failure, running away and deafness each
// leave one record and nothing else.
func TestProgramsThatMisbehave(t *testing.T) {
	b, ports := rogues(t, "", "crash", "fail", "fork-away", "deaf", "once")
	before := counters(t, b)
	exchange(t, ports["crash"], "", "")
	record(t, b, "crash", "reason", "crash")
	exchange(t, ports["fail"], "", "")
	record(t, b, "fail", "exit", "3")

	exchange(t, ports["fork-away"], "", "gone\n")
	r := record(t, b, "fork-away", "reason", "exit")
	t.Logf("fork-away: %v", r)

	c, err := rig.Dial(ports["deaf"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line, err := io.ReadAll(io.LimitReader(c, 5)); err != nil || string(line) != "deaf\n" {
		t.Fatalf("deaf said %q (%v)", line, err)
	}
	pid := session(t, b, "deaf").PID
	record(t, b, "deaf", "reason", "timeout")
	if err := gone(30*time.Second, pid); err != nil {
		t.Error(err)
	}
	exchange(t, ports["once"], "", "once\n")
	quiet(t, b, before)
	if err := rig.Until(30*time.Second, func() error { // an earlier test's may just be ending
		if left := processesOf(t, "program"); len(left) > 0 {
			return fmt.Errorf("survived their connections: %+v", left)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// record waits for the one session record of the service and checks a field.
func record(t *testing.T, b *rig.Broker, name, key, want string) rig.Record {
	t.Helper()
	got, err := b.Await(1, 30*time.Second, "msg", "session", "service", name)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Str(key) != want {
		t.Errorf("%s: records %v, want one with %s %s", name, got, key, want)
	}
	return got[0]
}

// processesOf lists the processes with that name on the host.
func processesOf(t *testing.T, name string) []rig.Process {
	t.Helper()
	all, err := rig.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var out []rig.Process
	for _, p := range all {
		if p.Name == name {
			out = append(out, p)
		}
	}
	return out
}

// holdings is what a broker holds at one moment.
type holdings struct {
	rig.Counters
	zygotes, sessions int
}

// holds looks at the broker now.
func holds(b *rig.Broker) (holdings, error) {
	var h holdings
	s, err := b.Status()
	if err != nil {
		return h, err
	}
	h.sessions = len(s.Sessions)
	for _, x := range s.Services {
		if x.Zygote {
			h.zygotes++
		}
	}
	h.Counters, err = b.Counters()
	return h, err
}

// counters are what the broker holds once it has what it starts with: its zygotes
// are there before the log worker is, by long on a slow machine. They are what it goes on holding for a
// while: its two processes are looked at one after the other, and behind a load some of what they have is on its way.
func counters(t *testing.T, b *rig.Broker) holdings {
	t.Helper()
	const still = 300 * time.Millisecond
	var h holdings
	var since time.Time
	if err := rig.Until(30*time.Second, func() error {
		now, err := holds(b)
		if err == nil && now.zygotes > 0 && now.Children <= now.zygotes {
			err = fmt.Errorf("no log worker beside %d zygotes", now.zygotes)
		}
		if err == nil && (now.FDs != h.FDs || now.Children != h.Children || now.Mounts != h.Mounts || now.Cgroups != h.Cgroups || now.zygotes != h.zygotes) {
			h, since = now, time.Now()
		}
		if err == nil && time.Since(since) < still {
			err = fmt.Errorf("%+v, for %s", now, time.Since(since))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return h
}

// Each service that became active may hold a zygote: its process and its socket,
// and a pidfd. The log worker comes with the first of them: a process, its zygote and
// a socket for each.
const (
	zygoteFDs    = 2
	logProcesses = 2
	logFDs       = 4
)

// quiet waits until the broker holds no more than before, but for the zygotes
// of services that were active meanwhile.
func quiet(t *testing.T, b *rig.Broker, before holdings) {
	t.Helper()
	err := rig.Until(30*time.Second, func() error {
		now, err := holds(b)
		if err != nil {
			return err
		}
		more := max(0, now.zygotes-before.zygotes)
		processes, fds := more, zygoteFDs*more
		if before.Children == before.zygotes { // the log worker came up after the first look
			processes, fds = processes+logProcesses, fds+logFDs
		}
		if now.sessions > 0 || now.Zombies > 0 || now.Children > before.Children+processes || now.FDs > before.FDs+fds ||
			now.Mounts > before.Mounts || now.Cgroups > before.Cgroups {
			return fmt.Errorf("holds %+v, before %+v", now, before)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStderrFlood: what a service writes to stderr is quoted, cut and counted,
// and never holds up its answer.
func TestStderrFlood(t *testing.T) {
	rig.Root(t)
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	b := rig.Serve(t, head+service("flood", "tcp://127.0.0.1:"+port, []string{program, "flood", "100000"}, "profile = profile.line"))
	exchange(t, port, "", "flooded\n")
	got, err := b.Await(1, 30*time.Second, "msg", "stderr", "service", "flood")
	if err != nil {
		t.Fatal(err) // also when a line broke the log: every line has to parse
	}
	if text := got[0].Str("text"); !strings.Contains(text, `{"msg":"decision"}`) || strings.ContainsAny(text, "\x1b\x00") {
		t.Errorf("the first line came as %q", text)
	}
	if len(got) > 5000 {
		t.Errorf("%d of 100000 lines were logged: nothing held the flood back", len(got))
	}
	if n, _ := b.Find("msg", "decision", "service", "flood"); len(n) != 1 {
		t.Errorf("%d decision records for one connection", len(n))
	}
}

// TestReloadUnderFire: a hundred SIGHUPs while clients come; none is refused.
func TestReloadUnderFire(t *testing.T) {
	b, ports := rogues(t, "", "once", "hold")
	holding, err := rig.Dial(ports["hold"])
	if err != nil {
		t.Fatal(err)
	}
	defer holding.Close()
	held := session(t, b, "hold")
	before := counters(t, b)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var failed error
	served := 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if got, err := rig.Exchange(ports["once"], ""); err != nil || got != "once\n" {
				failed = fmt.Errorf("after %d answers: %q (%v)", served, got, err)
				return
			}
			served++
		}
	})
	first, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := b.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	last, err := b.Request(control.Request{Verb: control.VerbReload})
	close(stop)
	wg.Wait()
	if err != nil || !last.OK {
		t.Fatalf("reload: %v %+v", err, last)
	}
	if failed != nil {
		t.Error(failed)
	}
	now, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d connections served, generation %d to %d", served, first.Generation, now.Generation)
	if now.Digest != first.Digest {
		t.Errorf("the same policy has digest %s, then %s", first.Digest, now.Digest)
	}
	if s := session(t, b, "hold"); s.PID != held.PID {
		t.Errorf("the running session was %d, now %d", held.PID, s.PID)
	}
	holding.Close()
	quiet(t, b, before)
}

// TestBrokenPolicyKeepsTheOld: whatever is wrong with the new policy, the
// answer says where, and the old one goes on.
func TestBrokenPolicyKeepsTheOld(t *testing.T) {
	b, ports := rogues(t, "", "once")
	old, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no HCL":          "service \"x\" {",
		"deep":            "locals { a = " + strings.Repeat("(", 200_000) + " }",
		"binary":          "\x00\xff\xfe",
		"unknown words":   "service \"x\" {\n  colour = \"red\"\n}\n",
		"twice":           head,
		"no such user":    service("x", "tcp://127.0.0.1:"+rig.Port(t), []string{"/bin/true"}, `user = "nobody-at-all"`, "profile = profile.line"),
		"no such program": service("x", "tcp://127.0.0.1:"+rig.Port(t), []string{"/nowhere/program"}, "profile = profile.line"),
		"busy port":       service("x", "tcp://127.0.0.1:"+busy(t), []string{"/bin/true"}, "profile = profile.line"),
	} {
		if err := b.WritePolicy("more.cm.hcl", text); err != nil {
			t.Fatal(err)
		}
		a, err := b.Request(control.Request{Verb: control.VerbReload})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.OK || a.Error == "" && len(a.Diagnostics) == 0 {
			t.Errorf("%s: the reload answered %+v, want an error", name, a)
		}
		if a.Digest != old.Digest {
			t.Errorf("%s: digest %s in force, want the old %s", name, a.Digest, old.Digest)
		}
		for _, d := range a.Diagnostics {
			if d.File == "" || d.Line == 0 || d.Summary == "" {
				t.Errorf("%s: diagnostic without a place: %+v", name, d)
			}
		}
		exchange(t, ports["once"], "", "once\n")
	}
	if err := os.Remove(b.Policy + "/more.cm.hcl"); err != nil {
		t.Fatal(err)
	}
	if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
		t.Errorf("the repaired policy does not load: %v %+v", err, a)
	}
}

// busy is a port that somebody else listens on.
func busy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
