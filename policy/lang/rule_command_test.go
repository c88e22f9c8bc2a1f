package lang

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/explain"
)

// withCommand is a policy with one service and one rule that says command.
func withCommand(verdict, command, service string) string {
	return strings.Replace(one("acl = acl.who\n  "+service), head, head+fmt.Sprintf("acl \"who\" {\n  %s \"staff\" {\n    from = [\"192.0.2.0/24\"]\n    command = %s\n  }\n  allow { from = [\"any\"] }\n}\n", verdict, command), 1)
}

func TestRuleCommand(t *testing.T) {
	doc, ds := compileText(withCommand("allow", `["/bin/other", "-x"]`, `argv0 = "-cat"`) +
		"service \"t\" {\n  listen = [\"tcp://:80\"]\n  command = [\"/bin/t\"]\n  user = \"nobody\"\n  acl = acl.who\n}\n")
	if doc == nil {
		t.Fatal(show(ds))
	}
	var got []string
	for _, s := range doc.Policy.Programs() {
		got = append(got, fmt.Sprint(s.Name, s.Command, s.Argv0, " ", doc.Policy.CommandAt(s), " ", doc.Origins.Lookup(doc.Policy.CommandAt(s)+".0")))
	}
	if want := []string{"s[/bin/cat]-cat services.s.command p.cm.hcl:11:14", "t[/bin/t] services.t.command p.cm.hcl:18:14",
		"s[/bin/other -x] acls.who.rules.0.command p.cm.hcl:5:16", "t[/bin/other -x] acls.who.rules.0.command p.cm.hcl:5:16"}; !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	for client, want := range map[string]string{"192.0.2.7": "[/bin/other -x]", "198.51.100.1": "[/bin/cat]"} {
		if e, err := explain.Ask(doc, explain.Query{Service: "s", Client: netip.MustParseAddr(client)}); err != nil || fmt.Sprint(e.Command) != want {
			t.Errorf("%s gets %+v, %v", client, e, err)
		}
	}
	many := head + "acl \"who\" {\n"
	for i := range 600 {
		many += fmt.Sprintf("  allow {\n    from = [\"192.0.2.1\"]\n    command = [\"/bin/%d\"]\n  }\n", i)
	}
	many += "}\n" + strings.TrimPrefix(one("acl = acl.who"), head) + "service \"t\" {\n  listen = [\"tcp://:80\"]\n  command = [\"/bin/t\"]\n  user = \"nobody\"\n  acl = acl.who\n}\n"
	builtin := strings.Replace(withCommand("allow", `["/bin/x"]`, ""), `command = ["/bin/cat"]`, `builtin = "echo"`, 1)
	relay := strings.Replace(withCommand("allow", `["/bin/x"]`, ""), `command = ["/bin/cat"]`, `redirect = "192.0.2.1:80"`, 1)
	for _, tt := range []struct{ text, want, at string }{
		{withCommand("deny", `["/bin/x"]`, ""), "a rule that denies starts no program", ":5:15"},
		{withCommand("allow", `["bin/x"]`, ""), "is not an absolute, clean path", ":5:16"},
		{withCommand("allow", `["/bin/../x"]`, ""), "is not an absolute, clean path", ":5:16"},
		{withCommand("allow", `["/bin/x", "a\nb"]`, ""), "", ""},
		{withCommand("allow", `["/bin/x", "a\u0000b"]`, ""), "has a control character", ":5:26"},
		{withCommand("allow", `"/bin/x"`, ""), "must be a list", ":5:15"},
		{withCommand("allow", `[]`, ""), "command is empty", ":5:15"},
		{withCommand("allow", `["/bin/x"]`, "wait = true"), "take their clients themselves", ":13:9"},
		{builtin, "take their clients themselves", ":13:9"},
		{relay, "redirect starts no program", ":13:9"},
		{many, "more than 1024 commands of rules", ""},
		{withCommand("allow", `["/srv/w/x"]`, "profile = profile.w") + "profile \"w\" {\n  base = profile.server\n  widens = [\"files\"]\n  files { write = [\"/srv/w\"] }\n}\n", "which a service may write", ":5:16"},
	} {
		doc, ds := compileText(tt.text)
		if tt.want == "" {
			if doc == nil {
				t.Errorf("%s", show(ds))
			}
			continue
		}
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool {
			return strings.Contains(d.Summary+d.Snippet, tt.want) && strings.Contains(fmt.Sprintf("p.cm.hcl:%d:%d", d.Line, d.Column), tt.at)
		}) {
			t.Errorf("want %q at %s, got %s", tt.want, tt.at, show(ds))
		}
	}
}
