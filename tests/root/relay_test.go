package root

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/need"
	"casemate/tests/root/rig"
)

// relayed starts a broker with services behind a relay, and gives what connects to each, and where each is.
func relayed(t *testing.T, policy string, services ...[]string) (b *rig.Broker, dial func(name string) *net.TCPConn, port func(name string) string) {
	t.Helper()
	text, ports := head+policy, map[string]string{}
	for _, s := range services { // name, command, further attributes
		ports[s[0]] = rig.Port(t)
		extra := []string{`stdio = "relay"`}
		if !overridden("profile", s[2:]) {
			extra = append(extra, "profile = profile.behind")
		}
		text += service(s[0], "tcp://127.0.0.1:"+ports[s[0]], strings.Fields(s[1]), append(extra, s[2:]...)...)
	}
	return rig.Serve(t, text), func(name string) *net.TCPConn {
		t.Helper()
		d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error { // a window that a program fills
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10) })
		}}
		c, err := d.Dial("tcp4", "127.0.0.1:"+ports[name])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		return c.(*net.TCPConn)
	}, func(name string) string { return ports[name] }
}

// behind is a profile whose programs end when they are asked to.
const behind = "profile \"behind\" {\n  base = profile.files\n  init = true\n}\n"

// flooded is how many bytes relayed.c writes at most.
const flooded = 192 << 10

