package root

import (
	"io"
	"net"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestStdoutToTheLog: with stdout = "log" what a program prints is in the log, under its session and as quoted as
// its stderr is, and its client reads nothing but what it writes to descriptor 0; whether it has one client, the
// datagrams of all, or the listening socket as sd_listen_fds(3) has it.
func TestStdoutToTheLog(t *testing.T) {
	rig.Root(t)
	stream, udp, listens := rig.Port(t), rig.Port(t), rig.Port(t)
	b := rig.Serve(t, head+`
profile "answers" {
  base    = profile.python
  widens  = ["network"]
  network { mode = "listener" }
}
`+
		service("stream", "tcp://127.0.0.1:"+stream, []string{"/bin/sh", "-c", `read -r line; echo "got $line"; printf 'a\033b\n'; echo bad >&2; echo hello >&0`},
			"profile = profile.server", `stdout = "log"`)+
		service("udp", "udp://127.0.0.1:"+udp, []string{"/usr/bin/python3", "-c",
			"import socket\ns = socket.socket(fileno=0)\nd, a = s.recvfrom(99)\nprint('got', d.decode())\ns.sendto(b'hello', a)"},
			"profile = profile.answers", "wait = true", "acl = acl.anyone", "limit = limit.wait", `stdout = "log"`)+
		service("listens", "tcp://127.0.0.1:"+listens, []string{"/usr/bin/python3", "-c",
			"import socket\nc, _ = socket.socket(fileno=3).accept()\nprint('got', c.recv(99).decode())\nc.sendall(b'hello\\n')"},
			"profile = profile.answers", "wait = true", "acl = acl.anyone", "limit = limit.wait", `stdio = "listen_fds"`, `stdout = "log"`))
	exchange(t, stream, "tcp\n", "hello\n")
	exchange(t, listens, "fds", "hello\n")
	c, err := net.Dial("udp", "127.0.0.1:"+udp)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 99)
	if _, err := io.WriteString(c, "udp"); err != nil || c.SetDeadline(time.Now().Add(30*time.Second)) != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(answer); string(answer[:n]) != "hello" {
		t.Errorf("udp: %q, %v", answer[:n], err)
	}
	for name, text := range map[string]string{"stream": "got tcp", "udp": "got udp", "listens": "got fds"} {
		session, err := b.Await(1, 30*time.Second, "msg", "session", "service", name, "exit", "0")
		if err != nil {
			t.Fatal(err)
		}
		line, err := b.Await(1, 30*time.Second, "msg", "stdout", "service", name, "text", text)
		if err != nil {
			t.Fatal(err)
		}
		if line[0].Str("id") != session[0].Str("id") {
			t.Errorf("%s: %v, want the id of %v", name, line, session)
		}
	}
	for msg, text := range map[string]string{"stdout": `a\x1bb`, "stderr": "bad"} {
		if _, err := b.Await(1, 30*time.Second, "msg", msg, "service", "stream", "text", text); err != nil {
			t.Error(err)
		}
	}
}
