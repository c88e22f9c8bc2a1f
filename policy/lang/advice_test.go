package lang

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
)

// TestAdvice: what is warned of, what is refused, and where it is underlined.
func TestAdvice(t *testing.T) {
	acl := func(rule string) string { return one("acl = acl.a") + "acl \"a\" {\n" + rule + "\n}\n" }
	profile := func(body string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\nbase = profile.line\nwidens = [\"syscalls\"]\n" + body + "\n}\n"
	}
	listener := func(syscalls string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\nbase = profile.line\nwidens = [\"network\", \"syscalls\"]\nnetwork { mode = \"listener\" }\nsyscalls { " + syscalls + " }\n}\n"
	}
	hosted := func(syscalls, connect string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\nbase = profile.line\nwidens = [\"network\", \"syscalls\"]\nbecause = \"x\"\n" +
			"network {\n  mode = \"host\"\n  connect = " + connect + "\n}\nsyscalls { " + syscalls + " }\n}\n"
	}
	writes := func(user, files string) string {
		return strings.Replace(one("acl = acl.nobody\n  profile = profile.p"), `"nobody"`, `"`+user+`"`, 1) + "profile \"p\" {\nbase = profile.line\nwidens = [\"files\"]\n" + files + "\n}\n"
	}
	script := func(program, profile string) string {
		return strings.Replace(one("acl = acl.nobody\n  profile = "+profile), "/bin/cat", program, 1)
	}
	for _, tt := range []struct{ text, code, under, says string }{
		{head, "", "", ""}, // says that it serves nothing
		{head + "locals { a = 1 }\n", codeNobody, "policy", "has no service"},
		{head + "inetd { acl = acl.anyone }\n", codeNobody, "policy", "has no service"},
		{head + "limit \"l\" { concurrent = 4 }\n", codeNobody, "policy", "has no service"},
		{acl(`deny { from = [".evil.example"] }`), codeEvadable, `[".evil.example"]`, "denies by name"},
		{acl("allow {\nfrom = [\"any\"]\nexcept = [\".evil.example\"]\n}"), codeEvadable, `[".evil.example"]`, "excepts by name"},
		{acl(`deny { from = [".evil.example", "unknown", "paranoid"] }`), "", "", ""},
		{acl("allow {\nfrom = [\".example.org\"]\nexcept = [\"cgi.example.org\"]\n}"), "", "", ""},
		{strings.Replace(acl(`allow { from = [".example.org"] }`), "tcp:", "udp:", 1), codeUnasked, "acl.a", "never match"},
		{strings.Replace(acl(`allow { from = ["10.0.0.0/8"] }`), "tcp:", "udp:", 1), "", "", ""},
		{acl(`allow { from = [".example.org"] }`), "", "", ""},
		{profile(`syscalls { allow = ["ptrace"] }`), codePerilous, `"ptrace"`, "changes other processes"},
		{profile("syscalls {\nrule \"unshare\" {\narg = 0\nvalues = [1]\n}\n}"), codePerilous, `rule "unshare"`, "namespaces"},
		{profile("because = \"x\"\nsyscalls { allow = [\"chroot\"] }"), codeIncapable, `"chroot"`, "refuses without CAP_SYS_CHROOT"},
		{profile("because = \"x\"\nsyscalls { allow = [\"chroot\", \"unshare\"] }"), "", "", ""},
		{strings.Replace(profile("because = \"x\"\ncapabilities = [\"CAP_SYS_CHROOT\"]\nsyscalls { allow = [\"chroot\"] }"), `widens = ["`, `widens = ["capabilities", "`, 1), "", "", ""},
		{profile("because = \"a debugger\"\nsyscalls { allow = [\"ptrace\"] }"), "", "", ""},
		{profile(`syscalls { allow = ["@server"] }`), "", "", ""},
		{profile(`syscalls { allow = ["prctl"] }`), codePerilous, `"prctl"`, "how the kernel guards it"},
		{profile("syscalls {\nrule \"prctl\" {\narg = 0\nvalues = [15, 53]\n}\n}"), codePerilous, `rule "prctl"`, "how the kernel guards it"},
		{profile("syscalls {\nrule \"prctl\" {\narg = 0\nvalues = [15]\n}\n}"), "", "", ""},
		{listener(`allow = ["@socket-accept"]`), "", "", ""},
		{listener(`allow = ["@socket-client"]`), codeReach, `"@socket-client"`, "no network but its listener and allows connect, setsockopt, socket, which"},
		{hosted(`allow = ["@socket-server"]`, "[53]"), "", "", ""},
		{hosted(`allow = ["@socket-client", "socket"]`, "[53]"), codeReach, `"socket"`, "lists its ports and allows socket, which"},
		{hosted(`allow = ["@socket-client", "io_uring_enter"]`, `["any"]`), codeReach, `"io_uring_enter"`, "no list of ports holds"},
		{profile(`syscalls { allow = ["connect"] }`), codeReach, `"connect"`, "allows connect, which"},
		{profile(`syscalls { allow = ["@process", "@socket-accept"] }`), codeReach, `"@socket-accept"`, "accept, accept4,"},
		{profile("syscalls {\nrule \"socket\" {\narg = 0\nvalues = [2]\n}\n}"), codeReach, `rule "socket"`, "allows socket"},
		{profile("syscalls {\nrule \"socket\" {\narg = 0\nvalues = [1]\n}\n}"), "", "", ""},
		{profile("syscalls {\nallow = [\"@socket-accept\"]\ndeny = [\"accept\", \"accept4\", \"sendto\", \"sendmsg\", \"sendmmsg\", \"setsockopt\"]\n}"), "", "", ""},
		{one("acl = acl.nobody\n  profile = profile.c") + `
profile "n" {
  base    = profile.line
  widens  = ["network", "syscalls"]
  because = "x"
  network { mode = "host" }
  syscalls { allow = ["@socket-client"] }
}
profile "c" {
  base    = profile.n
  network { mode = "none" }
}
`, codeReach, `"none"`, "allows connect, sendmmsg, sendmsg, sendto, setsockopt, socket, which"},
		{one("acl = acl.nobody\n  profile = profile.w") + "profile \"w\" {\nbase = profile.builtin\nresources { open_files = 100 }\n}\n", "", "", ""},
		{writes("dynamic", `files { write = ["/srv"] }`), codeOutlived, `"dynamic"`, "leaves in /srv belongs"},
		{writes("dynamic", `files { state = true }`), "", "", ""},
		{writes("nobody", `files { write = ["/srv"] }`), "", "", ""},
		{writes("dynamic", `files { tmp = "1MiB" }`), codeSpare, `"files"`, ""},
		{script("/bin/sh", "profile.line"), codeHabit, `"/bin/sh"`, "/bin/sh is process 1 under profile \"line\": SIGPIPE"},
		{script("/usr/bin/python3.11", "profile.files"), codeHabit, `"/usr/bin/python3.11"`, "is process 1"},
		{script("/usr/local/sbin/report.sh", "profile.line"), codeHabit, `"/usr/local/sbin/report.sh"`, "is process 1"},
		{script("/bin/sh", "profile.u") + "profile \"u\" {\nbase = profile.files\nuser_namespace = true\n}\n", codeHabit, `"/bin/sh"`, "is process 1"},
		{script("/bin/sh", "profile.server"), "", "", ""},
		{script("/usr/sbin/shelld", "profile.line"), "", "", ""},
		{script("/usr/bin/luajit", "profile.server"), codeNoJIT, `"/usr/bin/luajit"`, "lets no memory be both"},
		{script("/usr/bin/pypy3", "profile.p") + "profile \"p\" {\nbase = profile.node\nsyscalls { deny_write_execute = true }\n}\n", codeNoJIT, `"/usr/bin/pypy3"`, "lets no memory be both"},
		{script("/usr/bin/node", "profile.node"), "", "", ""},
		{script("/usr/bin/java", "profile.jvm"), "", "", ""},
		{strings.Replace(acl(`allow { from = ["uid=7"] }`), "tcp://:79", "unix:@x", 1), "", "", ""},
		{strings.Replace(acl("deny {\nfrom = [\"any\"]\nexcept = [\"uid=7\"]\n}\nallow { from = [\"any\"] }"), "tcp://:79", "unix:@x", 1), "", "", ""},
		{strings.Replace(acl(`allow { from = ["any"] }`), "tcp://:79", "unix:/run/x", 1), "", "", ""},
	} {
		doc, ds := compileText(tt.text)
		if tt.code == "" {
			if doc == nil || len(ds) > 0 {
				t.Errorf("%s: %+v", tt.text, ds)
			}
			continue
		}
		if len(ds) != 1 || ds[0].Code != tt.code || !strings.Contains(ds[0].Summary, tt.says) || !underlines(ds[0], tt.under) {
			t.Errorf("%s: want %s under %s, got %+v", tt.text, tt.code, tt.under, ds)
		}
		if refused := doc == nil; refused != (tt.code == codeReach) {
			t.Errorf("%s: refused %t", tt.text, refused)
		}
	}
}

// TestUnixServerAdvice: what CM506 says to write of a program that makes a unix server socket is enough, and
// it says that without the host's network there is nothing to write.
func TestUnixServerAdvice(t *testing.T) {
	profile := func(widens, rest, mode string) string {
		return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\nbase = profile.classic\nwidens = [" + widens + "]\n" + rest +
			"network {\n" + mode + "sockets = [\"unix\"]\n}\nsyscalls { allow = [\"bind\", \"listen\"] }\n}\n"
	}
	doc, ds := compileText(profile(`"network", "syscalls"`, "", ""))
	if doc != nil || len(ds) != 1 || ds[0].Code != codeReach {
		t.Fatalf("%+v", ds)
	}
	d := ds[0].Detail
	for _, want := range []string{"of unix sockets there is no way without the host's network", `bind = ["PORT"] in it;`,
		`because = "...", widens = ["network", "syscalls"], network { mode = "host" } and the calls as they are`} {
		if !strings.Contains(d, want) {
			t.Errorf("%s\nwithout %s", d, want)
		}
	}
	if strings.Contains(d, "udp\"]") {
		t.Errorf("udp sockets bring no bind: %s", d)
	}
	if doc, ds := compileText(profile(`"network", "syscalls"`, "because = \"...\"\n", "mode = \"host\"\n")); doc == nil {
		t.Errorf("what it says to write does not compile: %+v", ds)
	}
}

// TestErrorBeforeWarning: a warning does not hide an error about the same text.
func TestErrorBeforeWarning(t *testing.T) {
	var c compiler
	at := hcl.Range{Filename: "p.cm.hcl"}
	c.warn(codeSpare, at, "", "a warning")
	c.report(codeValue, at, "", "an error")
	if ds := c.diagnostics(); len(ds) != 1 || ds[0].Severity != policy.SeverityError {
		t.Errorf("%+v", ds)
	}
	for i := range 2 * maxDiagnostics {
		c.warn(codeSpare, hcl.Range{Filename: "a.cm.hcl", Start: hcl.Pos{Byte: i}}, "", "a warning")
	}
	if ds := c.diagnostics(); len(ds) != 1 || ds[0].Severity != policy.SeverityError || !strings.Contains(ds[0].Detail, "more findings") {
		t.Errorf("%+v", ds)
	}
}

// underlines tells whether the snippet marks just that text.
func underlines(d policy.Diagnostic, text string) bool {
	source, marks, _ := strings.Cut(d.Snippet, "\n")
	at := strings.IndexByte(marks, '^')
	return at >= 0 && strings.HasPrefix(source[min(at, len(source)):], text) && strings.Count(marks, "^") == len(text)
}

// TestEnvStyle: an empty list is no facts, no list is the default.
func TestEnvStyle(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{"systemd", "ucspi"}},
		{"env_style = []", nil},
		{`env_style = ["xinetd", "ucspi"]`, []string{"ucspi", "xinetd"}},
	} {
		doc, ds := compileText(one(tt.text))
		if doc == nil {
			t.Fatalf("%q: %+v", tt.text, ds)
		}
		if got := doc.Policy.Service("s").EnvStyle; !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestResponses: a limit says what a network and all get of a built-in's udp answers. What it does not say is
// in no compiled form, so that its digest stays what it was.
func TestResponses(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{"", "null null"},
		{`responses = "7/min"`, `{"events":7,"per_ns":60000000000} null`},
		{"responses = \"5000/s\"\n  responses_total = \"500000/s\"", `{"events":5000,"per_ns":1000000000} {"events":500000,"per_ns":1000000000}`},
		{`responses = "0/s"`, "0 is out of range"},
		{`responses_total = "500001/s"`, "500001 is out of range"},
		{`responses = "2001/s"`, "raise responses_total as well"},
		{`responses_total = "49/s"`, "one network would get more answers than all get together"},
		{`responses = "fast"`, "responses"},
		{"per_source {\n    responses = \"7/s\"\n  }", "responses"},
	} {
		doc, ds := compileText("policy { edition = 1 }\nlimit \"l\" {\n  concurrent = 1\n  " + tt.body + "\n}\nservice \"e\" {\n  listen  = [\"udp://:7000\"]\n  builtin = \"echo\"\n  acl = acl.anyone\n  limit = limit.l\n}\n")
		got := show(ds)
		if doc != nil {
			text, err := json.Marshal(doc.Policy.Limit("l"))
			var l struct{ Responses, Responses_total json.RawMessage }
			if err = errors.Join(err, json.Unmarshal(text, &l)); err != nil {
				t.Fatal(err)
			}
			or := func(m json.RawMessage) string { return cmp.Or(string(m), "null") }
			got = or(l.Responses) + " " + or(l.Responses_total)
		}
		if doc != nil && got != tt.want || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %q", tt.body, got, tt.want)
		}
	}
	if _, ds := compileText(one("acl = acl.anyone\nanswers = \"200/s\"")); !strings.Contains(show(ds), `write a limit: limit "NAME" { responses = "200/s" }`) {
		t.Error(show(ds))
	}
}

// TestDeafBuiltin: a udp built-in whose list admits loopback alone answers nobody
// on another address, and check says so.
func TestDeafBuiltin(t *testing.T) {
	for listen, deaf := range map[string]bool{"udp://:7000": true, "udp://127.0.0.1:7000": false, "tcp://:7000": false} {
		_, ds := compileText("policy { edition = 1 }\nservice \"e\" {\n  listen  = [\"" + listen + "\"]\n  builtin = \"echo\"\n  acl     = acl.localhost\n}\n")
		if deaf != (len(ds) == 1 && ds[0].Code == codeNobody && strings.Contains(ds[0].Summary, "not answered")) || !deaf && len(ds) > 0 {
			t.Errorf("%s: %+v", listen, ds)
		}
	}
}
