package lang

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// builtinOf is a policy with one service of a built-in.
func builtinOf(name, listen, text string) string {
	return head + "service \"s\" {\n  listen = [\"" + listen + "\"]\n  builtin = \"" + name + "\"\n  acl = acl.anyone\n  " + text + "\n}\n"
}

func TestSays(t *testing.T) {
	doc, ds := compileText(builtinOf("qotd", "udp://:17", "says = [\"a\", <<EOT\none\n  two\nEOT\n]\namplify = true"))
	if doc == nil {
		t.Fatal(show(ds))
	}
	s := doc.Policy.Service("s")
	if want := []string{"a\r\n", "one\r\n  two\r\n"}; !slices.Equal(s.Says, want) || !s.Amplify {
		t.Errorf("%q, %v", s.Says, s.Amplify)
	}
	if at := doc.Origins.Lookup("services.s.says.1"); at != "p.cm.hcl:6:16" {
		t.Errorf("the second quote is at %s", at)
	}
	if doc, ds = compileText(builtinOf("auth", "unix:/run/ident", `says = ["guest"]`)); doc == nil || doc.Policy.Service("s").Says[0] != "guest" {
		t.Error(show(ds))
	}
	if doc, ds = compileText(builtinOf("qotd", "tcp://:17", `says = ["`+strings.Repeat("a", 510)+`"]`)); doc == nil {
		t.Error(show(ds))
	}
	for _, tt := range []struct{ text, want string }{
		{builtinOf("qotd", "tcp://:17", ""), "qotd has no quote"},
		{builtinOf("qotd", "tcp://:17", "says = []"), "qotd has no quote"},
		{builtinOf("qotd", "tcp://:17", `says = [""]`), "a quote is empty"},
		{builtinOf("qotd", "tcp://:17", `says = ["a\r"]`), "characters that are no text"},
		{builtinOf("qotd", "tcp://:17", `says = ["`+strings.Repeat("a", 511)+`"]`), "a quote of 513 bytes"},
		{builtinOf("qotd", "tcp://:17", "says = [\"a\"]\namplify = true"), "only qotd by udp"},
		{builtinOf("echo", "udp://:7", "amplify = true"), "only qotd by udp"},
		{builtinOf("echo", "tcp://:7", `says = ["a"]`), "only the built-ins qotd and auth"},
		{one(`says = ["a"]`), "only the built-ins qotd and auth"},
		{builtinOf("auth", "udp://:113", ""), "auth is not served by udp"},
		{builtinOf("auth", "tcp://:113", `says = ["a", "b"]`), "auth gives one name"},
		{builtinOf("auth", "tcp://:113", `says = ["a:b"]`), "no name that auth can give"},
		{builtinOf("auth", "tcp://:113", `says = ["`+strings.Repeat("a", 65)+`"]`), "no name that auth can give"},
	} {
		doc, ds := compileText(tt.text)
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return d.Code == codeMeaning && strings.Contains(d.Summary, tt.want) }) {
			t.Errorf("want %q, got %s", tt.want, show(ds))
		}
	}
}
