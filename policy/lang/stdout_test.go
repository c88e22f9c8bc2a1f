package lang

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

func TestStdout(t *testing.T) {
	for text, want := range map[string]string{
		"": "", `stdout = "client"`: "", `stdout = "log"`: "log", "stdout = \"log\"\nstderr = \"log\"": "log", "stdio = \"listen_fds\"\nstdout = \"log\"": "log",
		"stdio = \"env:SOCK\"\nstdout = \"log\"": "log", "wait = true\nacl = acl.anyone\nstdout = \"log\"": "log", "stdout = \"client\"\nstderr = \"client\"": "",
	} {
		doc, ds := compileText(one(text))
		if doc == nil || doc.Policy.Service("s").Stdout != want {
			t.Errorf("%s: %s", text, show(ds))
		} else if at := doc.Origins["services.s.stdout"]; want != "" && !strings.HasPrefix(at, "p.cm.hcl:") {
			t.Errorf("%s: its place is %q", text, at)
		}
	}
	for text, want := range map[string]string{
		"stderr = \"client\"\nstdout = \"log\"":       "only a program whose stderr is in the log too",
		"stdio = \"socket-all\"\nstdout = \"log\"":    "only a program whose stderr is in the log too",
		"stdio = \"listen_fds\"\nstdout = \"client\"": "none of the standard streams",
		"stdio = \"env:SOCK\"\nstdout = \"client\"":   "none of the standard streams",
		`stdout = "syslog"`:                           "is not known",
		`stdout = true`:                               "must be a string",
	} {
		doc, ds := compileText(one(text))
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, want) }) {
			t.Errorf("%s: want %q, got %s", text, want, show(ds))
		}
	}
	for _, other := range []string{`builtin = "daytime"`, `redirect = "192.0.2.1:80"`} {
		text := strings.Replace(one(`stdout = "log"`), `command = ["/bin/cat"]`, other, 1)
		doc, ds := compileText(text)
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, "has no stdout") }) {
			t.Errorf("%s: %s", text, show(ds))
		}
	}
}
