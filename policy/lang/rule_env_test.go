package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// withRule is a policy with one service and one rule that says env.
func withRule(verdict, env, service string) string {
	return strings.Replace(one("acl = acl.who\n  "+service), head, head+fmt.Sprintf("acl \"who\" {\n  %s \"staff\" {\n    from = [\"192.0.2.0/24\"]\n    env = %s\n  }\n}\n", verdict, env), 1)
}

func TestRuleEnv(t *testing.T) {
	doc, ds := compileText(withRule("allow", `{ ROLE = "staff", LEVEL = 3 }`, `env = { TZ = "UTC" }`))
	if doc == nil {
		t.Fatal(show(ds))
	}
	if env := doc.Policy.ACL("who").Rules[0].Env; len(env) != 2 || env["ROLE"] != "staff" || env["LEVEL"] != "3" {
		t.Errorf("%v", env)
	}
	if at := doc.Origins.Lookup("acls.who.rules.0.env.LEVEL"); at != "p.cm.hcl:5:37" {
		t.Errorf("LEVEL is from %s", at)
	}
	for _, tt := range []struct{ text, want string }{
		{withRule("deny", `{ ROLE = "staff" }`, ""), "a rule that denies starts no program"},
		{withRule("allow", `{ LD_PRELOAD = "/x.so" }`, ""), "where their code"},
		{withRule("allow", `{ PATH = "/x" }`, ""), "where their code"},
		{withRule("allow", `{ PYTHONPATH = "/x" }`, ""), "where their code"},
		{withRule("allow", `{ BASH_ENV = "/x" }`, ""), "where their code"},
		{withRule("allow", `{ REMOTE_ADDR = "192.0.2.1" }`, ""), "what casemate says of the client"},
		{withRule("allow", `{ TCPREMOTEIP = "192.0.2.1" }`, ""), "what casemate says of the client"},
		{withRule("allow", `{ UDPLOCALPORT = 7 }`, ""), "what casemate says of the client"},
		{withRule("allow", `{ IPCREMOTEEUID = 0 }`, ""), "what casemate says of the client"},
		{withRule("allow", `{ PROTO = "TCP" }`, ""), "what casemate says of the client"},
		{withRule("allow", `{ LISTEN_FDS = "7" }`, ""), "what casemate says of the client"},
		{withRule("allow", `{ "A=B" = "x" }`, ""), "is not the name of a variable"},
		{withRule("allow", `{ "A B" = "x" }`, ""), "is not the name of a variable"},
		{withRule("allow", `{ ROLE = "`+strings.Repeat("a", 4097)+`" }`, ""), "4096"},
		{withRule("allow", `{ A = "`+strings.Repeat("a", 2040)+`", B = "`+strings.Repeat("b", 2060)+`" }`, ""), "bytes of variables"},
		{withRule("allow", "{"+numbered(33, "V%d = 1\n")+"}", ""), "out of range"},
		{withRule("allow", `{ ROLE = "staff" }`, `env = { ROLE = "all" }`), `service "s" has ROLE of its own`},
		{withRule("allow", `{ SOCK = "staff" }`, `stdio = "env:SOCK"`), `service "s" has SOCK of its own`},
		{withRule("allow", `{ ROLE = "staff" }`, `wait = true`), "take their clients themselves"},
	} {
		doc, ds := compileText(tt.text)
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, tt.want) }) {
			t.Errorf("want %q, got %s", tt.want, show(ds))
		}
	}
}
