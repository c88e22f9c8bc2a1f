package lang

import (
	"strings"
	"testing"

	"casemate/policy"
)

// TestSocketBlock: what socket { } says is what the policy has, and nothing that no socket would have.
func TestSocketBlock(t *testing.T) {
	doc, ds := compileText(one(`acl = acl.anyone
  socket {
    interface      = "eth0"
    freebind       = true
    transparent    = true
    nodelay        = true
    keepalive      = "2m"
    send_buffer    = "64KiB"
    receive_buffer = "1MiB"
    tos            = "EF"
    mark           = 4294967295
    priority       = 6
  }`))
	if doc == nil {
		t.Fatal(show(ds))
	}
	want := policy.Socket{Interface: "eth0", Freebind: true, Transparent: true, NoDelay: true, Keepalive: 120e9, SendBuffer: 64 << 10, ReceiveBuffer: 1 << 20,
		TOS: 184, Mark: 1<<32 - 1, Priority: 6}
	if got := doc.Policy.Service("s").Socket; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for text, want := range map[string]string{
		"tos = \"eg\"":                     "no name of differentiated services",
		"tos = 3":                          "3 is no tos",
		"tos = 256":                        "256 is no tos",
		"tos = true":                       "must be a name or a number",
		"interface = \"a/b\"":              "no name of an interface",
		"interface = \"sixteen-letters\"":  "", // fifteen
		"interface = \"sixteen-letterss\"": "no name of an interface",
		"send_buffer = \"0B\"":             "holds nothing",
		"receive_buffer = \"1TiB\"":        "out of range",
		"mark = \"7\"":                     "must be a number",
	} {
		_, ds := compileText(one("acl = acl.anyone\n  socket {\n    " + text + "\n  }"))
		if said := show(ds); want == "" && policy.HasErrors(ds) || !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %q", text, said, want)
		}
	}
	for text, want := range map[string]string{
		"listen = [\"unix:/run/x.sock\"]\n  socket {\n    tos = 16\n  }":                                   "only tcp and udp sockets have them",
		"listen = [\"tcp://:79\"]\n  wait = true\n  limit = limit.wait\n  socket {\n    priority = 3\n  }": "takes its tcp clients itself",
		"listen = [\"udp://:79\"]\n  socket {\n    nodelay = true\n  }":                                    "only tcp clients have segments",
		"listen = [\"unix:/run/x.sock\"]\n  socket {\n    send_buffer = \"8KiB\"\n  }":                     "",
	} {
		_, ds := compileText(strings.Replace(one("acl = acl.anyone"), "listen = [\"tcp://:79\"]", text, 1))
		if said := show(ds); want == "" && policy.HasErrors(ds) || !strings.Contains(said, want) {
			t.Errorf("%s: %s, want %q", text, said, want)
		}
	}
}

// TestInterfacesShareAPort: a port is free on another interface, and on no interface that all have.
func TestInterfacesShareAPort(t *testing.T) {
	const taken = "is already taken by"
	service := func(name, listen, device string) string {
		return "service \"" + name + "\" {\n  listen = [\"" + listen + "\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  acl = acl.anyone\n  socket {\n    " + device + "\n  }\n}\n"
	}
	const one, two, all = `interface = "one"`, `interface = "two"`, ""
	for _, c := range []struct {
		a, on, b, bOn string
		free          bool
	}{
		{"tcp://:79", one, "tcp://:79", two, true}, {"tcp://:79", one, "tcp://:79", one, false}, {"tcp://:79", one, "tcp://:79", all, false}, {"tcp://:79", all, "tcp://:79", two, false},
		{"tcp://127.0.0.1:79", one, "tcp://:79", two, true}, {"tcp://127.0.0.1:79", one, "tcp://:79", all, false}, {"tcp://:79", all, "tcp://127.0.0.1:79", one, false},
		{"tcp://127.0.0.1:79", one, "tcp://:79", one, false}, {"tcp://:79", one, "tcp://127.0.0.1:79", one, false}, {"tcp://127.0.0.1:79", one, "tcp://127.0.0.2:79", one, true},
	} {
		doc, ds := compileText(head + service("a", c.a, c.on) + service("b", c.b, c.bOn))
		if said := show(ds); c.free && doc == nil || !c.free && !strings.Contains(said, taken) {
			t.Errorf("%s on %q and %s on %q: %s", c.a, c.on, c.b, c.bOn, said)
		}
	}
}

// TestBuffersOfEntries: the sizes that an entry writes are those of its service's sockets.
func TestBuffersOfEntries(t *testing.T) {
	doc := mustTable(t, anyEntry, "telnet stream tcp,sndbuf=16k,rcvbuf=1m nowait root /usr/sbin/in.telnetd in.telnetd\n")
	if s := doc.Policy.Service("telnet").Socket; s.SendBuffer != 16<<10 || s.ReceiveBuffer != 1<<20 {
		t.Errorf("%+v", s)
	}
	if at := doc.Origins.Lookup("services.telnet.socket.receive_buffer"); at != "/etc/inetd.conf:1:37" {
		t.Errorf("receive_buffer is from %s", at)
	}
}
