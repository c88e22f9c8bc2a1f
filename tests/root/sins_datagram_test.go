package root

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/sandbox/landlock"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// both serves a program by tcp and udp at one port.
func both(t *testing.T, policy, way string, extra ...string) (b *rig.Broker, port string) {
	t.Helper()
	rig.Root(t)
	port = rig.Port(t)
	block := service("it", "tcp://127.0.0.1:"+port, []string{rig.Compile(t, "testdata/manners.c"), way}, append(extra, "profile = profile.line")...)
	block = strings.Replace(block, `"]`, fmt.Sprintf(`", "udp4://127.0.0.1:%s"]`, port), 1)
	return rig.Serve(t, head+policy+block), port
}

// TestForgedDatagramShutsNobodyOut (xinetd's SENSOR): what datagrams do in a third party's name,
// crashes included, costs that party nothing, by udp or by tcp. That tcp clients pay is
// the control.
func TestForgedDatagramShutsNobodyOut(t *testing.T) {
	b, port := both(t, penalties(3600), "serve", "limit = limit.it")
	const victim, attacker, crashes = "127.0.0.11", "127.0.0.12", 5
	for range crashes {
		gramFrom(t, victim+":0").send(t, "127.0.0.1:"+port, []byte("crash"))
	}
	if _, err := b.Await(crashes, 30*time.Second, "msg", "session", "client", victim, "reason", "crash"); err != nil {
		t.Fatal(err)
	}
	served(t, victim, port)
	g := gramFrom(t, victim+":0")
	g.send(t, "127.0.0.1:"+port, []byte("please"))
	if got := string(g.answer(t)); got != "served please\n" {
		t.Errorf("by udp it got %q", got)
	}
	if got, _ := order(attacker, port, "crash"); got != "" {
		t.Errorf("crash was answered with %q", got)
	}
	if _, err := b.Await(1, 30*time.Second, "msg", "session", "client", attacker, "reason", "crash"); err != nil {
		t.Fatal(err)
	}
	refused(t, attacker, port)
}

// TestNoEnvironmentOfAnother (GNU inetd): its TCP* variables stayed for the programs of later
// clients. A udp client's program here has none of a tcp client's, and the other way round.
func TestNoEnvironmentOfAnother(t *testing.T) {
	_, port := both(t, "", "self", `env_style = ["ucspi", "systemd", "xinetd"]`)
	for range 2 {
		c, err := dialFrom("127.0.0.21", port)
		if err != nil {
			t.Fatal(err)
		}
		mine := fmt.Sprint(c.LocalAddr().(*net.TCPAddr).Port)
		told, err := readSome(c)
		c.Close()
		if err != nil {
			t.Fatal(err)
		}
		tells(t, told, "env PROTO=TCP", "env TCPREMOTEIP=127.0.0.21", "env TCPREMOTEPORT="+mine)
		hushed(t, told, "env UDP")
		g := gramFrom(t, "127.0.0.22:0")
		g.send(t, "127.0.0.1:"+port, []byte("x"))
		told = string(g.answer(t))
		tells(t, told, "env PROTO=UDP", "env REMOTE_ADDR=127.0.0.22")
		hushed(t, told, "env TCP")
		if strings.Contains(told, "127.0.0.21") || strings.Contains(told, mine) {
			t.Errorf("of the client before:\n%s", told)
		}
	}
}

// readSome reads to the end, as a program writes.
func readSome(c net.Conn) (string, error) {
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			if b.Len() > 0 {
				err = nil
			}
			return b.String(), err
		}
	}
}

// TestCVE2016_7795_EmptyDatagram (and CVE-2016-7796): an empty datagram froze systemd's process 1.
// Sent to every kind of datagram listener, and to the control socket, it ends nothing, starts nothing
// that goes on, and whoever says something next is served.
func TestCVE2016_7795_EmptyDatagram(t *testing.T) {
	rig.Root(t)
	rogue, manners, dir := rig.Compile(t, "testdata/rogue.c"), rig.Compile(t, "testdata/manners.c"), t.TempDir()
	text, ports := head+"profile \"answers\" {\n  base    = profile.server\n  widens  = [\"network\"]\n  network { mode = \"listener\" }\n", map[string]string{}
	gram := filepath.Join(dir, "gram")
	if landlock.ABI() < landlock.ABIScopes { // a unixgram listener is refused there, with the reason
		text += "  best_effort = [\"cgroup\", \"landlock.scopes\"]\n"
	}
	text += "}\n"
	for _, name := range []string{"echo", "daytime", "time", "chargen", "discard"} {
		ports[name] = rig.Port(t)
		text += fmt.Sprintf("\nservice %q {\n  listen = [\"udp://127.0.0.1:%s\"]\n  builtin = %q\n  acl = acl.loopback\n  linger = \"60s\"\n}\n", name, ports[name], name)
	}
	wait := []string{"wait = true", "acl = acl.anyone", "limit = limit.wait", "profile = profile.answers"}
	ports["each"], ports["wait"] = rig.Port(t), rig.Port(t)
	text += service("each", "udp4://127.0.0.1:"+ports["each"], []string{rogue, "datagram"}, "profile = profile.line") +
		service("wait", "udp4://127.0.0.1:"+ports["wait"], []string{manners, "datagram"}, wait...) +
		service("gram", "unixgram:"+gram, []string{rogue, "shut-0"}, wait...)
	b := rig.Serve(t, text)
	before, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for name, port := range ports {
			g := gramFrom(t, "127.0.0.1:0")
			g.send(t, "127.0.0.1:"+port, nil)
			if name == "discard" {
				continue
			}
			if name == "each" { // its program has ended, and the next datagram is another visit's
				g = gramFrom(t, "127.0.0.1:0")
			}
			g.send(t, "127.0.0.1:"+port, []byte("something"))
			got := g.answer(t)
			if len(got) == 0 || name == "wait" && string(got) == "served  by one" { // what the empty one gets
				got = g.answer(t)
			}
			if want := map[string]string{"echo": "something", "each": "something", "wait": "served something by one"}[name]; want != "" && string(got) != want {
				t.Errorf("%s: after an empty datagram it answered %q", name, got)
			}
		}
		emptyUnix(t, gram, unix.SOCK_DGRAM)
		emptyUnix(t, b.Control, unix.SOCK_STREAM)
	}
	if err := rig.Until(30*time.Second, func() error {
		s, err := b.Service("gram")
		if err == nil && (s.Live != 0 || s.Admitted == 0 || s.Listeners[0].State != "listening") {
			err = fmt.Errorf("%d live, %d admitted, %+v", s.Live, s.Admitted, s.Listeners)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	answer, err := b.Request(control.Request{Verb: control.VerbStatus})
	if err != nil || !answer.OK || answer.Status.Digest != before.Digest || len(answer.Status.Services) != len(before.Services) {
		t.Errorf("then status is %+v, %v", answer, err)
	}
}

// emptyUnix sends nothing to a unix socket in the ways that there are: as a message, and as
// one of another type of socket, which the kernel refuses.
func emptyUnix(t *testing.T, path string, kind int) {
	t.Helper()
	for _, as := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM, unix.SOCK_SEQPACKET} {
		fd, err := unix.Socket(unix.AF_UNIX, as|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if as == kind && err == nil {
			err = unix.Sendto(fd, nil, unix.MSG_NOSIGNAL, nil)
		}
		if as == kind && err != nil || as != kind && err != unix.EPROTOTYPE {
			t.Errorf("an empty message to %s by type %d: %v", path, as, err)
		}
		unix.Close(fd)
	}
}
