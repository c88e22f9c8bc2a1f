package lang

import (
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
		{"refuse = \"silent\"\nwait = true", `"tcp://:79"`, "takes its clients itself"},
	} {
		doc, ds := compileText(told(c.extra, c.listen))
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, c.want) }) {
			t.Errorf("%s at %s: want %q, got %s", c.extra, c.listen, c.want, show(ds))
		}
	}
}
