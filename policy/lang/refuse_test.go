package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// TestRefuse: how clients are refused is said of services that can refuse so, and of no other.
func TestRefuse(t *testing.T) {
	told := func(extra, listen string) string {
		return strings.Replace(one(extra), `listen = ["tcp://:79"]`, `listen = [`+listen+`]`, 1)
	}
	if text := one(""); !strings.Contains(text, `listen = ["tcp://:79"]`) {
		t.Fatalf("another listener: %s", text)
	}
	for _, c := range []struct{ extra, listen, want string }{
		{"", `"tcp://:79"`, ""}, {`refuse = "silent"`, `"tcp://:79", "udp://:79"`, "silent"}, {`refuse = "reset"`, `"unix:/run/x.sock"`, "reset"},
		{"refuse = \"banner\"\nbanner = \"no\"", `"tcp://:79"`, "banner"},
	} {
		doc, ds := compileText(told(c.extra, c.listen))
		if doc == nil || string(doc.Policy.Service("s").Refuse) != c.want {
			t.Errorf("%s: %s", c.extra, show(ds))
		}
	}
	for _, c := range []struct{ extra, listen, want string }{
		{`refuse = "silent"`, `"tcp://:79", "unix:/run/x.sock"`, "the kernel drops silently what comes to tcp and udp"}, {`refuse = "silent"`, `"vsock:79"`, "the kernel drops silently"},
		{"refuse = \"silent\"\nbanner = \"no\"", `"tcp://:79"`, "nobody is sent the banner"}, {"refuse = \"reset\"\nbanner = \"no\"", `"tcp://:79"`, "nobody is sent the banner"},
		{`refuse = "banner"`, `"tcp://:79"`, "no banner to refuse with"}, {`refuse = "drop"`, `"tcp://:79"`, "is not known"},
	} {
		doc, ds := compileText(told(c.extra, c.listen))
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, c.want) }) {
			t.Errorf("%s at %s: want %q, got %s", c.extra, c.listen, c.want, show(ds))
		}
	}
}

// TestScreened: with wait = true the kernel can hold clients to an acl where a filter is all that it says, and the program cannot
// change that filter.
func TestScreened(t *testing.T) {
	var many []string
	for i := range 2500 {
		many = append(many, fmt.Sprintf(`"10.%d.%d.0/28"`, i/250, i%250))
	}
	for _, c := range []struct{ from, calls, refuse, want string }{
		{`"192.0.2.0/24", "2001:db8::/32"`, `"@line"`, "silent", ""},
		{`"192.0.2.0/24"`, `"@line"`, "reset", "acl is not enforceable with wait = true"},
		{`"192.0.2.0/24", ".example.org"`, `"@line"`, "silent", "asks for more than where a client comes from"},
		{strings.Join(many, ", "), `"@line"`, "silent", "has more prefixes than a filter"},
		{`"192.0.2.0/24"`, `"@line", "setsockopt"`, "silent", "can take it off: setsockopt"},
		{`"192.0.2.0/24"`, `"@line", "io_uring_setup"`, "silent", "io_uring_setup"},
	} {
		doc, ds := compileText(fmt.Sprintf(`policy { edition = 1 }
acl "few" {
  allow { from = [%s] }
}
profile "p" {
  base    = profile.server
  widens  = ["syscalls", "network"]
  because = "a test"
  network { mode = "host" }
  syscalls { allow = [%s] }
}
service "s" {
  listen  = ["tcp://:79"]
  command = ["/bin/cat"]
  user    = "nobody"
  wait    = true
  refuse  = %q
  acl     = acl.few
  limit   = limit.wait
  profile = profile.p
}
`, c.from, c.calls, c.refuse))
		if (doc != nil) != (c.want == "") || c.want != "" && !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, c.want) }) {
			t.Errorf("%.40s, %s, %s: want %q, got %s", c.from, c.calls, c.refuse, c.want, show(ds))
		}
	}
}
