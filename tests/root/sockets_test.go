package root

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/need"
	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// option reads an option of descriptor fd of another process.
func option(t *testing.T, pid, fd, level, name int) int {
	t.Helper()
	own := take(t, pid, fd)
	defer unix.Close(own)
	n, err := unix.GetsockoptInt(own, level, name)
	if err != nil {
		t.Fatalf("option %d of level %d: %v", name, level, err)
	}
	return n
}

// take gives a copy of a descriptor of another process.
func take(t *testing.T, pid, fd int) int {
	t.Helper()
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p)
	own, err := unix.PidfdGetfd(p, fd, 0)
	if err != nil {
		t.Fatalf("descriptor %d of process %d: %v", fd, pid, err)
	}
	return own
}

// optioned are options, what a policy says of them, and what a program's socket then has:
// what it has without is another value.
var optioned = []struct {
	attr           string
	level4, level6 int
	name4, name6   int
	tcp, udp       int
}{
	{"nodelay = true", unix.SOL_TCP, unix.SOL_TCP, unix.TCP_NODELAY, unix.TCP_NODELAY, 1, 0},
	{`keepalive = "2m"`, unix.SOL_TCP, unix.SOL_TCP, unix.TCP_KEEPIDLE, unix.TCP_KEEPIDLE, 120, 0},
	{`send_buffer = "32KiB"`, unix.SOL_SOCKET, unix.SOL_SOCKET, unix.SO_SNDBUF, unix.SO_SNDBUF, 64 << 10, 64 << 10},
	{`receive_buffer = "48KiB"`, unix.SOL_SOCKET, unix.SOL_SOCKET, unix.SO_RCVBUF, unix.SO_RCVBUF, 96 << 10, 96 << 10},
	{`tos = "af11"`, unix.SOL_IP, unix.SOL_IPV6, unix.IP_TOS, unix.IPV6_TCLASS, 40, 40},
	{"priority = 5", unix.SOL_SOCKET, unix.SOL_SOCKET, unix.SO_PRIORITY, unix.SO_PRIORITY, 5, 5},
	{"freebind = true", unix.SOL_IP, unix.SOL_IPV6, unix.IP_FREEBIND, unix.IPV6_FREEBIND, 1, 1},
}

