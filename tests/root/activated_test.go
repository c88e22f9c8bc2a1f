package root

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// passed is a bound socket as a service manager has it, which stays open in the test: casemated
// could bind no other one there.
func passed(t *testing.T, domain, kind int, at unix.Sockaddr, set ...func(fd int) error) *os.File {
	t.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "passed")
	t.Cleanup(func() { f.Close() })
	for _, s := range set {
		if err := s(fd); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Bind(fd, at); err != nil {
		t.Fatal(err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 5); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func loopbackAt(t *testing.T, port string) *unix.SockaddrInet4 {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	return &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
}

// marked sets what casemated itself has no capability for.
func marked(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 7)
}

// TestPassedSockets: sockets that a service manager passes are used where the policy has their
// address, with all that the policy says of them, over reloads; others are told of.
func TestPassedSockets(t *testing.T) {
	rig.Root(t)
	dir := rig.PublicDir(t)
	tcp, udp, other, late := rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t)
	path := filepath.Join(dir, "s.sock")
	pipe, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	shared := func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
	files := []*os.File{
		passed(t, unix.AF_INET, unix.SOCK_STREAM, loopbackAt(t, tcp), marked), pipe,
		passed(t, unix.AF_INET, unix.SOCK_DGRAM, loopbackAt(t, udp)),
		passed(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: path}),
		passed(t, unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: "@casemate-test-" + tcp}),
		passed(t, unix.AF_INET, unix.SOCK_STREAM, loopbackAt(t, other), shared), passed(t, unix.AF_INET, unix.SOCK_STREAM, loopbackAt(t, late)),
		passed(t, unix.AF_INET, unix.SOCK_STREAM, loopbackAt(t, other), shared),
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	base := head + service("tcp", "tcp4://127.0.0.1:"+tcp, []string{"/bin/cat"}, "profile = profile.line", "socket {\n    mark = 7\n    tos = \"ef\"\n  }") +
		"service \"udp\" {\n  listen = [\"udp4://127.0.0.1:" + udp + "\"]\n  builtin = \"echo\"\n  acl = acl.loopback\n}\n" +
		service("file", "unix:"+path, []string{"/bin/cat"}, "profile = profile.line", "acl = acl.anyone", "socket {\n    mode = \"0640\"\n  }") +
		service("name", "unix:@casemate-test-"+tcp, []string{"/bin/cat"}, "profile = profile.line", "acl = acl.anyone")
	with := base + service("late", "tcp4://127.0.0.1:"+late, []string{"/bin/cat"}, "profile = profile.line")
	b := rig.ServeWith(t, rig.Options{Files: map[string]string{"test.cm.hcl": with}, Sockets: files})
	var log []byte
	for _, want := range []string{"tcp4/127.0.0.1:" + other + ": no service listens there", "descriptor 4: ", "descriptor 10: tcp4/127.0.0.1:" + other + " was passed twice"} {
		if err := rig.Until(30*time.Second, func() (err error) { // the log is written behind
			if log, err = os.ReadFile(b.LogFile); err == nil && strings.Count(string(log), want) != 1 {
				err = errors.New("it is not told once")
			}
			return err
		}); err != nil {
			t.Errorf("the log of %q: %v", want, err)
		}
	}
	if strings.Contains(string(log), "tcp4/127.0.0.1:"+tcp+": no service") {
		t.Error("the log tells of a socket that is used")
	}
	echo(t, connect(t, tcp))
	pid := session(t, b, "tcp").PID
	if mark, tos := option(t, pid, 0, unix.SOL_SOCKET, unix.SO_MARK), option(t, pid, 0, unix.SOL_IP, unix.IP_TOS); mark != 7 || tos != 184 {
		t.Errorf("mark %d, tos %d", mark, tos)
	}
	if fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err != nil || len(fds) != 3 {
		t.Errorf("its program has %d descriptors (%v)", len(fds), err)
	}
	for network, addr := range map[string]string{"unix": path, "unix ": "@casemate-test-" + tcp, "udp": "127.0.0.1:" + udp, "tcp": "127.0.0.1:" + late} {
		c, err := net.Dial(strings.TrimSpace(network), addr)
		if err != nil {
			t.Fatal(err)
		}
		echo(t, c)
		c.Close()
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("the socket's file: %v, %v", st.Mode(), err)
	}
	reload := func(text string) {
		t.Helper()
		if err := b.WritePolicy("test.cm.hcl", text); err != nil {
			t.Fatal(err)
		}
		if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
			t.Fatalf("reload: %v, %+v", err, a)
		}
	}
	reload(base)
	reload(with) // what was given up is had again
	echo(t, connect(t, late))
	b.Signal(syscall.SIGTERM)
	if _, err := b.Ended(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the service manager's file is gone: %v", err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err != nil {
		t.Errorf("the service manager's socket is closed: %v", err)
	} else {
		c.Close()
	}
}

