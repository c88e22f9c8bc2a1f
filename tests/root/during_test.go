package root

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"casemate/acl/civil"
	"casemate/acl/decide"
	"casemate/tests/root/rig"
)

// hours is an acl that admits loopback inside or outside of the three hours around now.
func hours(t *testing.T, zone string, open bool) string {
	t.Helper()
	z, ok := civil.Zone(zone)
	if !ok {
		t.Fatalf("there is no zone %s", zone)
	}
	days := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	m := decide.Minute(z, time.Now())
	day, hour := m/1440, m/60%24
	window := fmt.Sprintf("%s %02d:00-%02d:00", days[(day+(hour+23)/24+6)%7], (hour+23)%24, (hour+2)%24)
	verdict := "allow"
	if !open {
		verdict = "deny"
	}
	return fmt.Sprintf("acl \"hours\" {\n  zone = %q\n  default = %q\n  %s {\n    from = [\"127.0.0.0/8\"]\n    during = [%q]\n  }\n}\n",
		zone, map[bool]string{true: "deny", false: "allow"}[open], verdict, window)
}

// TestDuring: who comes outside of a rule's hours is not admitted, by tcp, as a datagram and
// to a built-in's worker; a session that began in them goes on.
func TestDuring(t *testing.T) {
	for _, zone := range []string{"UTC", "Asia/Kolkata", "America/New_York"} {
		t.Run(zone, func(t *testing.T) { during(t, zone) })
	}
}

func during(t *testing.T, zone string) {
	own, udp, builtin := rig.Port(t), rig.Port(t), rig.Port(t)
	policy := func(open bool) string {
		return head + hours(t, zone, open) +
			service("tcp", "tcp://127.0.0.1:"+own, []string{"/bin/cat"}, "acl = acl.hours", "profile = profile.line") +
			service("udp", "udp://127.0.0.1:"+udp, []string{"/usr/bin/head", "-c", "4"}, "acl = acl.hours", "profile = profile.line") +
			fmt.Sprintf("service \"clock\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"daytime\"\n  acl = acl.hours\n}\n", builtin)
	}
	b := rig.Serve(t, policy(true))
	echo := func(c net.Conn) error {
		if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("ping")); err != nil {
			return err
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping" {
			return fmt.Errorf("got %q: %w", got, err)
		}
		return nil
	}
	dial := func(network, port string) net.Conn {
		t.Helper()
		c, err := net.Dial(network, "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	stays := dial("tcp", own)
	if err := echo(stays); err != nil {
		t.Fatalf("inside of the hours: %v", err)
	}
	if err := echo(dial("udp", udp)); err != nil {
		t.Fatalf("a datagram inside of the hours: %v", err)
	}
	if text, err := io.ReadAll(dial("tcp", builtin)); err != nil || len(text) == 0 {
		t.Fatalf("a built-in inside of the hours: %q, %v", text, err)
	}

	if err := b.WritePolicy("test.cm.hcl", policy(false)); err != nil {
		t.Fatal(err)
	}
	reload(t, b, "")
	if c, err := net.Dial("tcp", "127.0.0.1:"+own); err == nil { // the refusal may come before
		if err := echo(c); err == nil {
			t.Error("served outside of the hours")
		}
		c.Close()
	}
	if err := rig.Until(30*time.Second, func() error { // the worker from before gives its socket up
		c, err := net.Dial("tcp", "127.0.0.1:"+builtin)
		if err != nil {
			return nil
		}
		defer c.Close()
		if text, _ := io.ReadAll(c); len(text) > 0 {
			return fmt.Errorf("a built-in serves outside of the hours: %q", text)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := dial("udp", udp).Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if err := rig.Until(30*time.Second, func() error {
		for _, name := range []string{"tcp", "udp", "clock"} {
			s, err := b.Service(name)
			if err != nil {
				return err
			}
			if s.RefusedBy["acl"] == 0 {
				return fmt.Errorf("%s has refused %v, want some by acl", name, s.RefusedBy)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := echo(stays); err != nil {
		t.Errorf("the session from before: %v", err)
	}
	if strings.Contains(b.Stderr(), "panic") {
		t.Error(b.Stderr())
	}
}
