package root

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// goesBack sends a word to a client's service and reads it back.
func goesBack(t *testing.T, who string, c net.Conn, word string) {
	t.Helper()
	buf := make([]byte, len(word))
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(word)); err != nil {
		t.Errorf("%s: %v", who, err)
	} else if _, err := io.ReadFull(c, buf); err != nil || string(buf) != word {
		t.Errorf("%s read %q (%v), want %q", who, buf, err, word)
	}
}

// leaving is a policy with a service of each kind that may hold a port, all but
// "wait" an echo, and their ports.
func leaving(t *testing.T, head string) (text string, ports map[string]string) {
	t.Helper()
	program := rig.Compile(t, "testdata/rogue.c")
	ports = map[string]string{}
	for _, name := range []string{"builtin", "stream", "datagram", "wait"} {
		ports[name] = rig.Port(t)
	}
	at := func(network, name string) string { return network + "://127.0.0.1:" + ports[name] }
	return head + fmt.Sprintf("\nservice \"builtin\" {\n  listen = [%q]\n  builtin = \"echo\"\n  acl = acl.loopback\n  limit = limit.wide\n  linger = \"10s\"\n}\n", at("tcp4", "builtin")) +
		service("stream", at("tcp4", "stream"), []string{"/bin/cat"}, "profile = profile.server") +
		service("datagram", at("udp4", "datagram"), []string{"/bin/sh", "-c", "cat; sleep 60"}, "profile = profile.server", "acl = acl.loopback") +
		service("wait", at("tcp4", "wait"), []string{program, "take"}, "profile = profile.line", "wait = true", "acl = acl.anyone", "limit = limit.wait"), ports
}

// TestRestartOverLeftSessions: with on_stop = "leave" nothing that is left behind keeps a
// port from the next broker, not even a worker of a built-in or the sockets of single
// udp peers; and what is left goes on.
func TestRestartOverLeftSessions(t *testing.T) {
	rig.Root(t)
	text, ports := leaving(t, strings.Replace(head, "{ edition = 1 }", "{\n  edition = 1\n  on_stop = \"leave\"\n}", 1))
	b := rig.Serve(t, text)
	left := map[string]net.Conn{}
	for _, name := range []string{"builtin", "stream", "datagram"} {
		network := "tcp4"
		if name == "datagram" {
			network = "udp4"
		}
		c, err := net.Dial(network, "127.0.0.1:"+ports[name])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		left[name] = c
		goesBack(t, name, c, "before")
	}
	waiting, err := rig.Dial(ports["wait"])
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	holder := session(t, b, "wait").PID
	time.Sleep(1500 * time.Millisecond) // a worker under a second old is ended like a wait program
	endLater(t, b)
	b.Stop()
	if err := gone(30*time.Second, holder); err != nil {
		t.Errorf("the wait program has the listener: %v", err)
	}
	again := rig.Serve(t, text)
	defer endLater(t, again)
	st, err := again.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range st.Services {
		for _, l := range s.Listeners {
			if l.State != "listening" {
				t.Errorf("%s: %+v", s.Name, l)
			}
		}
	}
	for name, c := range left {
		goesBack(t, "the client left with "+name, c, "after")
		other, err := net.Dial(c.RemoteAddr().Network(), "127.0.0.1:"+ports[name])
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		goesBack(t, "a new client of "+name, other, "new")
	}
}

// endLater ends what the broker runs now, when the test is over: nobody else does once it
// has been left behind.
func endLater(t *testing.T, b *rig.Broker) {
	t.Helper()
	st, err := b.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range st.Sessions {
		fd, err := unix.PidfdOpen(s.PID, 0) // its number may be another's by then
		if err != nil {
			continue // it has ended
		}
		t.Cleanup(func() {
			_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			unix.Close(fd)
		})
	}
}

// TestUDPServiceAgain: a udp service that was removed can be added again beside
// the programs of the peers it had.
func TestUDPServiceAgain(t *testing.T) {
	rig.Root(t)
	text, ports := leaving(t, head)
	b := rig.Serve(t, text)
	c, err := net.Dial("udp4", "127.0.0.1:"+ports["datagram"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	goesBack(t, "the client", c, "before")
	i := strings.Index(text, "\nservice \"datagram\"")
	without := text[:i] + text[i+strings.Index(text[i:], "\n}\n")+3:]
	for _, policy := range []string{without, text} {
		reloads(t, b, policy)
	}
	goesBack(t, "the client", c, "after")
	other, err := net.Dial("udp4", "127.0.0.1:"+ports["datagram"])
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	goesBack(t, "another client", other, "new")
}

func reloads(t *testing.T, b *rig.Broker, text string) {
	t.Helper()
	if err := b.WritePolicy("test.cm.hcl", text); err != nil {
		t.Fatal(err)
	}
	if answer, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !answer.OK {
		t.Fatalf("%+v, %v", answer, err)
	}
}

// TestBuiltinKeepsSessions: an edit of the rules of a built-in counts for the next client,
// and lets those be who are served.
func TestBuiltinKeepsSessions(t *testing.T) {
	rig.Root(t)
	text, ports := leaving(t, head)
	b := rig.Serve(t, text)
	c, err := rig.Dial(ports["builtin"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	goesBack(t, "the client", c, "before")
	worker := session(t, b, "builtin").PID
	time.Sleep(1500 * time.Millisecond) // a worker under a second old may not hear what it is told, and is ended
	reloads(t, b, strings.Replace(text, "127.0.0.0/8", "127.0.0.2", 1))
	// The worker is told to leave, and may accept a client more before it hears of it.
	if err := rig.Until(30*time.Second, func() error {
		if got, err := rig.Exchange(ports["builtin"], "new"); err == nil && got != "" {
			return fmt.Errorf("a client that the new rules refuse read %q", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	goesBack(t, "the client", c, "after")
	reloads(t, b, text)
	if err := rig.Until(30*time.Second, func() error {
		if got, err := rig.Exchange(ports["builtin"], "new"); err != nil || got != "new" {
			return fmt.Errorf("a client that the rules admit again read %q (%v)", got, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	goesBack(t, "the client", c, "at last")
	c.Close()
	if err := gone(30*time.Second, worker); err != nil {
		t.Error(err)
	}
}
