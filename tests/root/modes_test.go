package root

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// self serves the program that tells what it was started as, and returns what
// it told one client.
func self(t *testing.T, policy string, extra ...string) (b *rig.Broker, port, told string) {
	t.Helper()
	rig.Root(t)
	port = rig.Port(t)
	command := []string{rig.Compile(t, "testdata/manners.c"), "self", "CLIENT"}
	for _, e := range extra {
		if strings.HasPrefix(e, "stdio = \"env:") {
			command[1] = "named"
		}
	}
	b = rig.Serve(t, head+policy+service("self", "tcp://127.0.0.1:"+port, command, extra...))
	told, err := rig.Exchange(port, "")
	if err != nil || told == "" {
		t.Fatalf("answered %q (%v)", told, err)
	}
	return b, port, told
}

// tells reports each line that is missing in what a program told.
func tells(t *testing.T, told string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\n"+told, "\n"+l+"\n") {
			t.Errorf("no line %q in\n%s", l, told)
		}
	}
}

// hushed reports each beginning of a line that should not be there.
func hushed(t *testing.T, told string, beginnings ...string) {
	t.Helper()
	for _, l := range beginnings {
		if strings.Contains("\n"+told, "\n"+l) {
			t.Errorf("a line %q in\n%s", l, told)
		}
	}
}

// TestIdentity: ids, groups, umask and directory are what the service block says.
func TestIdentity(t *testing.T) {
	_, _, told := self(t, "", "profile = profile.line", `user = "nobody"`, `group = "12345"`, `groups = ["23456", "34567"]`, `umask = "0027"`, `dir = "/usr/lib"`)
	tells(t, told, "uid 65534 65534 gid 12345 12345 groups 23456 34567", "umask 0027", "cwd /usr/lib", "stderr other", "setuid 0 failed")
	_, _, told = self(t, "", "profile = profile.line")
	tells(t, told, "umask 0077", "cwd /")
	if !strings.HasPrefix(told, "uid 1879") || !strings.Contains(told, " groups\n") {
		t.Errorf("a leased user is %q", told)
	}
}

// TestEnvironmentStyles: the peer's facts in each style, the policy's own
// variables, and nothing else.
func TestEnvironmentStyles(t *testing.T) {
	for _, c := range []struct {
		style  string
		want   []string
		hushed []string
	}{
		{`["ucspi"]`, []string{"env PROTO=TCP", "env TCPREMOTEIP=127.0.0.1", "env TCPLOCALIP=127.0.0.1"}, []string{"env REMOTE_"}},
		{`["systemd"]`, []string{"env REMOTE_ADDR=127.0.0.1"}, []string{"env TCP", "env PROTO", "env REMOTE_HOST"}},
		{`["xinetd"]`, []string{"env REMOTE_HOST=127.0.0.1"}, []string{"env TCP", "env PROTO", "env REMOTE_ADDR"}},
		{`[]`, nil, []string{"env TCP", "env PROTO", "env REMOTE_"}},
	} {
		_, port, told := self(t, "", "profile = profile.line", "env_style = "+c.style, `env = { A = "1 2", REMOTE_ADDR_X = "no fact" }`)
		tells(t, told, append(c.want, "env A=1 2", "env REMOTE_ADDR_X=no fact")...)
		hushed(t, strings.ReplaceAll(told, "env REMOTE_ADDR_X", "env X"), c.hushed...)
		if strings.Contains(c.style, "ucspi") {
			tells(t, told, "env TCPLOCALPORT="+port)
		}
	}
}

// TestStdio: where the client's socket is, and which variables tell so.
func TestStdio(t *testing.T) {
	_, _, told := self(t, "", "profile = profile.line", `stdio = "socket-all"`)
	tells(t, told, "stderr client")
	_, _, told = self(t, "", "profile = profile.line", `stdio = "env:CLIENT"`)
	tells(t, told, "named 3", "env CLIENT=3", "stderr other")
}

