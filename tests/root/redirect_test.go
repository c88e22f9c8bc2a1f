package root

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/tests/inject"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// redirect is a service block of one.
func redirect(name, port, to string, extra ...string) string {
	return strings.Replace(service(name, "tcp://127.0.0.1:"+port, nil, extra...), "  command = []\n", fmt.Sprintf("  redirect = %q\n", to), 1)
}

// target serves each of its connections with do, and closes it.
func target(t *testing.T, network, at string, do func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				do(c)
			}()
		}
	}()
	return l
}

// repeats says what it got once it has all of it.
func repeats(c net.Conn) {
	got, err := io.ReadAll(c)
	fmt.Fprintf(c, "got %q, %v", got, err)
}

// relaySocket is a folder for a unix socket that root alone may lead elsewhere.
func relaySocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "casemate-relay-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "s")
}

// TestRedirect: connections of real clients go to their target over tcp, IPv6 and a unix
// socket, megabytes of both ways at once among them, and what one side has said all of is
// answered all the same.
func TestRedirect(t *testing.T) {
	rig.Root(t)
	nc := need.Programs(t, "nc")[0]
	socket := relaySocket(t)
	four, six := target(t, "tcp4", "127.0.0.1:0", repeats), target(t, "tcp6", "[::1]:0", repeats)
	own := target(t, "unix", socket, func(c net.Conn) {
		raw, _ := c.(*net.UnixConn).SyscallConn()
		_ = raw.Control(func(fd uintptr) {
			if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				fmt.Fprintf(c, "uid %d: ", cred.Uid)
			}
		})
		repeats(c)
	})
	if err := os.Chmod(own.Addr().String(), 0o666); err != nil {
		t.Fatal(err)
	}
	both := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) {
		up := sha256.New()
		sent := make(chan []byte, 1)
		go func() { sent <- pour(c, 2) }()
		_, _ = io.Copy(up, c)
		_, _ = c.Write(append(up.Sum(nil), <-sent...))
	})
	ports := map[string]string{}
	of := func(name, to string, extra ...string) string {
		ports[name] = rig.Port(t)
		return redirect(name, ports[name], to, extra...)
	}
	b := rig.Serve(t, head+of("four", four.Addr().String())+of("six", six.Addr().String())+of("both", both.Addr().String())+
		of("own", "unix:"+socket, "profile = profile.own", `user = "nobody"`)+`
profile "own" {
  base    = profile.relay
  widens  = ["network"]
  because = "the server asks who connects"
  network {
    mode    = "host"
    sockets = ["unix"]
  }
  best_effort = ["landlock.net", "landlock.scopes"] # on older kernels
  files { read = ["`+socket+`"] }
}
`)
	for name, want := range map[string]string{"four": `got "hello", <nil>`, "six": `got "hello", <nil>`, "own": `uid 65534: got "hello", <nil>`} {
		cmd := exec.Command(nc, "-N", "127.0.0.1", ports[name])
		cmd.Stdin = strings.NewReader("hello")
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %q, %v, want %q", name, out, err, want)
		}
	}
	c, err := rig.Dial(ports["both"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	sent := make(chan []byte, 1)
	go func() { sum := pour(c, 1); _ = c.CloseWrite(); sent <- sum }()
	down := sha256.New()
	if _, err := io.CopyN(down, c, poured); err != nil {
		t.Fatal(err)
	}
	sums, err := io.ReadAll(c)
	if want := append(<-sent, down.Sum(nil)...); err != nil || !bytes.Equal(sums, want) {
		t.Errorf("both ways at once: %x, %v, want %x", sums, err, want)
	}
	r, err := b.Await(1, 10*time.Second, "msg", "session", "service", "both", "reason", "exit")
	if err != nil {
		t.Fatal(err)
	}
	// The kernel counts the end of a connection that is over both ways as a byte (inbound.Talk).
	if in := r[0].Str("bytes_in"); in != fmt.Sprint(poured) && in != fmt.Sprint(poured+1) {
		t.Errorf("its record is %v", r)
	}
	s, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range s.Services {
		if st.Redirect == "" || st.Admitted != 1 || st.Failed != 0 {
			t.Errorf("status: %+v", st)
		}
	}
}

// poured is how many bytes pour sends.
const poured = 32 << 20

func pour(c net.Conn, seed byte) []byte {
	h, r := sha256.New(), rand.NewChaCha8([32]byte{seed})
	for left := poured; left > 0; {
		b := make([]byte, min(left, 1+int(r.Uint64()%200000)))
		_, _ = r.Read(b)
		h.Write(b)
		if _, err := c.Write(b); err != nil {
			break
		}
		left -= len(b)
	}
	return h.Sum(nil)
}

// reads a header of version 2 as a server does, and says whom it names.
const parser = `
import socket, struct, sys
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(5)
print(l.getsockname()[1], flush=True)
while True:
    c, _ = l.accept()
    f = c.makefile("rwb")
    head = f.read(16)
    assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n", head
    command, family, length = struct.unpack("!BBH", head[12:])
    body = f.read(length)
    assert (command, family, length) == (0x21, 0x11, 12), (command, family, length)
    src, dst, sport, dport = struct.unpack("!4s4sHH", body)
    f.write(b"%s:%d %s:%d " % (socket.inet_ntoa(src).encode(), sport, socket.inet_ntoa(dst).encode(), dport) + f.readline())
    f.flush(); f.close(); c.close()
`

// TestRedirectProxyHeader: a target is told its client as HAProxy tells one: in the line
// that curl makes of it, and in bytes that a server takes apart.
func TestRedirectProxyHeader(t *testing.T) {
	rig.Root(t)
	line := make(chan string, 1)
	first := func(c net.Conn) {
		b := make([]byte, 512)
		n, _ := c.Read(b)
		line <- string(b[:n])
	}
	heard := func(what string) string {
		t.Helper()
		select {
		case s := <-line:
			return s
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing came", what)
		}
		return ""
	}
	l := target(t, "tcp4", "127.0.0.1:0", first)
	python := exec.Command(need.Programs(t, "python3")[0], "-c", parser)
	said := new(bytes.Buffer)
	python.Stderr = said
	out, err := python.StdoutPipe()
	if err == nil {
		err = python.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = python.Process.Kill(); _ = python.Wait() })
	var port int
	if _, err := fmt.Fscan(out, &port); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	v1, v2, sock := rig.Port(t), rig.Port(t), relaySocket(t)
	rig.Serve(t, head+redirect("v1", v1, l.Addr().String(), `proxy_protocol = "v1"`)+
		redirect("v2", v2, fmt.Sprintf("127.0.0.1:%d", port), `proxy_protocol = "v2"`)+
		strings.Replace(redirect("local", "1", l.Addr().String(), `proxy_protocol = "v2"`, "acl = acl.anyone", "socket {\n    mode = \"0666\"\n  }"), "tcp://127.0.0.1:1", "unix:"+sock, 1))

	curl := exec.Command(need.Programs(t, "curl")[0], "-s", "--max-time", "10", "--haproxy-protocol", "http://"+l.Addr().String()+"/")
	_ = curl.Run() // nobody repeats it
	model := strings.Fields(heard("curl"))
	c, err := rig.Dial(v1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, sport, _ := net.SplitHostPort(c.LocalAddr().String())
	model[4], model[5] = sport, v1
	if got, want := heard("v1"), strings.Join(model[:6], " ")+"\r\n"; got != want {
		t.Errorf("v1 is %q, want %q as curl has it", got, want)
	}
	c, err = rig.Dial(v2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("hello\n"))
	want := fmt.Sprintf("%s 127.0.0.1:%s hello\n", c.LocalAddr(), v2)
	if got, err := io.ReadAll(c); err != nil || string(got) != want {
		t.Errorf("v2 is %q, %v, want %q (%s)", got, err, want, said)
	}
	u, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if got := heard("unix"); got != "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" {
		t.Errorf("for a unix client it is %q", got)
	}
}

// TestRedirectEnds: whatever ends a session ends it here: a target that is not there, one
// that breaks off, kill, and the limits of time, of number and of silence.
func TestRedirectEnds(t *testing.T) {
	rig.Root(t)
	quiet := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(c, c) })
	breaks := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) {
		fmt.Fprint(c, "some of it")
		time.Sleep(200 * time.Millisecond)
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	nobody := rig.Port(t)
	ports := map[string]string{}
	of := func(name, to string, extra ...string) string {
		ports[name] = rig.Port(t)
		return redirect(name, ports[name], to, extra...)
	}
	at := quiet.Addr().String()
	b := rig.Serve(t, head+of("dead", "127.0.0.1:"+nobody)+of("breaks", breaks.Addr().String())+of("kill", at)+
		of("session", at, "limit = limit.short")+of("idle", at, `idle = "1s"`)+of("one", at, "limit = limit.one")+`
limit "short" { session = "1s" }
limit "one" { concurrent = 1 }
`)
	begin := func(name string) net.Conn {
		t.Helper()
		c, err := rig.Dial(ports[name])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	}
	runs := func(name string) net.Conn {
		t.Helper()
		c := begin(name)
		_, _ = c.Write([]byte("x"))
		if n, err := c.Read(make([]byte, 1)); n != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		return c
	}
	if got, err := rig.Exchange(ports["dead"], ""); got != "" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a dead target: %q, %v, want a reset", got, err)
	}
	if got, err := io.ReadAll(begin("breaks")); string(got) != "some of it" || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a target that breaks off: %q, %v, want what it said and a reset", got, err)
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
	if second, err := rig.Dial(ports["one"]); err == nil { // the reset may come before anybody looks
		if got, err := io.ReadAll(second); len(got) > 0 || err == nil {
			t.Errorf("a second one where one may be: %q, %v", got, err)
		}
		second.Close()
	}
	held.Close()
	for name, want := range map[string]string{"kill": "killed", "session": "timeout", "idle": "idle", "breaks": "exit", "one": "exit"} {
		if r, err := b.Await(1, 15*time.Second, "msg", "session", "service", name); err != nil || r[0].Str("reason") != want {
			t.Errorf("%s: %v, %v, want the reason %s", name, r, err, want)
		}
	}
	// Refused at once by this kernel, or by the relay: either way the record says why.
	if err := rig.Until(15*time.Second, func() error {
		all, err := b.Find("service", "dead")
		if text := fmt.Sprint(all); err == nil && !strings.Contains(text, "connection refused") {
			err = fmt.Errorf("no record of it says why: %s", text)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestRelayReachesNobodyElse: calls made in the relay itself neither open a connection nor
// aim the two that it has elsewhere. Somebody with the same sockets and no sandbox does
// both, and whoever listens there sees it.
func TestRelayReachesNobodyElse(t *testing.T) {
	rig.Root(t)
	seen := make(chan string, 64)
	canary := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) { seen <- c.RemoteAddr().String() })
	port := canary.Addr().(*net.TCPAddr).Port
	echo := target(t, "tcp4", "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(c, c) })
	at := rig.Port(t)
	// The shipped profile ends the relay at the first such call; here it goes on to the next.
	b := rig.Serve(t, head+redirect("web", at, echo.Addr().String(), "profile = profile.tried")+`
profile "tried" {
  base   = profile.relay
  widens = ["syscalls"]
  syscalls { on_violation = "errno" }
}
`)
	c, err := rig.Dial(at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	if n, err := c.Read(make([]byte, 1)); n != 1 {
		t.Fatal(err)
	}
	t.Run("relay", func(t *testing.T) {
		p := inject.Stop(t, session(t, b, "web").PID, true)
		p.Connect(port, unix.EPERM)
		p.Aim(3, port, unix.EPERM)
		p.Aim(4, port, unix.EPERM)
		p.Open("/etc/passwd", unix.O_RDONLY, unix.ENOENT)
	})
	if n := len(seen); n > 0 {
		t.Errorf("%d connections came from the relay, as from %s", n, <-seen)
	}
	t.Run("control", func(t *testing.T) {
		own, err := net.Dial("tcp4", echo.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		f, err := own.(*net.TCPConn).File()
		own.Close()
		if err != nil {
			t.Fatal(err)
		}
		free := exec.Command(need.Programs(t, "sleep")[0], "1000")
		free.ExtraFiles = []*os.File{f}
		if err := free.Start(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() { _ = free.Process.Kill(); _ = free.Wait() })
		p := inject.Stop(t, free.Process.Pid, false)
		p.Connect(port, nil)
		p.Aim(3, port, nil)
		p.Open("/etc/passwd", unix.O_RDONLY, nil)
	})
	if err := rig.Until(10*time.Second, func() error {
		if len(seen) != 2 {
			return fmt.Errorf("%d connections came from the one without a sandbox, want 2", len(seen))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
