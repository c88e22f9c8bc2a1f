package broker

import (
	"io"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/policy"
)

// TestRuleEnv: the rule that admits a client says what its program finds, beside the client's facts,
// and the next client by another rule has nothing of it.
func TestRuleEnv(t *testing.T) {
	g, port := newRig(t), freePort(t)
	s := svc("env", "tcp", port, "/usr/bin/env")
	s.ACL, s.EnvStyle, s.Env = "roles", []string{"systemd"}, map[string]string{"TZ": "UTC"}
	p := testPolicy(s)
	rules := []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{"127.0.0.0/8"}, Env: map[string]string{"ROLE": "staff", "LEVEL": "3"}}, {Verdict: acl.Allow, From: []acl.Pattern{"any"}}}
	load := func() string {
		t.Helper()
		p.ACLs = append(p.ACLs[:3:3], acl.List{Name: "roles", Rules: rules, Default: acl.Deny})
		g.loadPolicy(p)
		text, err := io.ReadAll(dial(t, port))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := load(); !strings.Contains(text, "LEVEL=3\nROLE=staff\n") || !strings.Contains(text, "REMOTE_ADDR=127.0.0.1\n") {
		t.Errorf("the program found %q", text)
	}
	rules = rules[1:]
	if text := load(); strings.Contains(text, "ROLE") || !strings.Contains(text, "REMOTE_ADDR=127.0.0.1\n") {
		t.Errorf("by the other rule it found %q", text)
	}
}

// TestFactsAreNotRules: every fact begins as valid.RuleVariable refuses it for a rule.
func TestFactsAreNotRules(t *testing.T) {
	for _, name := range policy.FactNames {
		if !slices.ContainsFunc([]string{"REMOTE_", "TCP", "UDP", "IPC", "VSOCK", "PROTO"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			t.Errorf("a rule may set %s", name)
		}
	}
}