// TestListenFDs: a program that accepts by itself gets the listening socket as
// sd_listen_fds(3) says, or as its standard input; each start serves two
// clients and leaves the third to the next start.
func TestListenFDs(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/manners.c")
	named, plain := rig.Port(t), rig.Port(t)
	wait := []string{"wait = true", "profile = profile.line", "acl = acl.anyone", "limit = limit.wait"}
	b := rig.Serve(t, head+
		service("named", "tcp4://127.0.0.1:"+named, []string{program, "accept", "2", "3"}, append(wait, `stdio = "listen_fds"`)...)+
		service("plain", "tcp4://127.0.0.1:"+plain, []string{program, "accept", "2"}, wait...))
	for _, c := range []struct{ name, port, facts string }{
		{"named", named, "LISTEN_FDS=1 LISTEN_PID=1 pid=1"}, {"plain", plain, "LISTEN_FDS=(null) LISTEN_PID=(null) pid=1"},
	} {
		for i := range 5 {
			want := fmt.Sprintf("served %d\n%s\n", i, c.facts)
			if got, err := order("127.0.0.1", c.port, fmt.Sprint(i)); err != nil || got != want {
				t.Errorf("%s: client %d got %q (%v), want %q", c.name, i, got, err, want)
			}
		}
		if _, err := b.Await(2, 30*time.Second, "msg", "session", "service", c.name, "reason", "exit"); err != nil {
			t.Error(err)
		}
		s, err := b.Service(c.name)
		if err != nil || s.Live != 1 || s.Listeners[0].State != "waiting" {
			t.Errorf("%s: %+v (%v), want a third program that waits", c.name, s, err)
		}
	}
}

// TestUserNamespace: the service's own ids are mapped to themselves, and there
// is no root inside.
func TestUserNamespace(t *testing.T) {
	const profile = "profile \"userns\" {\n  base = profile.line\n  user_namespace = true\n}\n"
	_, _, told := self(t, profile, "profile = profile.userns")
	tells(t, told, "setuid 0 failed")
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	for _, c := range []struct{ user, ids string }{{"nobody", "65534 65534 1"}, {"dynamic", "1879048192 1879048192 65536"}} {
		port := rig.Port(t)
		b := rig.Serve(t, head+profile+service("hold", "tcp://127.0.0.1:"+port, []string{program, "hold"}, "profile = profile.userns", fmt.Sprintf("user = %q", c.user)))
		conn, err := rig.Dial(port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s := session(t, b, "hold")
		for _, file := range []string{"uid_map", "gid_map"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.PID, file))
			if got := strings.Join(strings.Fields(string(text)), " "); err != nil || got != c.ids {
				t.Errorf("%s: %s is %q (%v), want %q", c.user, file, got, err, c.ids)
			}
		}
		own, err := rig.Namespace(s.PID, "user")
		host, herr := rig.Namespace(b.PID, "user")
		if err != nil || herr != nil || own == host {
			t.Errorf("%s: user namespace %s (%v), the broker's is %s (%v)", c.user, own, err, host, herr)
		}
		confined(t, b, s, leaves{})
	}
}

// TestSeal: a sealed service carries a filter more than the broker's and its own.
func TestSeal(t *testing.T) {
	profile := func(seal bool) string {
		return fmt.Sprintf("profile \"sealed\" {\n  base = profile.server\n  init = false\n  syscalls {\n    seal = %t\n  }\n}\n", seal)
	}
	_, _, told := self(t, profile(true), "profile = profile.sealed")
	tells(t, told, "Seccomp:\t2", "Seccomp_filters:\t3")
	_, _, told = self(t, profile(false), "profile = profile.sealed")
	tells(t, told, "Seccomp_filters:\t2")
}

