package root

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"casemate/tests/root/rig"
)

// TestRuleEnv: the rule that admits a client sets what its program finds, beside the client's
// address; a client of another rule finds nothing of it, nor does the next one.
func TestRuleEnv(t *testing.T) {
	rig.Root(t)
	port, mux := rig.Port(t), rig.Port(t)
	b := rig.Serve(t, fmt.Sprintf(`policy { edition = 1 }
acl "roles" {
  allow "staff" {
    from = ["127.0.0.2"]
    env  = { ROLE = "staff", MAY = "read write" }
  }
  allow "guests" {
    from = ["127.0.0.0/8"]
    env  = { ROLE = "guest" }
  }
}
service "env" {
  listen  = ["tcp://127.0.0.1:%s", "tcpmux:env"]
  command = ["/usr/bin/env"]
  user    = "nobody"
  acl     = acl.roles
  profile = profile.line
  env     = { TZ = "UTC" }
}
service "mux" {
  listen  = ["tcp://127.0.0.1:%s"]
  builtin = "tcpmux"
  acl     = acl.localhost
}
`, port, mux))
	for range 3 {
		for source, want := range map[string]string{"127.0.0.2": "MAY=read write\nROLE=staff\n", "127.0.0.3": "ROLE=guest\n"} {
			for at, line := range map[string]string{port: "", mux: "env\r\n"} {
				got := saidTo(t, source, at, line)
				if !strings.HasSuffix(got, want) || !strings.Contains(got, "REMOTE_ADDR="+source+"\n") || !strings.Contains(got, "TZ=UTC\n") || strings.Count(got, "ROLE=") != 1 || strings.Count(got, "MAY=") != strings.Count(want, "MAY=") {
					t.Errorf("from %s to %s: %q", source, at, got)
				}
			}
		}
	}
	if _, err := b.Await(6, 30*time.Second, "msg", "decision", "service", "env", "rule_name", "staff"); err != nil {
		t.Error(err)
	}
}

// saidTo is all that a client from a loopback address reads.
func saidTo(t *testing.T, source, port, line string) string {
	t.Helper()
	c, err := dialFrom(source, port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, line); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("from %s to port %s: %v", source, port, err)
	}
	return string(text)
}
