package root

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"

	"golang.org/x/sys/unix"
)

// comesBack tells whether a client from an address of loopback gets a byte back: over tcp by a connection, over udp by one datagram.
func comesBack(t *testing.T, network, from, port string) bool {
	t.Helper()
	var local net.Addr = &net.TCPAddr{IP: net.ParseIP(from)}
	if network == "udp4" {
		local = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	c, err := (&net.Dialer{Timeout: time.Second, LocalAddr: local}).Dial(network, "127.0.0.1:"+port)
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ECONNREFUSED) {
		t.Fatal(err)
	}
	if err != nil {
		return false
	}
	defer c.Close()
	patience := 20 * time.Second
	if network == "udp4" {
		patience = time.Second // a datagram is not refused, but dropped
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = c.Write([]byte("x"))
	_, err = io.ReadFull(c, make([]byte, 1))
	return err == nil
}

// TestBan: a ban holds from the answer of casemate ban on, at programs, at built-ins that run and at those that start later, over tcp and
// udp, and in the kernel where that refuses; for no other address and no other service. It outlives reloads, the broker and casemated, until it is taken
// back. Sessions go on, unless they are to end.
func TestBan(t *testing.T) {
	rig.Root(t)
	ports := map[string]string{}
	var names []string
	block := func(name, network, more string) string {
		ports[name] = rig.Port(t)
		names = append(names, name)
		return fmt.Sprintf("service %q {\n  listen = [\"%s://127.0.0.1:%s\"]\n  acl = acl.anyone\n  limit = limit.wide\n%s\n}\n", name, network, ports[name], more)
	}
	const cat = "  command = [\"/bin/cat\"]\n  user = \"dynamic\"\n  profile = profile.line"
	text := head +
		block("cat", "tcp4", cat) + block("silent", "tcp4", cat+"\n  refuse = \"silent\"") + block("dgram", "udp4", cat) +
		block("echo", "tcp4", "  builtin = \"echo\"\n  linger = \"10m\"") + block("uecho", "udp4", "  builtin = \"echo\"\n  linger = \"10m\"") +
		block("late", "tcp4", "  builtin = \"echo\"\n  linger = \"1s\"") + block("wait", "tcp4", "  command = [\"/bin/cat\"]\n  user = \"dynamic\"\n  profile = profile.line\n  wait = true")
	names = names[:len(names)-1] // wait's takes its clients itself
	o := rig.Options{Dir: rig.PublicDir(t), Files: map[string]string{"test.cm.hcl": text}}
	b := rig.ServeWith(t, o)
	network := func(name string) string {
		return map[bool]string{true: "udp4", false: "tcp4"}[name == "dgram" || name == "uecho"]
	}
	does := func(want int, says string, args ...string) {
		t.Helper()
		if code, out, errs := casemate(t, b, args...); code != want || !strings.Contains(out+errs, says) {
			t.Errorf("%v: %d, %s%s, want %d and %q", args, code, out, errs, want, says)
		}
	}
	check := func(when, from string, want func(name string) bool) {
		t.Helper()
		for _, name := range names {
			if got := comesBack(t, network(name), from, ports[name]); got != want(name) {
				t.Errorf("%s: %s at %s is served: %v", when, from, name, got)
			}
		}
	}
	all, none := func(string) bool { return true }, func(string) bool { return false }
	check("before", "127.0.0.2", all)
	live, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp4", "127.0.0.1:"+ports["cat"])
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	inside, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp4", "127.0.0.1:"+ports["echo"])
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	talks := func(c net.Conn) bool {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err == nil
	}
	if !talks(live) || !talks(inside) {
		t.Fatal("nobody is served")
	}

	does(0, "this does not hold for wait,", "ban", "127.0.0.2", "--for", "1h")
	check("banned", "127.0.0.2", none)
	check("another one", "127.0.0.3", all)
	if !talks(live) || !talks(inside) {
		t.Error("a session ended with the ban")
	}
	for _, name := range []string{"cat", "echo", "uecho", "dgram"} { // silent's SYNs are nobody's but the kernel's
		r, err := b.Await(1, 20*time.Second, "msg", "decision", "service", name, "client", "127.0.0.2", "verdict", "deny")
		if err != nil || r[0].Str("reason") != "ban" || r[0].Str("rule") != "none" {
			t.Fatalf("%s: %v, %v", name, r, err)
		}
		does(0, "an operator has said so: casemate bans lists it", "why", r[0].Str("id"))
		if err := rig.Until(20*time.Second, func() error {
			st, err := b.Service(name)
			if err == nil && st.RefusedBy["ban"] == 0 {
				err = fmt.Errorf("%s has refused by %v", name, st.RefusedBy)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	if err := rig.Until(20*time.Second, func() error {
		st, err := b.Service("silent")
		if err == nil && st.RefusedBy["kernel"] == 0 {
			_ = comesBack(t, "tcp4", "127.0.0.2", ports["silent"])
			err = fmt.Errorf("the kernel drops nobody: %v", st.RefusedBy)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(1, 20*time.Second, "msg", "banned", "asked_uid", "0"); err != nil {
		t.Error(err)
	}
	does(0, "refused now (ban, ", "explain", "cat", "127.0.0.2")
	does(0, "refused now (ban, ", "explain", "echo", "127.0.0.2")
	does(0, "1 ban, see casemate bans", "status")

	reloads(t, b, text+"# the same\n")
	check("after a reload", "127.0.0.2", none)
	killBroker(t, b)
	check("under the broker that follows", "127.0.0.2", none)
	check("under the broker that follows", "127.0.0.3", all)
	b.Stop()
	b = rig.ServeWith(t, o)
	check("under the next casemated", "127.0.0.2", none)
	does(3, "there is no ban of 127.0.0.0/8", "unban", "127.0.0.0/8")
	does(0, "unbanned 127.0.0.2/32 from all services", "unban", "127.0.0.2")
	does(0, "nothing is banned", "bans")
	if err := rig.Until(10*time.Second, func() error { // a filter goes a moment later
		if !comesBack(t, "tcp4", "127.0.0.2", ports["silent"]) {
			return errors.New("silent refuses after that is taken back")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	check("taken back", "127.0.0.2", all)

	does(0, "banned 127.0.0.0/29 from echo", "ban", "127.0.0.0/29", "echo", "cat", "--for", "0")
	check("from two", "127.0.0.2", func(name string) bool { return name != "echo" && name != "cat" })
	check("beside it", "127.0.0.9", all)
}

// TestBanEnds: --end ends the sessions of the address, those of a built-in too, with an orderly end, and nobody else's.
func TestBanEnds(t *testing.T) {
	rig.Root(t)
	ports := map[string]string{"cat": rig.Port(t), "echo": rig.Port(t)}
	b := rig.Serve(t, head+service("cat", "tcp4://127.0.0.1:"+ports["cat"], []string{"/bin/cat"}, "profile = profile.line")+
		fmt.Sprintf("service \"echo\" {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  builtin = \"echo\"\n  acl = acl.anyone\n}\n", ports["echo"]))
	of := map[string]net.Conn{}
	talk := func(c net.Conn) error {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	for name, port := range ports {
		for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp4", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := talk(c); err != nil {
				t.Fatal(err)
			}
			of[name+from] = c
		}
	}
	code, out, errs := casemate(t, b, "ban", "127.0.0.2", "--end")
	if code != 0 || !strings.Contains(out, "ended ") || !strings.Contains(out, " cat 127.0.0.2") || strings.Contains(out, "127.0.0.3") {
		t.Errorf("%d, %s%s", code, out, errs)
	}
	for name := range ports {
		if _, err := b.Await(1, 20*time.Second, "msg", "session", "service", name, "client", "127.0.0.2", "reason", "killed", "detail", "its client was banned"); err != nil {
			t.Error(err)
		}
		if err := talk(of[name+"127.0.0.2"]); err == nil {
			t.Errorf("%s: its session goes on", name)
		}
		if err := talk(of[name+"127.0.0.3"]); err != nil {
			t.Errorf("%s: another's session: %v", name, err)
		}
	}
}

// TestDrain: a drained service refuses new clients, serves those it has, and casemate drain --wait returns with the last of them.
func TestDrain(t *testing.T) {
	rig.Root(t)
	for _, tt := range []struct{ name, block string }{{"cat", "command = [\"/bin/cat\"]\n  user = \"dynamic\"\n  profile = profile.line"}, {"echo", "builtin = \"echo\""}} {
		port := rig.Port(t)
		b := rig.Serve(t, head+fmt.Sprintf("service \"it\" {\n  listen = [\"tcp4://127.0.0.1:%s\"]\n  acl = acl.anyone\n  %s\n}\n", port, tt.block))
		c, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		talk := func() bool {
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = c.Write([]byte("x"))
			_, err := io.ReadFull(c, make([]byte, 1))
			return err == nil
		}
		if !talk() || !comesBack(t, "tcp4", "127.0.0.2", port) {
			t.Fatalf("%s: nobody is served", tt.name)
		}
		if err := rig.Until(20*time.Second, func() error { // a built-in's worker tells within a second
			st, err := b.Service("it")
			if err == nil && st.Live != 1 {
				err = fmt.Errorf("%s: %d live", tt.name, st.Live)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := casemate(t, b, "drain", "it", "--wait", "--timeout", "1s"); code != 3 || !strings.Contains(out, "1 session is left") {
			t.Errorf("%s: %d, %s%s", tt.name, code, out, errs)
		}
		if comesBack(t, "tcp4", "127.0.0.2", port) || !talk() {
			t.Errorf("%s: a new client is served, or an old one is not", tt.name)
		}
		if _, err := b.Await(1, 20*time.Second, "msg", "decision", "verdict", "deny", "reason", "drain"); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		c.Close()
		if code, out, errs := casemate(t, b, "drain", "it", "--wait"); code != 0 || !strings.Contains(out, "0 sessions are left") {
			t.Errorf("%s: %d, %s%s", tt.name, code, out, errs)
		}
		if code, out, errs := casemate(t, b, "undrain", "it"); code != 0 || !comesBack(t, "tcp4", "127.0.0.2", port) {
			t.Errorf("%s: %d, %s%s, or nobody is served after it", tt.name, code, out, errs)
		}
		b.Stop()
	}
}
