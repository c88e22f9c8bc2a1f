package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// behind is a service with a name of tcpmux.
func behind(name, listen string) string {
	return fmt.Sprintf("service %q {\n  listen = [%s]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  acl = acl.anyone\n}\n", name, listen)
}

func TestTcpmuxListen(t *testing.T) {
	mux := builtinOf("tcpmux", "tcp://:tcpmux", "")
	doc, ds := compileText(mux + behind("a", `"tcpmux:+Cat", "tcp://:79", "tcpmux:x.25"`) + behind("b", `"tcpmux:dog"`))
	if doc == nil {
		t.Fatal(show(ds))
	}
	a, b := doc.Policy.Service("a"), doc.Policy.Service("b")
	if !slices.Equal(a.Mux, []string{"+cat", "x.25"}) || len(a.Listen) != 1 || a.Listen[0].Port != 79 || !slices.Equal(b.Mux, []string{"dog"}) || len(b.Listen) != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	for path, want := range map[string]string{"services.a.mux.0": "p.cm.hcl:9:13", "services.a.listen.0": "p.cm.hcl:9:28", "services.a.mux.1": "p.cm.hcl:9:41"} {
		if got := doc.Origins[path]; got != want {
			t.Errorf("origin of %s is %q, want %q", path, got, want)
		}
	}
	many := ""
	for i := range 11 {
		many += behind(fmt.Sprintf("m%d", i), strings.TrimSuffix(numbered(25, fmt.Sprintf("\"tcpmux:n%d-%%d\",", i)), ","))
	}
	for _, tt := range []struct{ text, want string }{
		{head + behind("a", `"tcpmux:cat"`), "no service of the policy is a tcpmux"},
		{mux + behind("a", `"tcpmux:cat"`) + behind("b", `"tcpmux:+CAT"`), `tcpmux knows "cat" already`},
		{mux + behind("a", `"tcpmux:cat", "tcpmux:cat"`), `tcpmux knows "cat" already`},
		{mux + behind("a", `"tcpmux:help"`), "tcpmux answers help itself"},
		{mux + behind("a", `"tcpmux:"`), "no name for tcpmux"},
		{mux + behind("a", `"tcpmux:+"`), "no name for tcpmux"},
		{mux + behind("a", `"tcpmux:a b"`), "no name for tcpmux"},
		{mux + behind("a", `"tcpmux:`+strings.Repeat("a", 65)+`"`), "no name for tcpmux"},
		{mux + many, "more than 250 names"},
		{mux + strings.Replace(behind("a", `"tcpmux:cat"`), "user", "wait = true\nuser", 1), "tcpmux hands one client over"},
		{mux + strings.Replace(behind("a", `"tcpmux:cat"`), "command = [\"/bin/cat\"]\n  user = \"nobody\"", "builtin = \"echo\"", 1), "tcpmux hands one client over"},
		{mux + strings.Replace(behind("a", `"tcpmux:cat"`), "command = [\"/bin/cat\"]\n  user = \"nobody\"", "builtin = \"echo\"", 1), "remove the name: what is handed over needs a command"},
		{builtinOf("tcpmux", "udp://:1", ""), "tcpmux is served by tcp alone"},
		{builtinOf("tcpmux", "unix:/run/mux", ""), "tcpmux is served by tcp alone"},
		{mux + behind("a", ""), "0 is out of range"},
	} {
		doc, ds := compileText(tt.text)
		if doc != nil || !slices.ContainsFunc(ds, func(d policy.Diagnostic) bool {
			return d.Code == codeMeaning && strings.Contains(d.Summary+": "+d.Detail, tt.want)
		}) {
			t.Errorf("want %q, got %s", tt.want, show(ds))
		}
	}
}

// TestTcpmuxEntries: what an inetd.conf has behind tcpmux is behind ours, under the same names.
func TestTcpmuxEntries(t *testing.T) {
	const table = "tcpmux stream tcp nowait root internal\ntcpmux/+Date stream tcp nowait nobody /bin/date date\ntcpmux/cat stream tcp nowait nobody /bin/cat cat\ncat stream tcp nowait nobody /bin/cat cat\n"
	doc, ds := Compile([]policy.SourceFile{{Name: "inetd.conf", Data: []byte(table)}, {Name: "services", Data: []byte("tcpmux 1/tcp\ncat 99/tcp\n")},
		{Name: "p.cm.hcl", Data: []byte(head + "inetd {\n  acl = acl.anyone\n}\nservice \"day\" {\n  extends = \"tcpmux/Date/tcp\"\n  acl = acl.localhost\n}\n")}})
	if doc == nil {
		t.Fatal(show(ds))
	}
	var got []string
	for i := range doc.Policy.Services {
		s := &doc.Policy.Services[i]
		got = append(got, fmt.Sprintf("%s %s %d %s", s.Name, s.ACL, len(s.Listen), strings.Join(s.Mux, ",")))
	}
	if want := []string{"cat anyone 0 cat", "cat-tcp anyone 1 ", "day localhost 0 +date", "tcpmux anyone 1 "}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q\n%s", got, want, show(ds))
	}
	if _, ds = Compile([]policy.SourceFile{{Name: "inetd.conf", Data: []byte(strings.SplitAfterN(table, "\n", 2)[1])}, {Name: "p.cm.hcl", Data: []byte(head + "inetd {\n  acl = acl.anyone\n}\n")}}); !strings.Contains(show(ds), "no service of the policy is a tcpmux") {
		t.Error(show(ds))
	}
}
