package lang

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/sandbox"
)

func TestStderr(t *testing.T) {
	for text, want := range map[string]sandbox.Stdio{
		"": "socket", `stderr = "log"`: "socket", `stderr = "client"`: "socket-all", "stderr = \"client\"\nstdio = \"socket\"": "socket-all",
		"stdio = \"socket-all\"\nstderr = \"client\"": "socket-all", "stdio = \"listen_fds\"\nstderr = \"log\"": "listen_fds",
	} {
		doc, ds := compileText(one(text))
		if doc == nil || doc.Policy.Service("s").Stdio != want {
			t.Errorf("%s: %s", text, show(ds))
		} else if at := doc.Origins["services.s.stdio"]; (text == "") != (at == "default") || doc.Origins["services.s.stderr"] != "" {
			t.Errorf("%s: its place is %q", text, at)
		}
	}
	for text, want := range map[string]string{
		"stdio = \"socket-all\"\nstderr = \"log\"":    "has stderr go to the client",
		"stdio = \"listen_fds\"\nstderr = \"client\"": "none of the standard streams",
		"stdio = \"env:SOCK\"\nstderr = \"client\"":   "none of the standard streams",
		`stderr = "syslog"`:                           "is not known",
	} {
		doc, ds := compileText(one(text))
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, want) }) {
			t.Errorf("%s: want %q, got %s", text, want, show(ds))
		}
	}
}
