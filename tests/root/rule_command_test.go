package root

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"casemate/policy/control"
	"casemate/tests/root/rig"
)

// TestRuleCommand: the rule that admits a client chooses the program, which runs as the service's own does: its user,
// profile, environment, places and records; of one acl for every service that has it, by connections, by datagrams
// and behind tcpmux; and a reload changes it for the next client alone.
func TestRuleCommand(t *testing.T) {
	rig.Root(t)
	stream, other, udp, mux := rig.Port(t), rig.Port(t), rig.Port(t), rig.Port(t)
	who := `echo $0 $ROLE $REMOTE_ADDR $(id -u)`
	rules := func(staff string) string {
		return fmt.Sprintf(`
acl "roles" {
  allow "staff" {
    from    = ["127.0.0.2"]
    env     = { ROLE = "boss" }
    command = ["/bin/sh", "-c", %q, "staff"]
  }
  allow "audit" {
    from    = ["127.0.0.3"]
    command = ["/bin/sh", "-c", %q, "audit"]
  }
  allow "guests" {
    from = ["127.0.0.0/8"]
    env  = { ROLE = "guest" }
  }
}
limit "one" {
  concurrent = 2
}
`, staff, who)
	}
	text := func(staff string) string {
		return head + rules(staff) +
			service("stream", "tcp://127.0.0.1:"+stream, []string{"/bin/sh", "-c", who, "own"}, `user = "nobody"`, "acl = acl.roles", "profile = profile.server") +
			strings.Replace(service("other", "tcp://127.0.0.1:"+other, []string{"/bin/echo", "other"}, "acl = acl.roles", "profile = profile.server"), `"]`, `", "tcpmux:+other"]`, 1) +
			service("udp", "udp://127.0.0.1:"+udp, []string{"/bin/sh", "-c", who, "own"}, `user = "nobody"`, "acl = acl.roles", "profile = profile.server") +
			fmt.Sprintf("service \"mux\" {\n  listen = [\"tcp://127.0.0.1:%s\"]\n  builtin = \"tcpmux\"\n  acl = acl.anyone\n}\n", mux)
	}
	b := rig.Serve(t, text(who))
	for range 2 {
		for _, c := range []struct{ source, port, line, want string }{
			{"127.0.0.2", stream, "", "staff boss 127.0.0.2 65534\n"}, {"127.0.0.3", stream, "", "audit 127.0.0.3 65534\n"}, {"127.0.0.4", stream, "", "own guest 127.0.0.4 65534\n"},
			{"127.0.0.2", other, "", `staff boss 127.0.0.2 [0-9]{6,}\n`}, {"127.0.0.4", other, "", "other\n"},
			{"127.0.0.2", mux, "other\r\n", "\\+Go\r\nstaff boss 127.0.0.2 [0-9]{6,}\n"}, {"127.0.0.4", mux, "other\r\n", "\\+Go\r\nother\n"},
		} {
			if got := saidTo(t, c.source, c.port, c.line); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("%s at %s: %q, want %q", c.source, c.port, got, c.want)
			}
		}
	}
	number, err := strconv.Atoi(udp)
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{"127.0.0.2": "staff boss", "127.0.0.4": "own guest"} {
		c, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(source)}, &net.UDPAddr{IP: net.ParseIP("127.0.0.1"), Port: number})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 200)
		if _, err := io.WriteString(c, "x"); err != nil || c.SetDeadline(time.Now().Add(30*time.Second)) != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); !strings.HasPrefix(string(buf[:n]), want) {
			t.Errorf("udp from %s: %q, %v, want %q", source, buf[:n], err, want)
		}
		c.Close()
	}
	if _, err := b.Await(2, 30*time.Second, "msg", "decision", "service", "stream", "rule_name", "staff"); err != nil {
		t.Error(err)
	}
	if _, err := b.Await(6, 30*time.Second, "msg", "session", "service", "stream", "exit", "0"); err != nil {
		t.Error(err)
	}
	st, err := b.Status()
	if err != nil || len(st.Services) != 4 {
		t.Fatalf("%+v, %v", st, err)
	}
	if s, err := b.Service("stream"); err != nil || s.Admitted != 6 {
		t.Errorf("%+v, %v, want what all programs of the service have served", s, err)
	}
	reloads(t, b, text("echo new $ROLE"))
	if got := saidTo(t, "127.0.0.2", stream, ""); got != "new boss\n" {
		t.Errorf("after a reload: %q", got)
	}
	if got := saidTo(t, "127.0.0.3", stream, ""); !strings.HasPrefix(got, "audit 127.0.0.3") {
		t.Errorf("what the reload has not changed: %q", got)
	}
}