// TestInit: with init = true orphans are reaped and TERM reaches the service;
// without it the service is process 1 and sees its orphans stay.
func TestInit(t *testing.T) {
	rig.Root(t)
	program := rig.Compile(t, "testdata/manners.c")
	ports := map[bool]string{}
	var text strings.Builder
	for _, init := range []bool{true, false} {
		ports[init] = rig.Port(t)
		name := fmt.Sprintf("init-%t", init)
		fmt.Fprintf(&text, "profile %q {\n  base = profile.server\n  init = %t\n}\n", name, init)
		text.WriteString(service(name, "tcp://127.0.0.1:"+ports[init], []string{program, "orphan"}, "profile = profile."+name, "limit = limit.brief"))
	}
	b := rig.Serve(t, head+"limit \"brief\" {\n  session = \"4s\"\n}\n"+text.String())
	var both sync.WaitGroup
	for init, want := range map[bool]string{true: "pid 2 zombies 0", false: "pid 1 zombies 1"} {
		both.Go(func() {
			if got, err := rig.Exchange(ports[init], ""); err != nil || got != want+"\nready\nasked to end\n" {
				t.Errorf("init %t: %q (%v), want %q and that it was asked", init, got, err, want)
			}
		})
	}
	both.Wait()
	for init := range ports {
		if r := record(t, b, fmt.Sprintf("init-%t", init), "reason", "timeout"); r.Str("exit") != "0" {
			t.Errorf("init %t: %v", init, r)
		}
	}
}