// TestSocketOptions: what socket { } says holds for the sockets that programs get, of a
// reload on and no longer.
func TestSocketOptions(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	var with strings.Builder
	for _, o := range optioned {
		with.WriteString("    " + o.attr + "\n")
	}
	text := func(options string) string {
		return head + service("tcp", "tcp://:"+port, []string{"/bin/cat"}, "profile = profile.line", options) +
			service("udp", "udp://:"+port, []string{"/bin/cat"}, "profile = profile.line", strings.ReplaceAll(strings.ReplaceAll(options, "nodelay = true", ""), `keepalive = "2m"`, ""))
	}
	on := "socket {\n" + with.String() + "  }"
	b := rig.Serve(t, text(on))
	for _, c := range []struct {
		text string
		set  bool
	}{{on, true}, {"", false}, {on, true}} {
		if err := b.WritePolicy("test.cm.hcl", text(c.text)); err != nil {
			t.Fatal(err)
		}
		if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
			t.Fatalf("reload: %v, %+v", err, a)
		}
		for _, network := range []string{"tcp", "udp"} {
			for _, host := range []string{"127.0.0.1", "::1"} {
				conn, err := net.Dial(network, net.JoinHostPort(host, port))
				if err != nil {
					t.Fatal(err)
				}
				echo(t, conn)
				pid := session(t, b, network).PID
				for _, o := range optioned {
					level, name, want := o.level4, o.name4, o.tcp
					if host == "::1" {
						level, name = o.level6, o.name6
					}
					if network == "udp" {
						want = o.udp
					}
					if want == 0 {
						continue // not of udp
					}
					if got := option(t, pid, 0, level, name); (got == want) != c.set {
						t.Errorf("%s of %s to %s, set %v: it is %d", o.attr, network, host, c.set, got)
					}
				}
				conn.Close()
				_ = unix.Kill(pid, unix.SIGKILL) // a udp session does not end with its client
				if err := b.Idle(30 * time.Second); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestSocketOptionsRefused: what a socket cannot be given refuses the policy, at its place.
func TestSocketOptionsRefused(t *testing.T) {
	bin := rig.Root(t)
	port := rig.Port(t)
	for attr, want := range map[string]string{
		"mark = 7":                   "mark: 7 on tcp4/127.0.0.1:" + port + ": operation not permitted: it takes a capability that casemated does not keep",
		"transparent = true":         "transparent: 1 on tcp4/127.0.0.1:" + port + ": operation not permitted: it takes a capability that casemated does not keep",
		`interface = "nosuchdevice"`: `interface: "nosuchdevice" for tcp4/127.0.0.1:` + port + "%nosuchdevice: no such device",
		`receive_buffer = "512MiB"`:  "receive_buffer: 536870912 on tcp4/127.0.0.1:" + port + ": it is more than this host allows",
	} {
		text := head + service("cat", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "profile = profile.line", "socket {\n    "+attr+"\n  }")
		b, err := rig.Start(rig.Options{Bin: bin, Files: map[string]string{"test.cm.hcl": text}})
		if err == nil {
			b.Stop()
			t.Errorf("%s: the broker started all the same", attr)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.cm.hcl:") {
			t.Errorf("%s: refused with %v, want %s", attr, err, want)
		}
	}
}

// TestSocketInterface: two services have one port, each on its interface, and nobody comes to
// one by way of another.
func TestSocketInterface(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "ip")
	if !alone(t) {
		return
	}
	must(t, "ip", "link", "add", "inside", "type", "veth", "peer", "name", "outside")
	must(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "inside")
	must(t, "ip", "link", "set", "inside", "up")
	program := rig.Compile(t, "testdata/rogue.c")
	port := rig.Port(t)
	text := strings.Replace(head, `"127.0.0.0/8", `, `"127.0.0.0/8", "192.0.2.0/24", `, 1)
	b := rig.Serve(t, text+service("here", "tcp4://:"+port, []string{"/bin/cat"}, "profile = profile.line", "socket {\n    interface = \"lo\"\n  }")+
		service("there", "tcp4://:"+port, []string{program, "once"}, "profile = profile.line", "socket {\n    interface = \"inside\"\n  }"))
	for _, key := range []string{"%lo", "%inside"} {
		if out := must(t, "ss", "-Hltn"); !strings.Contains(out, "0.0.0.0"+key+":"+port) {
			t.Errorf("ss shows no socket on %s:\n%s", key, out)
		}
	}
	echo(t, connect(t, port))
	got, err := abroad("outside", "192.0.2.2/24", "192.0.2.1:"+port)
	if err != nil || got != "once\n" {
		t.Errorf("from the other end of the interface: %q (%v)", got, err)
	}
	if err := b.WritePolicy("test.cm.hcl", text+service("there", "tcp4://:"+port, []string{program, "once"}, "profile = profile.line", "socket {\n    interface = \"inside\"\n  }")); err != nil {
		t.Fatal(err)
	}
	if a, err := b.Request(control.Request{Verb: control.VerbReload}); err != nil || !a.OK {
		t.Fatalf("reload: %v, %+v", err, a)
	}
	if c, err := net.Dial("tcp4", "127.0.0.1:"+port); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("by way of lo: %v, %v", c, err)
	}
}

// abroad moves an interface into a network namespace of its own, and reads from there what a
// server says first.
func abroad(device, addr, server string) (said string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with its namespace
		tid := strconv.Itoa(unix.Gettid())
		var was *os.File // this may be the first thread, after which the process's own namespace is called
		if was, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return
		}
		defer was.Close()
		home := fmt.Sprintf("/proc/%d/fd/%d", unix.Getpid(), was.Fd())
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		for _, args := range [][]string{
			{"nsenter", "--net=" + home, "ip", "link", "set", device, "netns", tid},
			{"ip", "addr", "add", addr, "dev", device}, {"ip", "link", "set", device, "up"},
		} {
			if out, bad := exec.Command(args[0], args[1:]...).CombinedOutput(); bad != nil {
				err = fmt.Errorf("%v: %w: %s", args, bad, out)
				return
			}
		}
		var c net.Conn
		if err = rig.Until(30*time.Second, func() (err error) { c, err = net.DialTimeout("tcp4", server, time.Second); return err }); err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		buf := make([]byte, 64)
		n, bad := c.Read(buf)
		said, err = string(buf[:n]), bad
	}()
	<-done
	return said, err
}

// TestLinkLocal: a service listens on the address that two interfaces have, on each apart, and
// rules see its clients' addresses without the zone.
func TestLinkLocal(t *testing.T) {
	rig.Root(t)
	need.Programs(t, "ip")
	if !alone(t) {
		return
	}
	for _, device := range []string{"one", "two"} {
		must(t, "ip", "link", "add", device, "type", "veth", "peer", "name", device+"-end")
		must(t, "ip", "link", "set", device+"-end", "up")
		must(t, "ip", "link", "set", device, "up")
		must(t, "ip", "addr", "add", "fe80::5/64", "dev", device, "nodad")
	}
	program := rig.Compile(t, "testdata/rogue.c")
	port := rig.Port(t)
	text := strings.Replace(head, `"127.0.0.0/8", `, `"127.0.0.0/8", "fe80::5", `, 1)
	rig.Serve(t, text+service("one", "tcp6://[fe80::5%one]:"+port, []string{program, "once"}, "profile = profile.line")+
		service("two", "tcp6://[fe80::5%two]:"+port, []string{"/bin/cat"}, "profile = profile.line"))
	for device, want := range map[string]string{"one": "once\n", "two": "alive\n"} {
		c, err := net.Dial("tcp6", "[fe80::5%"+device+"]:"+port)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		buf := make([]byte, 64)
		if device == "two" {
			if _, err := c.Write([]byte("alive\n")); err != nil {
				t.Fatal(err)
			}
		}
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("on %s: %q (%v), want %q", device, buf[:n], err, want)
		}
		c.Close()
	}
}
