package root

import (
	"fmt"
	"strings"
	"testing"

	"casemate/tests/root/rig"
)

// head begins every policy of these tests: everybody on loopback, and limits
// that are out of the way unless a test is about limits.
const head = `
policy { edition = 1 }

acl "loopback" {
  allow { from = ["127.0.0.0/8", "::1"] }
}

limit "wide" {
  concurrent = 10000
  rate       = "100000/s"
  burst      = 100000
  session    = "1h"
}
`

// allOrNothing makes a start of the policy fail with each service that fails.
func allOrNothing(policy string) string {
	return strings.Replace(policy, "{ edition = 1 }", "{\n  edition   = 1\n  on_broken = \"refuse\"\n}", 1)
}

// service is one service block; extra lines go into it as they are.
func service(name, listen string, command []string, extra ...string) string {
	var quoted []string
	for _, w := range command {
		quoted = append(quoted, fmt.Sprintf("%q", w))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\nservice %q {\n  listen  = [%q]\n  command = [%s]\n", name, listen, strings.Join(quoted, ", "))
	for _, attr := range []string{"user = \"dynamic\"", "acl = acl.loopback", "limit = limit.wide"} {
		key, _, _ := strings.Cut(attr, " ")
		if !overridden(key, extra) {
			fmt.Fprintf(&s, "  %s\n", attr)
		}
	}
	for _, e := range extra {
		fmt.Fprintf(&s, "  %s\n", e)
	}
	s.WriteString("}\n")
	return s.String()
}

func overridden(key string, extra []string) bool {
	for _, e := range extra {
		if strings.HasPrefix(strings.TrimSpace(e), key+" ") {
			return true
		}
	}
	return false
}

// rogues is a broker with one service of the rogue program for each way named,
// under the files profile, and their ports.
func rogues(t *testing.T, policy string, ways ...string) (*rig.Broker, map[string]string) {
	t.Helper()
	rig.Root(t)
	program := rig.Compile(t, "testdata/rogue.c")
	ports := map[string]string{}
	var s strings.Builder
	s.WriteString(head + policy)
	for _, w := range ways {
		ports[w] = rig.Port(t)
		extra := []string{"profile = profile.rogue", "linger = \"5s\""}
		if w == "deaf" {
			extra = append(extra, "limit = limit.short")
		}
		s.WriteString(service(w, "tcp://127.0.0.1:"+ports[w], []string{program, w}, extra...))
	}
	s.WriteString(`
profile "rogue" {
  base = profile.server
  init = false
  files { tmp = "64KiB" }
}

limit "short" {
  session = "4s"
}
`)
	return rig.Serve(t, s.String()), ports
}

// exchange is rig.Exchange with an expectation.
func exchange(t *testing.T, port, send, want string) {
	t.Helper()
	got, err := rig.Exchange(port, send)
	if err != nil || got != want {
		t.Fatalf("port %s answered %q (%v), want %q", port, got, err, want)
	}
}
