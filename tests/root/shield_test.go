package root

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// answer is how a connection from an address of loopback goes: what it is sent, "reset", or "silence" where its SYN
// is not answered.
func answer(t *testing.T, from, port string) string {
	t.Helper()
	c, err := (&net.Dialer{Timeout: time.Second / 2, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", "127.0.0.1:"+port)
	var timeout net.Error
	switch {
	case err != nil && errors.As(err, &timeout) && timeout.Timeout():
		return "silence"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case err != nil:
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	text, err := io.ReadAll(c)
	if errors.Is(err, syscall.ECONNRESET) {
		return "reset"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const shieldedHCL = `
acl "staff" {
  deny { from = ["%[1]s"] }
  allow { from = ["127.0.0.0/29", ".example.org"] }
}

acl "plain" {
  deny { from = ["%[1]s"] }
  allow { from = ["127.0.0.0/29"] }
}

limit "strict" {
  concurrent = 100
  session    = "1s"
  rate       = "1000/s"
  burst      = 1000
  per_source {
    concurrent = 100
    rate       = "1000/s"
    burst      = 1000
  }
  penalty {
    on    = ["timeout"]
    first = "3s"
    max   = "3s"
  }
}

service "silent" {
  listen  = ["tcp://127.0.0.1:%[2]s", "udp://127.0.0.1:%[2]s"]
  command = ["/bin/echo", "served"]
  acl     = acl.staff
  limit   = limit.strict
  user    = "dynamic"
  profile = profile.line
  %[5]s
}

service "sleeps" {
  listen  = ["tcp://127.0.0.1:%[3]s"]
  command = ["/bin/sleep", "60"]
  acl     = acl.staff
  limit   = limit.strict
  user    = "dynamic"
  profile = profile.line
  %[5]s
}

service "builtin" {
  listen  = ["tcp://127.0.0.1:%[4]s"]
  builtin = "daytime"
  acl     = acl.plain
  limit   = limit.strict
  %[5]s
}
`

// TestSilentRefusals: the kernel answers no SYN of an address that the host rules refuse, nor of a source that a penalty shuts out as
// long as it does, and everybody else is served; a reload holds for the next SYN. Without refuse = "silent" the same clients get a reset.
func TestSilentRefusals(t *testing.T) {
	rig.Root(t)
	silent, sleeps, builtin := rig.Port(t), rig.Port(t), rig.Port(t)
	text := func(denied, refuse string) string {
		return head + fmt.Sprintf(shieldedHCL, denied, silent, sleeps, builtin, refuse)
	}
	b := rig.Serve(t, text("127.0.0.2", ""))
	expect := func(when, from, port, want string) {
		t.Helper()
		if err := rig.Until(5*time.Second, func() error { // a filter is attached a moment after the reload
			if got := answer(t, from, port); got != want {
				return fmt.Errorf("%s: %s at %s gets %q, want %q", when, from, port, got, want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	for _, port := range []string{silent, builtin} {
		expect("without a shield", "127.0.0.2", port, "reset")
	}
	reloads(t, b, text("127.0.0.2", `refuse = "silent"`))
	for port, want := range map[string]string{silent: "reset", builtin: "silence"} {
		expect("shielded", "127.0.0.2", port, "silence")
		// At the first one it may have a name that is admitted: nobody can say by its address alone.
		expect("shielded", "127.0.0.9", port, want)
	}
	expect("shielded", "127.0.0.1", silent, "served\n")
	if got := answer(t, "127.0.0.3", builtin); len(got) < 10 {
		t.Errorf("the built-in says %q", got)
	}
	datagrams(t, b, silent)

	expect("its program takes too long", "127.0.0.4", sleeps, "")
	expect("with a penalty", "127.0.0.4", sleeps, "silence")
	expect("while another one is shut out", "127.0.0.5", sleeps, "")
	expect("when its penalty is over", "127.0.0.4", sleeps, "")

	reloads(t, b, text("127.0.0.3", `refuse = "silent"`))
	expect("after another reload", "127.0.0.2", silent, "served\n")
	expect("after another reload", "127.0.0.3", silent, "silence")
	reloads(t, b, text("127.0.0.3", `refuse = "reset"`))
	expect("with reset", "127.0.0.3", silent, "reset")
	expect("with reset", "127.0.0.3", builtin, "reset")
}

// datagrams: those of a refused address never reach the broker, and status counts them.
func datagrams(t *testing.T, b *rig.Broker, port string) {
	t.Helper()
	before, err := b.Service("silent")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"127.0.0.2", "127.0.0.1"} {
		c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).Dial("udp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 5 {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := rig.Until(10*time.Second, func() error {
		now, err := b.Service("silent")
		if err != nil {
			return err
		}
		if dropped := now.RefusedBy["kernel"] - before.RefusedBy["kernel"]; dropped < 5 || now.RefusedBy["acl"] != before.RefusedBy["acl"] || now.Admitted == before.Admitted {
			return fmt.Errorf("of ten datagrams the kernel dropped %d: %v, before %v; admitted %d, before %d", dropped, now.RefusedBy, before.RefusedBy, now.Admitted, before.Admitted)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(1, 10*time.Second, "msg", "refused-suppressed", "service", "silent"); err != nil {
		t.Error(err)
	}
}

// TestSurgeIsDropped: where a policy does not say how clients are refused, they get a reset as long as there are few. In a surge of them the
// kernel drops what the acl refuses, others are served meanwhile, and when it is over there are resets again. Where it says reset, it stays one.
func TestSurgeIsDropped(t *testing.T) {
	rig.Root(t)
	usual, always := rig.Port(t), rig.Port(t)
	text := head + "acl \"but\" {\n  deny { from = [\"127.0.0.2\"] }\n  allow { from = [\"127.0.0.0/29\"] }\n}\n"
	for _, s := range [][3]string{{"usual", usual, ""}, {"always", always, "refuse = \"reset\""}} {
		text += fmt.Sprintf("service %q {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  command = [\"/bin/echo\", \"served\"]\n  user = \"dynamic\"\n  acl = acl.but\n  limit = limit.wide\n  profile = profile.line\n  %s\n}\n", s[0], s[1], s[2])
	}
	b := rig.Serve(t, text)
	for _, port := range []string{usual, always} {
		if got := answer(t, "127.0.0.2", port); got != "reset" {
			t.Fatalf("one client alone gets %q", got)
		}
		surge(t, "127.0.0.2", port)
	}
	if err := rig.Until(10*time.Second, func() error {
		if got := answer(t, "127.0.0.2", usual); got != "silence" {
			return fmt.Errorf("in a surge it gets %q", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{"127.0.0.1": "served\n", "127.0.0.3": "served\n"} {
		if got := answer(t, from, usual); got != want {
			t.Errorf("%s gets %q in a surge, want %q", from, got, want)
		}
	}
	if got := answer(t, "127.0.0.2", always); got != "reset" {
		t.Errorf("with refuse = \"reset\" it gets %q in a surge", got)
	}
	reloads(t, b, text+"# as it was\n")
	if err := rig.Until(10*time.Second, func() error {
		if got := answer(t, "127.0.0.2", usual); got != "silence" {
			return fmt.Errorf("after a reload in the surge it gets %q", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := rig.Until(30*time.Second, func() error {
		if got := answer(t, "127.0.0.2", usual); got != "reset" {
			return fmt.Errorf("when it is over it gets %q", got)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if s, err := b.Service("usual"); err != nil || s.RefusedBy["kernel"] == 0 {
		t.Errorf("status counts none that the kernel dropped: %v (%v)", s, err)
	}
}

// surge is attempts from one address as fast as they can be made, more than a second long.
func surge(t *testing.T, from, port string) {
	t.Helper()
	local := &syscall.SockaddrInet4{Addr: [4]byte(net.ParseIP(from).To4())}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	to := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: n}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}), syscall.Bind(fd, local)); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Connect(fd, to) // it waits for none
		_ = syscall.Close(fd)
	}
}