// relayWorker is the process that carries.
func relayWorker(t *testing.T, b *rig.Broker) (pid int) {
	t.Helper()
	if err := rig.Until(20*time.Second, func() error {
		children, err := rig.Children(b.PID)
		for _, p := range children {
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); err == nil && string(line) == "casemate-worker\x00relay\x00" {
				pid = p.PID
				return nil
			}
		}
		return errors.Join(err, errors.New("no casemate-worker relay runs"))
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestRelay: behind a relay a program has a unix socket whose other end is nobody who counts, and its client has all
// that it ever had: megabytes of both ways at once, an answer after it has said all, a record with its bytes.
func TestRelay(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/relayed.c")
	b, dial, _ := relayed(t, behind, []string{"facts", program}, []string{"both", need.Programs(t, "cat")[0]}, []string{"first", program, "profile = profile.line"},
		[]string{"flood", program + " flood"})
	ask := func(name, say string) (string, error) {
		c := dial(name)
		_, _ = io.WriteString(c, say)
		_ = c.CloseWrite()
		got, err := io.ReadAll(c)
		return string(got), err
	}
	want := "domain 1 type 1 peer ok 1, cred another, nodelay EOPNOTSUPP, addr 127.0.0.1\ngot 5, ok\n"
	for _, name := range []string{"facts", "first"} {
		if got, err := ask(name, "hello"); got != want || err != nil {
			t.Errorf("%s says %q (%v), want %q", name, got, err, want)
		}
	}
	if r, err := b.Await(1, 20*time.Second, "msg", "session", "service", "facts", "reason", "exit", "bytes_in", "6", "bytes_out", fmt.Sprint(len(want))); err != nil {
		t.Errorf("%v: %v", r, err)
	}
	c := dial("both")
	sent := make(chan []byte, 1)
	go func() { sent <- pour(c, 3); _ = c.CloseWrite() }()
	h := sha256.New()
	if n, err := io.Copy(h, c); n != poured || err != nil || !bytes.Equal(h.Sum(nil), <-sent) {
		t.Errorf("%d bytes came back (%v), want %d, the same", n, err, poured)
	}
	// What it leaves unread does not take from its client what it wrote.
	c = dial("flood")
	_, _ = c.Write(make([]byte, 100<<10))
	time.Sleep(10 * time.Millisecond)
	if got, err := io.ReadAll(c); len(got) != flooded || err != nil {
		t.Errorf("%d bytes came (%v)", len(got), err)
	}
}

// TestRelayEnds: a session behind a relay ends as any other one does.
func TestRelayEnds(t *testing.T) {
	rig.Root(t)
	program, cat, yes := rig.Compile(t, "testdata/relayed.c"), need.Programs(t, "cat")[0], need.Programs(t, "yes")[0]
	const small = "socket { send_buffer = \"8KiB\" }" // what its program leaves is the relay's to send
	b, dial, port := relayed(t, behind+"limit \"short\" { session = \"1s\" }\nlimit \"one\" { concurrent = 1 }\n",
		[]string{"kill", cat}, []string{"session", cat, "limit = limit.short"}, []string{"idle", cat, `idle = "1s"`}, []string{"one", cat, "limit = limit.one"},
		[]string{"gone", yes, "profile = profile.line"}, []string{"reset", yes, "profile = profile.line"}, []string{"taken", program + " flood", "limit = limit.one", small}, []string{"forced", program + " flood", small})
	runs := func(name string) *net.TCPConn {
		t.Helper()
		c := dial(name)
		_, _ = c.Write([]byte("x"))
		if n, err := c.Read(make([]byte, 1)); n != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		return c
	}
	killed := runs("kill")
	if code, out, errs := casemate(t, b, "kill", fmt.Sprint(session(t, b, "kill").ID)); code != 0 || !strings.HasPrefix(out, "ended ") {
		t.Errorf("kill: exit status %d, %q, %q", code, out, errs)
	}
	for name, c := range map[string]net.Conn{"kill": killed, "session": runs("session"), "idle": runs("idle")} {
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
			t.Errorf("%s: %q, %v, want an orderly end", name, got, err)
		}
	}
	held := runs("one")
	refused := func(name string) {
		t.Helper()
		c, err := rig.Dial(port(name))
		if err != nil { // the reset may come before anybody looks
			return
		}
		defer c.Close()
		if got, err := io.ReadAll(c); len(got) > 0 || err == nil {
			t.Errorf("%s: a second one where one may be: %q, %v", name, got, err)
		}
	}
	refused("one")
	held.Close()
	runs("gone").Close()
	reset := runs("reset")
	_ = reset.SetLinger(0)
	reset.Close()
	// Its program has written all and ended; the client, who takes none of it, has its place as long as that lasts.
	for _, name := range []string{"taken", "forced"} {
		slow := dial(name)
		lingers(t, b, name)
		if name == "forced" {
			if code, out, errs := casemate(t, b, "kill", "--now", fmt.Sprint(session(t, b, name).ID)); code != 0 {
				t.Errorf("kill --now: exit status %d, %q, %q", code, out, errs)
			}
			if got, err := io.ReadAll(slow); len(got) == flooded || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%d bytes (%v), want fewer than all and a reset", len(got), err)
			}
			continue
		}
		refused(name)
		if got, err := io.ReadAll(slow); len(got) != flooded || err != nil {
			t.Errorf("%d bytes came (%v)", len(got), err)
		}
	}
	for name, want := range map[string]string{"kill": "killed", "session": "timeout", "idle": "idle", "one": "exit", "gone": "exit", "reset": "exit", "taken": "exit", "forced": "killed"} {
		if r, err := b.Await(1, 20*time.Second, "msg", "session", "service", name); err != nil || r[0].Str("reason") != want {
			t.Errorf("%s: %v, %v, want the reason %s", name, r, err, want)
		}
	}
	if r, err := b.Await(1, 20*time.Second, "msg", "session", "service", "taken"); err != nil || r[0].Str("bytes_out") != fmt.Sprint(flooded) {
		t.Errorf("%v (%v), want all of them", r, err)
	}
}