// TestPassedSocketsRefused: a socket that would not be what the policy says is not used, and the
// reason names it.
func TestPassedSocketsRefused(t *testing.T) {
	bin := rig.Root(t)
	port := rig.Port(t)
	at := loopbackAt(t, port)
	serve := func(listen string, f *os.File, under []string) error {
		b, err := rig.Start(rig.Options{Bin: bin, Sockets: []*os.File{f}, Under: under,
			Files: map[string]string{"test.cm.hcl": head + service("cat", listen, []string{"/bin/cat"}, "profile = profile.line")}})
		if err == nil {
			b.Stop()
		}
		return err
	}
	for _, c := range []struct {
		listen, want string
		f            *os.File
		under        []string
	}{
		{"udp4://127.0.0.1:" + port, "would share what becomes one client's own", passed(t, unix.AF_INET, unix.SOCK_DGRAM, at), nil},
		{"tcp6://:" + port, "BindIPv6Only=ipv6-only", passed(t, unix.AF_INET6, unix.SOCK_STREAM, &unix.SockaddrInet6{Port: at.Port}), nil},
	} {
		if err := serve(c.listen, c.f, c.under); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.listen, err, c.want)
		}
		c.f.Close()
	}
	// Of another process: LISTEN_PID is not casemated's own. The port is one that no casemated had before.
	port = rig.Port(t)
	if err := serve("tcp4://127.0.0.1:"+port, passed(t, unix.AF_INET, unix.SOCK_STREAM, loopbackAt(t, port)), []string{"env", "LISTEN_PID=1"}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("LISTEN_PID of another process: %v", err)
	}
}

// TestActivatedBySystemd: what systemd-socket-activate passes is used as it is.
func TestActivatedBySystemd(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "systemd-socket-activate")
	port := rig.Port(t)
	done := make(chan net.Conn, 1)
	go func() { // the first client, who waits in its queue, has casemated started
		var c net.Conn
		_ = rig.Until(60*time.Second, func() (err error) { c, err = net.Dial("tcp4", "127.0.0.1:"+port); return err })
		done <- c
	}()
	b := rig.ServeWith(t, rig.Options{Under: []string{"systemd-socket-activate", "-l", "127.0.0.1:" + port, "--fdname=http"},
		Files: map[string]string{"test.cm.hcl": head + service("cat", "tcp4://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line")}})
	c := <-done
	if c == nil {
		t.Fatal("nobody listens")
	}
	defer c.Close()
	echo(t, c)
	session(t, b, "cat")
}

// TestTogether: a program with wait and listen_fds gets all sockets of its service as
// systemd-socket-activate hands them over, with their names, and its own pid: what it
// tells its clients is the same, byte for byte.
func TestTogether(t *testing.T) {
	rig.Root(t)
	activate := need.Programs(t, "systemd-socket-activate")[0]
	program := rig.Compile(t, "testdata/activated.c")
	for _, names := range []string{"", "http:admin:http"} {
		ports := []string{rig.Port(t), rig.Port(t), rig.Port(t)}
		clients := func() (told string) {
			for _, port := range []string{ports[2], ports[0]} {
				var answer string
				err := rig.Until(30*time.Second, func() (err error) {
					if answer, err = rig.Exchange(port, ""); err == nil && answer == "" {
						err = errors.New("no answer")
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				told += answer
			}
			return told
		}
		args := []string{}
		for _, p := range ports {
			args = append(args, "-l", "127.0.0.1:"+p)
		}
		extra := []string{"wait = true", `stdio = "listen_fds"`, "profile = profile.line", "acl = acl.anyone", "limit = limit.wait"}
		if names != "" {
			args = append(args, "--fdname="+names)
			extra = append(extra, `fd_names = ["`+strings.ReplaceAll(names, ":", `", "`)+`"]`)
		}
		cmd := exec.Command(activate, append(args, program)...)
		cmd.Env = []string{}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		want := clients()
		if err := cmd.Wait(); err != nil {
			t.Errorf("under systemd-socket-activate it ended with %v", err)
		}
		text := service("all", "tcp4://127.0.0.1:"+strings.Join(ports, `", "tcp4://127.0.0.1:`), []string{program}, extra...)
		text = strings.ReplaceAll(text, `\"`, `"`)
		b := rig.Serve(t, head+text)
		for range 2 { // each program serves two, and then the next one comes
			if got := clients(); got != want || !strings.Contains(got, "client 2 by 3\n") || !strings.Contains(got, "LISTEN_FDS=3\n") {
				t.Errorf("names %q: casemated's program tells\n%s\nand systemd-socket-activate's\n%s", names, got, want)
			}
		}
		if _, err := b.Await(2, 30*time.Second, "msg", "session", "service", "all", "reason", "exit"); err != nil {
			t.Error(err)
		}
		b.Stop()
	}
}