// TestEndUnderInit: how a program ended is known behind an init as without one,
// and no exit passes for a crash or the other way round; and the process that
// status shows is the program, which ends when it is asked to.
func TestEndUnderInit(t *testing.T) {
	rig.Root(t)
	shell := func(name, port, script string) string {
		return service(name, "tcp://127.0.0.1:"+port, []string{"/bin/sh", "-c", script}, "profile = profile.server")
	}
	ends := []struct{ name, script, reason, key, value string }{
		{"crashes", "kill -SEGV $$", "crash", "signal", "SIGSEGV"},
		{"forges", "exit 139", "exit", "exit", "139"},
		{"alarmed", "kill -ALRM $$", "killed", "signal", "SIGALRM"},
		{"prints", "sleep 0.3; while echo x; do :; done", "killed", "signal", "SIGPIPE"},
	}
	var text strings.Builder
	ports := make([]string, len(ends))
	for i, e := range ends {
		ports[i] = rig.Port(t)
		text.WriteString(shell(e.name, ports[i], e.script))
	}
	waits := rig.Port(t)
	b := rig.Serve(t, head+text.String()+shell("waits", waits, "while :; do sleep 0.05; done"))
	for i, e := range ends {
		conn, err := rig.Dial(ports[i])
		if err != nil {
			t.Fatal(err)
		}
		if e.name != "prints" {
			_, _ = io.ReadAll(conn)
		}
		conn.Close()
		if r := record(t, b, e.name, "reason", e.reason); r.Str(e.key) != e.value {
			t.Errorf("%s: %v, want %s %s", e.name, r, e.key, e.value)
		}
	}
	conn, err := rig.Dial(waits)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := unix.Kill(session(t, b, "waits").PID, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := record(t, b, "waits", "reason", "killed"); r.Str("signal") != "SIGTERM" {
		t.Errorf("asked to end: %v", r)
	}
}

// TestEndWithoutInit: what is said of a program that is process 1. The signals that end
// others do nothing to it; hangup, idle and the session's limit end it all the same.
func TestEndWithoutInit(t *testing.T) {
	rig.Root(t)
	ports := map[string]string{}
	shell := func(name, script string, more ...string) string {
		ports[name] = rig.Port(t)
		return service(name, "tcp://127.0.0.1:"+ports[name], []string{"/bin/sh", "-c", script}, append(more, "profile = profile.bare")...)
	}
	b := rig.Serve(t, head+`
profile "bare" {
  base = profile.server
  init = false
}

limit "brief" {
  session = "1s"
}
`+shell("alarmed", "kill -ALRM $$; kill -TERM $$; kill -PIPE $$; echo alive; read x; echo still")+
		shell("prints", "while :; do echo x; done 2>&-", "hangup = true")+
		shell("silent", "while :; do sleep 0.05; done", `idle = "1s"`)+
		shell("long", "while :; do echo x; sleep 0.05; done", "limit = limit.brief"))
	conns := map[string]*net.TCPConn{}
	for name, port := range ports {
		c, err := rig.Dial(port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[name] = c
	}
	says := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conns["alarmed"], got); err != nil || string(got) != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
	says("alive\n")
	if err := unix.Kill(session(t, b, "alarmed").PID, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := conns["alarmed"].Write([]byte("\n")); err != nil {
		t.Error(err)
	}
	says("still\n")
	record(t, b, "alarmed", "reason", "exit")
	if _, err := conns["prints"].Read(make([]byte, 2)); err != nil {
		t.Error(err)
	}
	conns["prints"].Close()
	for name, reason := range map[string]string{"prints": "hangup", "silent": "idle", "long": "timeout"} {
		if r := record(t, b, name, "reason", reason); r.Str("signal") != "SIGKILL" {
			t.Errorf("%s: %v, want it killed", name, r)
		}
	}
}

// TestUnixPacket: the client's packets arrive, and its half-close ends them.
func TestUnixPacket(t *testing.T) {
	rig.Root(t)
	program, dir := rig.Compile(t, "testdata/rogue.c"), rig.PublicDir(t)
	sock := filepath.Join(dir, "sock")
	rig.Serve(t, head+service("count", "unixpacket:"+sock, []string{program, "count"}, "profile = profile.line", "acl = acl.anyone"))
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: sock, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	for _, text := range []string{"one", "three"} {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "8 bytes\n" {
		t.Errorf("got %q (%v)", buf[:n], err)
	}
}

// TestOnStopLeave: with on_stop = "leave" a stopping broker is gone at once and
// its sessions go on to their own end.
func TestOnStopLeave(t *testing.T) {
	rig.Root(t)
	program, port := rig.Compile(t, "testdata/rogue.c"), rig.Port(t)
	b := rig.Serve(t, strings.Replace(head, "{ edition = 1 }", "{\n  edition = 1\n  on_stop = \"leave\"\n}", 1)+
		service("count", "tcp://127.0.0.1:"+port, []string{program, "count"}, "profile = profile.line"))
	c, err := rig.Dial(port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("before ")); err != nil {
		t.Fatal(err)
	}
	pid := session(t, b, "count").PID
	began := time.Now()
	b.Stop()
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the stop took %s", d)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
		t.Fatalf("the session did not survive: %v", err)
	}
	if _, err := c.Write([]byte("after")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "12 bytes\n" {
		t.Errorf("the survivor answered %q (%v)", buf[:n], err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if s, err := rig.Status(pid); err == nil && !strings.HasPrefix(s["State"], "Z") {
			return fmt.Errorf("%d is %s", pid, s["State"])
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestBusyPort: an address that somebody has is a load error that names it; with
// retry = true the service waits for it and serves when it is free.
func TestBusyPort(t *testing.T) {
	bin := rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	l, err := net.Listen("tcp4", "127.0.0.1:"+rig.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	text := head + service("once", "tcp4://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.line")
	if b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": text}}); err == nil {
		b.Stop()
		t.Error("the broker started on a busy port")
	} else if !strings.Contains(err.Error(), port) || !strings.Contains(err.Error(), "once") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the error does not say which service, which port and why: %v", err)
	}
	other := rig.Port(t)
	b := rig.Serve(t, head+service("once", "tcp4://127.0.0.1:"+port, []string{program, "once"}, "profile = profile.line", "retry = true")+
		service("other", "tcp4://127.0.0.1:"+other, []string{program, "once"}, "profile = profile.line"))
	exchange(t, other, "", "once\n")
	s, err := b.Service("once")
	if err != nil || len(s.Listeners) != 1 || s.Listeners[0].State != "retrying" || !strings.Contains(s.Listeners[0].Error, "in use") {
		t.Errorf("status %+v (%v), want a listener that is retrying, and why", s, err)
	}
	l.Close()
	if err := rig.Until(30*time.Second, func() error {
		got, err := rig.Exchange(port, "")
		if err == nil && got != "once\n" {
			err = fmt.Errorf("answer %q", got)
		}
		return err
	}); err != nil {
		t.Errorf("the port is free: %v", err)
	}
	if s, err := b.Service("once"); err != nil || s.Listeners[0].State != "listening" || s.Listeners[0].Error != "" {
		t.Errorf("status %+v (%v), want it listening", s, err)
	}
}
