package root

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/need"
	"casemate/tests/root/rig"
)

const screenedHCL = `
acl "screen" {
  deny { from = ["%[1]s"] }
  allow { from = ["127.0.0.0/29"] }
}

profile "clerk" {
  base   = profile.server
  widens = ["network"]
  network { mode = "listener" }
}

profile "loose" {
  base    = profile.server
  widens  = ["network", "syscalls"]
  because = "the control"
  network { mode = "host" }
  best_effort = ["landlock.scopes"] # on older kernels
  syscalls { allow = ["setsockopt"] }
}
`

// asked is what a datagram to a port is answered, "silence" for nothing.
func asked(t *testing.T, from, port string) string {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 100)
	_ = c.SetDeadline(time.Now().Add(time.Second / 2))
	if _, err = c.Write([]byte("x")); err == nil {
		var n int
		if n, err = c.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return "silence"
}

// TestWaitIsScreened: with wait = true and refuse = "silent" whom the acl refuses by address never comes to the program, whatever
// that tries with its socket, over reloads while it runs and over the broker's end. The control is the program
// with setsockopt, under an acl for everybody: it takes a filter off.
func TestWaitIsScreened(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/screened.c")
	ports := map[string]string{"tcp": rig.Port(t), "udp": rig.Port(t), "open": rig.Port(t)}
	ask := func(network, from string) string {
		t.Helper()
		if network == "tcp" {
			return answer(t, from, ports[network])
		}
		return asked(t, from, ports[network])
	}
	text := func(denied string) string {
		all := head + fmt.Sprintf(screenedHCL, denied)
		for _, network := range []string{"tcp", "udp"} {
			all += service(network, network+"://127.0.0.1:"+ports[network], []string{victim}, "wait = true", `refuse = "silent"`, "acl = acl.screen", "limit = limit.wait", "profile = profile.clerk")
		}
		return all + service("open", "udp://127.0.0.1:"+ports["open"], []string{victim}, "wait = true", "acl = acl.anyone", "limit = limit.wait", "profile = profile.loose")
	}
	expect := func(when, denied, admitted string) {
		t.Helper()
		for _, network := range []string{"tcp", "udp"} {
			if err := rig.Until(10*time.Second, func() error { // a filter is attached a moment after the reload
				if got := ask(network, admitted); !strings.HasPrefix(got, "1 1 ") { // EPERM
					return fmt.Errorf("%s, %s: %s gets %q", when, network, admitted, got)
				}
				if got := ask(network, denied); got != "silence" {
					return fmt.Errorf("%s, %s: %s gets %q", when, network, denied, got)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			for range 3 { // and stays so
				if got := ask(network, denied); got != "silence" {
					t.Errorf("%s, %s: %s gets %q", when, network, denied, got)
				}
			}
		}
	}
	b := rig.Serve(t, text("127.0.0.2"))
	if got := asked(t, "127.0.0.2", ports["open"]); got != fmt.Sprintf("%d 0 0, 1\n", syscall.ENOENT) { // there was none
		t.Errorf("the control says %q", got)
	}
	if got := asked(t, "127.0.0.2", ports["open"]); got != "0 0 0, 2\n" {
		t.Errorf("the control takes no filter off: %q", got)
	}
	expect("at first", "127.0.0.2", "127.0.0.1")
	for _, network := range []string{"tcp", "udp"} { // one program has had them all
		if err := rig.Until(10*time.Second, func() error {
			if got := ask(network, "127.0.0.1"); !strings.HasPrefix(got, "1 1 0, ") {
				return fmt.Errorf("%s: %q", network, got)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	reloads(t, b, text("127.0.0.3"))
	expect("after a reload", "127.0.0.3", "127.0.0.2")
	pid, err := b.Acceptor()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	expect("after the broker's end", "127.0.0.3", "127.0.0.2")
	time.Sleep(4500 * time.Millisecond) // the programs end for want of clients
	expect("with the next program", "127.0.0.3", "127.0.0.2")
	reloads(t, b, strings.ReplaceAll(text("127.0.0.3"), `refuse = "silent"`, `refuse = "silent"`+"\n  umask = \"0027\""))
	expect("with another sandbox", "127.0.0.3", "127.0.0.2")
}

// TestUnscreened: where the kernel attaches no filter, the socket is not handed over, and the log says why.
func TestUnscreened(t *testing.T) {
	bin := rig.Root(t)
	need.Programs(t, "setpriv")
	victim, port := rig.Compile(t, "testdata/screened.c"), rig.Port(t)
	b, err := rig.Start(rig.Options{Bin: bin, Under: []string{"setpriv", "--bounding-set", "-net_admin", "--"}, Files: map[string]string{"test.cm.hcl": head + fmt.Sprintf(screenedHCL, "127.0.0.2") +
		service("tcp", "tcp://127.0.0.1:"+port, []string{victim}, "wait = true", `refuse = "silent"`, "acl = acl.screen", "limit = limit.wait", "profile = profile.clerk")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	n, err := c.Read(make([]byte, 100))
	if n > 0 {
		need.Kernel(t, "it asks for no capability to filter tcp")
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := b.Await(1, 10*time.Second, "service", "tcp", "msg", "listener tcp4/127.0.0.1:"+port+" is not handed over"); err != nil {
		text, _ := os.ReadFile(b.LogFile)
		t.Errorf("%v\n%s", err, text)
	}
}

// TestWaitStartedUnscreened: the program of a wait service that runs as a reload sets refuse = "silent" has the filter at its socket as well. That it may be able to take it
// off the reload, the log and status say, and status that it has, until the next one is started.
func TestWaitStartedUnscreened(t *testing.T) {
	rig.Root(t)
	victim := rig.Compile(t, "testdata/screened.c")
	for _, profile := range []string{"clerk", "loose"} {
		port := rig.Port(t)
		text := func(profile, more, acl string) string {
			return head + fmt.Sprintf(screenedHCL, "127.0.0.2") + service("late", "udp://127.0.0.1:"+port, []string{victim}, "wait = true", more, "acl = acl."+acl, "limit = limit.wait", "profile = profile."+profile)
		}
		b := rig.Serve(t, text(profile, "", "anyone"))
		if err := rig.Until(20*time.Second, func() error { // a first start may take its time
			if asked(t, "127.0.0.2", port) == "silence" {
				return errors.New("nobody is served")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := b.WritePolicy("test.cm.hcl", text("clerk", `refuse = "silent"`, "screen")); err != nil {
			t.Fatal(err)
		}
		a, err := b.Request(control.Request{Verb: control.VerbReload})
		if err != nil || !a.OK || len(a.Diagnostics) != 1 || a.Diagnostics[0].Code != "CM605" {
			t.Fatalf("%+v, %v", a, err)
		}
		if _, err := b.Await(1, 10*time.Second, "msg", "diagnostic", "code", "CM605"); err != nil {
			t.Error(err)
		}
		losses := func() string {
			s, err := b.Service("late")
			if err != nil {
				t.Fatal(err)
			}
			return strings.Join(s.Losses, "\n")
		}
		if got := losses(); !strings.Contains(got, "acl: its program that runs (pid ") {
			t.Errorf("status says %q", got)
		}
		if err := rig.Until(10*time.Second, func() error {
			switch got := asked(t, "127.0.0.2", port); {
			case profile == "clerk" && got != "silence":
				return fmt.Errorf("it serves 127.0.0.2: %q", got)
			case profile == "clerk":
				return nil
			}
			_ = asked(t, "127.0.0.1", port) // has it take the filter off
			if got := losses(); !strings.Contains(got, "acl: its program that runs may take clients whom that refuses") {
				return fmt.Errorf("it has taken the filter off, and status says %q", got)
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		if _, err := b.Request(control.Request{Verb: control.VerbKill, Service: "late", Now: true}); err != nil {
			t.Fatal(err)
		}
		if err := rig.Until(20*time.Second, func() error {
			denied, admitted, lost := asked(t, "127.0.0.2", port), asked(t, "127.0.0.1", port), losses()
			if denied != "silence" || admitted == "silence" || strings.Contains(lost, "acl: ") {
				return fmt.Errorf("the next one says %q to 127.0.0.2, %q to 127.0.0.1, and status %q", denied, admitted, lost)
			}
			return nil
		}); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}