// TestRuleCommandsShareLimits: the sessions of a service count together, whichever program a rule gave them.
func TestRuleCommandsShareLimits(t *testing.T) {
	rig.Root(t)
	port := rig.Port(t)
	b := rig.Serve(t, head+"acl \"roles\" {\n  allow \"staff\" {\n    from    = [\"127.0.0.2\"]\n    command = [\"/bin/sh\", \"-c\", \"echo staff; read -r line\"]\n  }\n  allow { from = [\"127.0.0.0/8\"] }\n}\n"+
		"limit \"two\" {\n  concurrent = 2\n}\n"+
		service("it", "tcp://127.0.0.1:"+port, []string{"/bin/cat"}, "acl = acl.roles", "limit = limit.two", "profile = profile.server"))
	staff, guest := joins(t, "127.0.0.2", port), joins(t, "127.0.0.3", port)
	hello := make([]byte, 99)
	if n, err := staff.Read(hello); err != nil || string(hello[:n]) != "staff\n" {
		t.Errorf("%q, %v", hello[:n], err)
	}
	waiting(t, b, 2, 0)
	refused(t, "127.0.0.2", port)
	refused(t, "127.0.0.3", port)
	staff.Close()
	guest.Close()
	waiting(t, b, 0, 0)
	if n := refusedBy(t, b, "it", "concurrency"); n != 2 {
		t.Errorf("%d were refused, want 2", n)
	}
}

// TestRuleCommandIsProven: a program of a rule that is not there, or that others may change, is refused at a load, with its place.
func TestRuleCommandIsProven(t *testing.T) {
	rig.Root(t)
	port, dir := rig.Port(t), rig.PublicDir(t)
	loose := filepath.Join(dir, "loose")
	if err := os.WriteFile(loose, []byte("#!/bin/sh\n"), 0o755); err != nil || os.Chmod(loose, 0o777) != nil {
		t.Fatal(err)
	}
	text := func(program string) string {
		return head + fmt.Sprintf("acl \"roles\" {\n  allow \"staff\" {\n    from    = [\"127.0.0.2\"]\n    command = [%q]\n  }\n  allow { from = [\"127.0.0.0/8\"] }\n}\n", program) +
			service("it", "tcp://127.0.0.1:"+port, []string{"/bin/echo", "own"}, "acl = acl.roles", "profile = profile.server")
	}
	b := rig.Serve(t, text("/bin/true"))
	for _, program := range []string{"/no/such/program", loose} {
		if err := b.WritePolicy("test.cm.hcl", text(program)); err != nil {
			t.Fatal(err)
		}
		before, _, _ := strings.Cut(text(program), fmt.Sprintf("[%q]", program))
		place := fmt.Sprintf("test.cm.hcl:%d:16)", 1+strings.Count(before, "\n"))
		r, err := b.Request(control.Request{Verb: control.VerbReload})
		if err != nil || r.OK || !strings.Contains(r.Error, program) || !strings.Contains(r.Error, place) {
			t.Errorf("%s: %+v, %v", program, r, err)
		}
	}
	if got := saidTo(t, "127.0.0.2", port, ""); got != "" {
		t.Errorf("the policy before is not in force: %q", got)
	}
	if got := saidTo(t, "127.0.0.3", port, ""); got != "own\n" {
		t.Errorf("%q", got)
	}
}