// lingers waits until the one session of a service is that of a program that has ended.
func lingers(t *testing.T, b *rig.Broker, name string) {
	t.Helper()
	if err := rig.Until(20*time.Second, func() error {
		s, err := b.Status()
		if err != nil {
			return err
		}
		for _, one := range s.Sessions {
			if one.Service == name {
				status, err := rig.Status(one.PID)
				if errors.Is(err, fs.ErrNotExist) { // and is reaped
					return nil
				}
				if err == nil && !strings.HasPrefix(status["State"], "Z") {
					err = fmt.Errorf("process %d is %s", one.PID, status["State"])
				}
				return err
			}
		}
		return errors.New("no session")
	}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestRelayDies: sessions end with the worker that carries for them, and another one carries for the next.
func TestRelayDies(t *testing.T) {
	rig.Root(t)
	b, dial, _ := relayed(t, behind, []string{"cat", need.Programs(t, "cat")[0]})
	say := func() *net.TCPConn {
		t.Helper()
		var c *net.TCPConn
		if err := rig.Until(30*time.Second, func() error {
			c = dial("cat")
			_, _ = c.Write([]byte("x"))
			_, err := c.Read(make([]byte, 1))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c, first := say(), relayWorker(t, b)
	if status, err := rig.Status(first); err != nil || strings.HasPrefix(status["Uid"], "0") || strings.Trim(status["CapEff"], "0") != "" || status["Seccomp"] != "2" {
		t.Errorf("the worker is %v (%v), want one without privileges", status, err)
	}
	rig.Signal(t, first, syscall.SIGKILL)
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v, want an orderly end", got, err)
	}
	if r, err := b.Await(1, 20*time.Second, "msg", "session", "service", "cat", "detail", "its relay ended"); err != nil {
		t.Errorf("%v: %v", r, err)
	}
	say()
	if next := relayWorker(t, b); next == first {
		t.Errorf("process %d carries still", next)
	}
	// One that is stopped holds nobody up for long.
	c = say()
	rig.Signal(t, relayWorker(t, b), syscall.SIGSTOP)
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v, want an orderly end", got, err)
	}
	if err := b.Idle(20 * time.Second); err != nil {
		t.Error(err)
	}
}

// TestPrivateTakesNetAdmin: where casemated may not have what sets up a loopback, a service that needs one is not
// served, and says at which step; others are.
func TestPrivateTakesNetAdmin(t *testing.T) {
	rig.Root(t)
	setpriv := need.Programs(t, "setpriv")[0]
	program, own, plain := rig.Compile(t, "testdata/relayed.c"), rig.Port(t), rig.Port(t)
	text := head + "profile \"own\" {\n  base = profile.line\n  widens = [\"network\"]\n  network { mode = \"private\" }\n}\n" +
		service("own", "tcp://127.0.0.1:"+own, []string{program}, `stdio = "relay"`, "profile = profile.own") + service("plain", "tcp://127.0.0.1:"+plain, []string{program}, `stdio = "relay"`)
	b := rig.ServeWith(t, rig.Options{Under: []string{setpriv, "--bounding-set", "-net_admin"}, Files: map[string]string{"test.cm.hcl": text}})
	if got, err := rig.Exchange(plain, "hello"); err != nil || !strings.HasSuffix(got, "got 5, ok\n") {
		t.Errorf("a service without a network of its own says %q (%v)", got, err)
	}
	if s, err := b.Service("own"); err != nil || !strings.Contains(s.Error, "set capabilities: operation not permitted") {
		t.Errorf("one with it is %+v (%v)", s, err)
	}
	if got, err := rig.Exchange(own, "hello"); got != "" || err == nil {
		t.Errorf("and says %q (%v)", got, err)
	}
}

// TestRelayElsewhere: a relay takes clients of unix sockets and of tcpmux as well, and does not outlive its broker, whatever on_stop says
// of others.
func TestRelayElsewhere(t *testing.T) {
	rig.Root(t)
	program, cat, mux, port, socket := rig.Compile(t, "testdata/relayed.c"), need.Programs(t, "cat")[0], rig.Port(t), rig.Port(t), relaySocket(t)
	const relay = `stdio = "relay"`
	b := rig.Serve(t, strings.Replace(head, "{ edition = 1 }", "{\n  edition = 1\n  on_stop = \"leave\"\n}", 1)+behind+
		service("local", "unix:"+socket, []string{program}, relay, "acl = acl.anyone", "env_style = []", `env = { REMOTE_ADDR = "x" }`)+
		service("named", "tcpmux:named", []string{program}, relay)+service("cat", "tcp://127.0.0.1:"+port, []string{cat}, relay, "profile = profile.behind")+
		fmt.Sprintf("service \"mux\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"tcpmux\"\n  acl = acl.loopback\n}\n", mux))
	local, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	_, _ = io.WriteString(local, "hello")
	_ = local.(*net.UnixConn).CloseWrite()
	const known = "domain 1 type 1 peer ok 1, cred another, nodelay EOPNOTSUPP, addr "
	if got, err := io.ReadAll(local); string(got) != known+"x\ngot 5, ok\n" || err != nil {
		t.Errorf("of a unix socket it says %q (%v)", got, err)
	}
	if got, err := rig.Exchange(mux, "named\r\nhello"); got != known+"127.0.0.1\ngot 5, ok\n" || err != nil {
		t.Errorf("by tcpmux it says %q (%v)", got, err)
	}
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	goesBack(t, "cat", c, "before")
	pid := session(t, b, "cat").PID
	b.Stop()
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v, want an orderly end", got, err)
	}
	if err := gone(20*time.Second, pid); err != nil {
		t.Error(err)
	}
}
