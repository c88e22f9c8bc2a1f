package escape

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// fallbacks are what drivers of tunnels put, down, into every new network namespace (net.core.fb_tunnels_only_for_init_net).
var fallbacks = []string{"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}

// nobodyThere is what an address answers at which nobody serves.
const nobodyThere = "ECONNREFUSED"

// privateAttempts are made under a profile with a network of each connection's own and all kinds of sockets, by a
// program behind a relay and by one with a client's unix socket.
var privateAttempts = []attempt{
	{54, "tcp 127.0.0.1 {tcp}", nobodyThere, asNobody, ""},
	{54, "tcp6 ::1 {tcp}", nobodyThere, asNobody, ""},
	{54, "tcp 169.254.169.254 80", "ENETUNREACH", uncontrolled, ""}, // not ours to ask
	{54, "udp 127.0.0.1 {udp}", "ok", asNobody, ""},                 // sent to nobody: the canary is the witness
	{61, "unix-abstract {abstract}", nobodyThere, asNobody, ""},
	{62, "unix-path {dir}/read/sock", "ENOENT", asNobody, ""},
	{51, "vsock", noSocket, asNobody, ""},
	{52, "alg", noSocket, uncontrolled, ""}, // not in every kernel
	{59, "mptcp 127.0.0.1 {tcp}", noSocket, asNobody, ""},
	{59, "fastopen 127.0.0.1 {tcp}", noSocket, asNobody, ""},
	{50, "socket 2 3 1", noSocket, asRoot, ""},    // raw
	{50, "socket 17 3 768", noSocket, asRoot, ""}, // packet
	{57, "ifconf", shut, asNobody, ""},
	{57, "ifflags", shut, asNobody, ""},
	{64, "lo-down", "EPERM", uncontrolled, ""},                                 // it would be the host's
	{64, "reaim-unix {abstract}", "EISCONN|EINVAL|ENOTCONN", uncontrolled, ""}, // a tcp socket is aimed by reaim
	{32, "unshare 0x40000000", shut, asRoot, ""},
}

// privateProfile has a network of each connection's own, with those kinds of sockets.
func privateProfile(name string, sockets ...string) string {
	return fmt.Sprintf("profile %q {\n  base = profile.server\n  widens = [\"network\", \"syscalls\"]\n  network {\n    mode = \"private\"\n    sockets = [\"%s\"]\n  }\n"+
		"  syscalls { on_violation = \"errno\" }\n}\n", name, strings.Join(sockets, `", "`))
}

// TestPrivateNetwork: programs with a network of each connection's own have all that sockets among themselves are for, and
// reach nobody else: not the host's loopback, nor its abstract names, nor another session of the same service.
func TestPrivateNetwork(t *testing.T) {
	rig.Root(t)
	victim, c := compileVictim(t), plant(t)
	port, tcp, mapped, socket := rig.Port(t), rig.Port(t), rig.Port(t), filepath.Join(rig.PublicDir(t), "listen")
	of := func(name, profile, listen, more string) string {
		return fmt.Sprintf("service %q {\n  listen = [%q]\n  command = [%q]\n  user = \"nobody\"\n  acl = acl.anyone\n  limit = limit.many\n  profile = profile.%s\n%s}\n", name, listen, victim, profile, more)
	}
	const relay = "  stdio = \"relay\"\n"
	b := rig.Serve(t, policyHead+"limit \"many\" { concurrent = 16 }\n"+privateProfile("own", "tcp", "udp", "unix", "netlink-route")+
		privateProfile("few", "tcp")+strings.Replace(privateProfile("mapped", "tcp"), "profile.server\n", "profile.line\n  user_namespace = true\n", 1)+
		of("relayed", "own", "tcp4://127.0.0.1:"+port, relay)+of("direct", "own", "unix:"+socket, "  socket { mode = \"0666\" }\n")+
		of("few", "few", "tcp4://127.0.0.1:"+tcp, relay)+of("mapped", "mapped", "tcp4://127.0.0.1:"+mapped, relay))
	ways := map[string]func() (net.Conn, error){
		"relayed": func() (net.Conn, error) { return net.Dial("tcp4", "127.0.0.1:"+port) },
		"direct":  func() (net.Conn, error) { return net.Dial("unix", socket) },
	}
	few(t, func() (net.Conn, error) { return net.Dial("tcp4", "127.0.0.1:"+tcp) })
	if o := through(t, func() (net.Conn, error) { return net.Dial("tcp4", "127.0.0.1:"+mapped) }, "listen 127.0.0.1 "+c.tcp); o[0].result != "ok" {
		t.Errorf("in a user namespace: %s", o[0])
	}
	values := c.values(victim, port)
	own := []string{"helper 127.0.0.1", "helper ::1", "listen 127.0.0.1 " + port, "listen 127.0.0.1 " + c.tcp, "netlink", "links"}
	lines := own
	for _, a := range privateAttempts {
		lines = append(lines, fill(t, a.line, values))
	}
	for name, dial := range ways {
		for i, o := range through(t, dial, lines...) {
			switch {
			case i == len(own)-1:
				others := slices.DeleteFunc(o.notes, func(n string) bool { return slices.Contains(fallbacks, strings.TrimPrefix(n, "link ")) })
				if o.result != "ok" || !slices.Equal(others, []string{"link lo"}) {
					t.Errorf("%s: its interfaces are %s %q, want lo alone", name, o.result, others)
				}
			case i < len(own) && o.result != "ok":
				t.Errorf("%s: %s: %s, which is its own affair", name, lines[i], o)
			case i >= len(own) && !denied(privateAttempts[i-len(own)].want, o):
				t.Errorf("%s: %s: %s, want %s", name, lines[i], o, privateAttempts[i-len(own)].want)
			}
		}
		strangers(t, name, dial)
	}
	time.Sleep(50 * time.Millisecond) // a connection that was made needs a moment to be counted
	if n := c.touched.Load(); n != 0 {
		t.Errorf("the canary sockets were reached %d times", n)
	}
	t.Run("control", func(t *testing.T) {
		for _, a := range privateAttempts {
			if a.control == uncontrolled || tooNew(t, a.line) {
				continue
			}
			if o := outside(t, victim, fill(t, a.line, values), a.control); o.result != "ok" {
				t.Errorf("%s: %s outside of the sandbox, so its denial inside proves nothing", a.line, o)
			}
		}
		if o := outside(t, victim, "reaim 127.0.0.1 "+c.tcp, asNobody); o.result != "ok" {
			t.Errorf("reaim: %s outside of the sandbox", o)
		}
		if n := c.touched.Load(); n < 5 {
			t.Errorf("outside, the canaries were reached %d times", n)
		}
	})
	if err := b.Idle(20 * time.Second); err != nil {
		t.Error(err)
	}
}

// through makes attempts one after another in a session of their own.
func through(t *testing.T, dial func() (net.Conn, error), lines ...string) []outcome {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer, out := asked(t, conn, strings.Join(lines, ";")), make([]outcome, len(lines))
	for i, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		n := 0
		if out[i], n = first(name, answer); n == len(answer) && i < len(lines)-1 {
			t.Errorf("the victim ended in %q", line)
		}
		answer = answer[n:]
	}
	return out
}

// asked says one line and all that is to be said, and gives the whole answer.
func asked(t *testing.T, conn net.Conn, line string) string {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintln(conn, line)
	finish(conn)
	var text strings.Builder
	_, _ = bufio.NewReader(conn).WriteTo(&text) // a victim that was killed may be told by a reset
	return text.String()
}

func finish(conn net.Conn) { _ = conn.(interface{ CloseWrite() error }).CloseWrite() }

// strangers has one session serve on its loopback and under an abstract name, for whom another one and the host looks in vain.
func strangers(t *testing.T, name string, dial func() (net.Conn, error)) {
	t.Helper()
	port := rig.Port(t)
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintln(conn, "hold "+port)
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "note: holds\n" {
		t.Fatalf("%s: a session that serves says %q (%v)", name, line, err)
	}
	there := []string{"tcp 127.0.0.1 " + port, "unix-abstract casemate-hold-" + port}
	for i, o := range through(t, dial, there...) {
		if o.result != nobodyThere {
			t.Errorf("%s: another session: %s: %s, want %s", name, there[i], o, nobodyThere)
		}
	}
	for network, at := range map[string]string{"tcp4": "127.0.0.1:" + port, "unix": "@casemate-hold-" + port} {
		if c, err := net.Dial(network, at); err == nil {
			c.Close()
			t.Errorf("%s: %s of a session is the host's", name, at)
		}
	}
	finish(conn)
	var rest strings.Builder
	_, _ = r.WriteTo(&rest)
	if rest.String() != "note: came 0\nhold ok\n" {
		t.Errorf("%s: the one that served says %q", name, rest.String())
	}
}

// few: of the kinds of sockets a private network has those that its profile names, and one that is left of its launch.
func few(t *testing.T, dial func() (net.Conn, error)) {
	t.Helper()
	want := []string{"family 2 type 1 protocol 0", "family 2 type 1 protocol 6", "family 10 type 1 protocol 0", "family 10 type 1 protocol 6"}
	// SOCK_DGRAM|SOCK_CLOEXEC is what set up the loopback, and reaches no more than that.
	lines := []string{"families", "helper 127.0.0.1", "socket 2 0x80002 0", "socket 2 0x80802 0", "socket 10 0x80002 0", "socket 2 0x80002 17"}
	for i, o := range through(t, dial, lines...) {
		if result := []string{"ok", "ok", "ok", "EPERM", "EPERM", "EPERM"}[i]; o.result != result || i == 0 && !slices.Equal(o.notes, want) {
			t.Errorf("%s: %s, want %s", lines[i], o, result)
		}
	}
}
