package lang

import (
	"fmt"
	"strings"
	"testing"

	"casemate/policy"
	"casemate/policy/canon"

	"github.com/hashicorp/hcl/v2"
)

// TestDiagnostics: each mistake gives one diagnostic with its code, on the
// text that is wrong, with a next step.
func TestDiagnostics(t *testing.T) {
	in := func(kind, body string) string { return one("") + kind + " \"x\" {\n" + body + "\n}\n" }
	for _, tt := range []struct{ name, text, code, mark, summary, next string }{
		{"empty", "", codeMissing, "", "policy block is missing", "policy { edition = 1 }"},
		{"only a comment", "# x\n", codeMissing, "#", "policy block is missing", ""},
		{"no edition", strings.Replace(one(""), "edition = 1", "", 1), codeMissing, "policy", "edition", "edition = 1"},
		{"edition", strings.Replace(one(""), "= 1", "= 9", 1), codeMeaning, "9", "edition 9", "edition = 1"},
		{"on_stop", strings.Replace(one(""), "edition = 1", "\nedition = 1\non_stop = \"stay\"\n", 1), codeMeaning, `"stay"`, "not known", "leave"},
		{"on_broken", strings.Replace(one(""), "edition = 1", "\nedition = 1\non_broken = \"stop\"\n", 1), codeMeaning, `"stop"`, "not known", "refuse"},
		{"binary", "\x7fELF\x00", codeSize, "?", "not text", "UTF-8"},
		{"invalid utf-8", "policy { # \xff\n}", codeSize, "?", "0xff", "UTF-8"},
		{"byte order mark inside", one("") + "\uFEFF", codeSize, "?", "not text", ""},
		{"nul", "a\x00", codeSize, "?", "not text", ""},
		{"unclosed", head + "acl \"a\" {\n", codeSyntax, "{", "unclosed", ""},
		{"no equals", head + "acl \"a\" {\n default \"deny\"\n}", codeSyntax, "", "invalid block", ""},
		{"operator", in("limit", "concurrent = 1 + 1"), codeFeature, "+", "operators", "value itself"},
		{"negative", in("limit", "concurrent = -1"), codeFeature, "-", "operators", ""},
		{"condition", in("limit", "concurrent = true ? 1 : 2"), codeFeature, "?", "conditions", ""},
		{"loop", in("limit", "concurrent = [for x in [1]: x]"), codeFeature, "for", "loops", ""},
		{"splat", in("limit", "concurrent = local.x.*.y"), codeFeature, "*", "operators", ""},
		{"index", in("limit", "concurrent = local.x[0]"), codeFeature, "[", "indexing", ""},
		{"directive", in("acl", "default = \"%{if true}a%{endif}\""), codeFeature, "%{", "directives", ""},
		{"fraction", in("limit", "concurrent = 1.5"), codeFeature, "1.5", "whole number", ""},
		{"huge number", in("limit", "concurrent = 1e999999999"), codeFeature, "1e999999999", "whole number", ""},
		{"unknown block", one("") + "servce \"x\" {}\n", codeBlock, "servce", "no block", "did you mean service?"},
		{"stray attribute", one("") + "x = 1\n", codeAttr, "x", "outside of a block", ""},
		{"block as attribute", one("") + "locals = {}\n", codeAttr, "locals", "outside", "locals is a block"},
		{"unknown attribute", one("usr = \"x\""), codeAttr, "usr", "no attribute", "did you mean user?"},
		{"inner block as attribute", in("limit", "penalty = {}"), codeAttr, "penalty", "is a block", "without ="},
		{"attribute as block", one("env {}"), codeBlock, "env", "is an attribute", "env = "},
		{"unknown inner block", in("limit", "per_sorce {}"), codeBlock, "per_sorce", "no block", "did you mean per_source?"},
		{"two names", one("") + "acl \"a\" \"b\" {}\n", codeLabel, `acl "a" "b"`, "2 names", "NAME"},
		{"no name", one("") + "acl {}\n", codeLabel, "acl", "0 names", "NAME"},
		{"bad name", one("") + "acl \"A b\" {}\n", codeLabel, `"A b"`, "not a name", "lower-case"},
		{"block twice", one("") + "acl \"a\" {}\nacl \"a\" {}\n", codeDuplicate, `acl "a"`, "there twice", "the first is at p.cm.hcl:8:1"},
		{"policy twice", one("") + head, codeDuplicate, "policy", "there twice", "p.cm.hcl:1:1"},
		{"shipped name", one("") + "acl \"anyone\" {}\n", codeDuplicate, `"anyone"`, "shipped", "another name"},
		{"local twice", one("") + "locals { a = 1 }\nlocals { a = 2 }\n", codeDuplicate, "a", "set twice", "p.cm.hcl:8:10"},
		{"inner block twice", in("limit", "penalty {}\npenalty {}"), codeDuplicate, "penalty", "there twice", ""},
		{"attribute twice", in("acl", "default = \"deny\"\ndefault = \"deny\""), codeSyntax, "default", "redefined", ""},
		{"object key twice", one("env = { A = \"1\", A = \"2\" }"), codeDuplicate, "A", "set twice", ""},
		{"missing user", strings.Replace(one(""), "user", "# user", 1), codeMissing, `service "s"`, "no user", "nobody"},
		{"missing listen", strings.Replace(one(""), "listen", "# listen", 1), codeMissing, `service "s"`, "no listen", ""},
		{"missing command", strings.Replace(one(""), "command", "# command", 1), codeMeaning, `service "s"`, "neither command, builtin nor redirect", ""},
		{"missing from", in("acl", `allow {}`), codeMissing, "allow", "no from", "any"},
		{"rule with a word", in("acl", "rule \"allow\" { from = [\"any\"] }"), codeBlock, "rule", "no block", "allow"},
		{"unknown acl", one("acl = acl.localhots"), codeReference, "localhots", "no acl", "did you mean acl.localhost?"},
		{"unknown limit", one("limit = limit.defalt"), codeReference, "defalt", "no limit", "did you mean limit.default?"},
		{"unknown profile", one("profile = profile.zzzzzz"), codeReference, "zzzzzz", "no profile", "choose one of: profile.builtin"},
		{"unknown local", one("dir = local.x"), codeReference, "x", "no local", ""},
		{"unknown local member", one("dir = local.x.b") + "locals { x = { a = \"/\" } }", codeReference, "b", "no member", "did you mean a?"},
		{"unknown function", one("groups = concta([])"), codeReference, "concta", "no function", "did you mean concat?"},
		{"unknown root", one("dir = locl.x"), codeReference, "locl", "not known", "did you mean local?"},
		{"bare word", one("dir = nobody"), codeReference, "nobody", "not known", `"nobody"`},
		{"quoted reference", one("acl = \"anyone\""), codeReference, `"anyone"`, "must name a block", "acl.anyone without quotes"},
		{"wrong kind of reference", one("acl = limit.default"), codeReference, "limit.default", "must name a block", "acl.NAME"},
		{"reference as value", one("dir = acl.anyone"), codeReference, "acl.anyone", "cannot be used", ""},
		{"cycle", one("") + "locals {\n a = local.b\n b = \"${local.c}\"\n c = concat(local.a)\n}", codeCycle, "a", "local.a -> local.b -> local.c -> local.a", ""},
		{"self", one("") + "locals { a = local.a }", codeCycle, "a", "local.a -> local.a", ""},
		{"profile cycle", one("") + "profile \"a\" { base = profile.b }\nprofile \"b\" { base = profile.a }", codeCycle, `profile "a"`, "profile.a -> profile.b -> profile.a", ""},
		{"wrong type", one("wait = \"yes\""), codeType, `"yes"`, "wait must be true or false", ""},
		{"list wanted", one("groups = \"adm\""), codeType, `"adm"`, "must be a list", ""},
		{"item type", one("groups = [1]"), codeType, "1", "holds strings", "quotes"},
		{"null", one("dir = null"), codeType, "null", "not null", ""},
		{"call", one("groups = concat(\"a\")"), codeCall, `concat("a")`, "takes lists", "concat([\"a\"]"},
		{"host bits", in("acl", `deny { from = ["10.0.0.1/8"] }`), codeValue, `"10.0.0.1/8"`, "host bits", "10.0.0.0/8"},
		{"mapped", in("acl", `deny { from = ["::ffff:1.2.3.4"] }`), codeValue, `"::ffff:1.2.3.4"`, "IPv4", "1.2.3.4"},
		{"to", in("acl", "deny {\nfrom = [\"any\"]\nto = [\"10.0.0.1/8\"]\n}"), codeValue, `"10.0.0.1/8"`, "local address", "10.0.0.0/8"},
		{"verdict", in("acl", `alow { from = ["any"] }`), codeBlock, "alow", "no block", "allow"},
		{"rule names", in("acl", "deny \"a\" \"b\" { from = [\"any\"] }"), codeLabel, "deny", "2 names", "deny"},
		{"rule twice", in("acl", "deny \"a\" { from = [\"any\"] }\n deny \"a\" { from = [\"any\"] }"), codeDuplicate, "deny", "there twice", "first is at"},
		{"rule name", in("acl", "deny \"A b\" { from = [\"any\"] }"), codeMeaning, `"A b"`, "not a name", "lower-case"},
		{"rate", in("limit", `rate = "10"`), codeValue, `"10"`, "rate", "50/s"},
		{"rate unit", in("limit", `rate = "10/year"`), codeValue, `"10/year"`, "rate", ""},
		{"duration", in("limit", `session = "10"`), codeValue, `"10"`, "no unit of time", "10s"},
		{"zero", in("limit", `concurrent = 0`), codeValue, "0", "ambiguous", "1 or more"},
		{"prefix", in("limit", "per_source { ipv4_prefix = 33 }"), codeMeaning, "33", "out of range", ""},
		{"size", in("profile", `files { tmp = "1MB" }`), codeValue, `"1MB"`, "no unit of size", "1MiB"},
		{"resource", in("profile", `resources { memory = 5 }`), codeType, "5", "memory cannot be", "unlimited"},
		{"cpu", in("profile", `resources { cpu = "2" }`), codeValue, `"2"`, "percent", "50%"},
		{"layer", in("profile", `widens = ["file"]`), codeValue, `"file"`, "not a layer", "did you mean files?"},
		{"syscall", in("profile", `syscalls { deny = ["opennat"] }`), codeValue, `"opennat"`, "unknown system call", "openat"},
		{"syscall of libc", in("profile", `syscalls { deny = ["fstatat"] }`), codeValue, `"fstatat"`, "unknown system call", `did you mean "newfstatat"?`},
		{"syscall that is a group", in("profile", `syscalls { deny = ["stdio"] }`), codeValue, `"stdio"`, "unknown system call", `did you mean "@stdio"?`},
		{"syscall group", in("profile", `syscalls { deny = ["@fils"] }`), codeValue, `"@fils"`, "unknown group", "@files"},
		{"syscall withheld", in("profile", "syscalls { allow = [\"bpf\"] }"), codeValue, `"bpf"`, "bpf: no service can have it", "remove it"},
		{"rule for one withheld", in("profile", "syscalls {\nrule \"reboot\" {\narg = 0\nvalues = [1]\n}\n}"), codeValue, `"reboot"`, "reboot: no service can have it", "remove it"},
		{"proc", in("profile", `files { proc = "hots" }`), codeValue, `"hots"`, `true, false or "host"`, `or "host"`},
		{"host's proc unexplained", in("profile", "base = profile.login\n widens = [\"files\"]\nfiles { proc = \"host\" }"), codeMeaning, `"host"`, "needs a reason", "because"},
		{"host's proc without landlock", in("profile", "base = profile.login\nbecause = \"x\"\nbest_effort = [\"landlock\"]\nwidens = [\"files\"]\nfiles { proc = \"host\" }"), codeMeaning, `["landlock"]`, "without Landlock", "remove"},
		{"a size of a state directory", in("profile", `files { state = "64MiB" }`), codeType, `"64MiB"`, "state", "true"},
		{"state in a user namespace", in("profile", "widens = [\"files\"]\nuser_namespace = true\nfiles { state = true }"), codeMeaning, "true", "inside a user namespace", "state = false"},
		{"few descriptors beside a state directory", in("profile", "widens = [\"files\"]\nresources { open_files = 23 }\nfiles { state = true }"), codeMeaning, "23", "leaves no room", "24 or more"},
		{"map: nothing of it", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/srv\" = \"/opt/x\" }\n}"), codeMeaning, `"/opt/x"`, `nothing of "/srv" is shown`, `exec = ["/srv/lib"]`},
		{"map: below what is shown", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/usr/x\" = \"/opt/x\" }\n}"), codeMeaning, `"/opt/x"`, `lies in "/usr", which is shown as it is`, `name /usr/x in read`},
		{"map: the whole host", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/lib\" = \"/\" }\n}"), codeMeaning, `"/"`, `the whole host`, `name the directories`},
		{"map: the own /proc", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/proc/x\" = \"/opt/x\" }\n}"), codeMeaning, `"/opt/x"`, `own /proc`, `proc = true`},
		{"map: the kernel's", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/lib\" = \"/proc/1/root\" }\n}"), codeMeaning, `"/proc/1/root"`, `kernel's`, `write proc, dev`},
		{"map: a relative one", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/lib\" = \"opt/x\" }\n}"), codeMeaning, `"opt/x"`, `not an absolute`, `"/opt/x"`},
		{"map: another's state", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/lib\" = \"/var/lib/casemate/x\" }\n}"), codeMeaning, `"/var/lib/casemate/x"`, `state directories`, `state = true`},
		{"map: no text", in("profile", "widens = [\"files\"]\nfiles {\nexec = [\"/lib\", \"/usr\"]\nmap = { \"/lib\" = 5 }\n}"), codeType, `5`, `cannot be`, `write a path of the host`},
		{"map: below what it writes", in("profile", "widens = [\"files\"]\nfiles {\nread = [\"/srv/a/b\"]\nwrite = [\"/srv/a\"]\nmap = { \"/srv/a/b\" = \"/opt/x\" }\n}"), codeMeaning, `"/srv/a/b"`, "which the service may write", "elsewhere"},
		{"map: not announced", in("profile", "files {\nread = [\"/lib\"]\nmap = { \"/lib\" = \"/opt/x\" }\n}"), codeWidens, `"/opt/x"`, "map of", "widens"},
		{"a path in a state directory's place", in("profile", "widens = [\"files\"]\nfiles {\nread = [\"/state/old\"]\nstate = true\n}"), codeMeaning, `"/state/old"`, "the service's own state directory", "leave it out"},
		{"a state directory of root's", strings.Replace(one("profile = profile.x\nbecause = \"x\""), `"nobody"`, `"root"`, 1) + "profile \"x\" {\nwidens = [\"files\"]\nfiles { state = true }\n}\n", codeMeaning, `"root"`, "cannot be root's", `user = "dynamic"`},
		{"another's state", in("profile", "widens = [\"files\"]\nfiles { write = [\"/var/lib/casemate/other\"] }"), codeMeaning, `"/var/lib/casemate/other"`, "state directories of services", "state = true"},
		{"ptmx of the host", in("profile", "because = \"x\"\n widens = [\"files\"]\n files { devices = [\"/dev/ptmx\"] }"), codeMeaning, `"/dev/ptmx"`, "no device of the host alone", `pty = true`},
		{"zero as a device", in("profile", "because = \"x\"\n widens = [\"files\"]\n files { devices = [\"/dev/zero\"] }"), codeMeaning, `"/dev/zero"`, "no device of the host alone", `dev = ["zero"]`},
		{"a device unexplained", in("profile", "widens = [\"files\"]\n files { devices = [\"/dev/ttyS0\"] }"), codeMeaning, `["/dev/ttyS0"]`, "devices of the host need a reason", `because = "..."`},
		{"host's proc by path", in("profile", `files { read = ["/proc"] }`), codeMeaning, `"/proc"`, "sandbox's own /proc", `proc = "host"`},
		{"port name", in("profile", "widens = [\"network\"]\nbecause = \"x\"\nnetwork {\n  mode = \"host\"\n  connect = [\"htps\"]\n}"), codeValue, `"htps"`, "not known", "https"},
		{"listen network", strings.Replace(one(""), "tcp://", "tpc://", 1), codeValue, `"tpc://:79"`, "network", "did you mean tcp?"},
		{"listen abstract", strings.Replace(one(""), "tcp://:79", "unix:@", 1), codeValue, `"unix:@"`, "no name", "unix:@NAME"},
		{"listen port", strings.Replace(one(""), ":79", ":fingr", 1), codeValue, `"tcp://:fingr"`, "not known", "finger"},
		{"umask", one("umask = \"77\""), codeValue, `"77"`, "octal", "0027"},
		{"root", strings.Replace(one(""), "nobody", "root", 1), codeMeaning, `"root"`, "needs a reason", "because"},
		{"builtin with wait", head + "service \"e\" {\n listen = [\"udp://:7\"]\n builtin = \"echo\"\n wait = false\n}", codeMeaning, "wait", "no wait", "remove"},
		{"wait with acl", one("wait = true\nacl = acl.localhost"), codeMeaning, "acl.localhost", "not enforceable", "acl.anyone"},
		{"datagrams with wait", strings.Replace(one("wait = true\nacl = acl.anyone\nprofile = profile.line"), "tcp:", "udp:", 1), codeMeaning, "profile.line", "to any address", `network { mode = "listener" }`},
		{"fast open", in("profile", "widens = [\"syscalls\"]\nsyscalls {\nrule \"sendto\" {\narg = 3\nvalues = [\"0x20000000\"]\n}\n}"), codeValue, "syscalls", "past every rule on connect", "change"},
		{"two services, one port", one("") + strings.Replace(strings.TrimPrefix(one(""), head), `"s"`, `"t"`, 1), codeMeaning, `"tcp://:79"`, "already taken", "p.cm.hcl:3:13"},
		{"too deep", strings.Repeat("[", 100000), codeSize, "[", "deeper than 64", "close"},
		{"too deep in templates", "x = " + strings.Repeat(`"${`, 100), codeSize, "${", "deeper than 64", ""},
		{"too many locals", one("") + "locals {\n" + numbered(5000, "a%d = 1\n") + "}", codeBounds, "a4096", "more than 4096 locals", ""},
		{"long list", one("groups = [" + strings.Repeat(`"a",`, 5000) + "]"), codeBounds, "[", "longer than 4096", ""},
		{"amplified string", one("dir = local.a9") + "locals {\n a0 = \"xxxxxxxxxxxxxxxx\"\n" + numbered(9, "a%[2]d = \""+strings.Repeat("${local.a%[1]d}", 16)+"\"\n") + "}", codeBounds, `"`, "longer than 65536", ""},
		{"amplified lists", one("groups = local.a9") + "locals {\n a0 = [\"x\"]\n" + numbered(9, "a%[2]d = concat("+strings.Repeat("local.a%[1]d,", 99)+"local.a%[1]d)\n") + "}", codeBounds, "concat", "longer than 4096", ""},
		{"functions that give back little", one("groups = local.a9") + "locals {\n l = [" + strings.Repeat(`"x",`, 4000) + "]\n" + numbered(4000, "a%d = setunion(local.l, local.l)\n") + "}", codeBounds, "setunion", "grows too large", ""},
		{"references to a long list", head + "locals { l = [" + strings.Repeat(`"any",`, 4000) + "] }\nacl \"a\" {\n" + strings.Repeat("deny { from = local.l }\n", 2000) + "}", codeBounds, "local.l", "grows too large", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, ds := compileText(tt.text)
			if doc != nil || len(ds) == 0 {
				t.Fatal("accepted")
			}
			d := ds[0]
			_, mark, _ := strings.Cut(d.Snippet, "\n")
			source, _, _ := strings.Cut(d.Snippet, "\n")
			start := strings.IndexByte(mark, '^')
			marked := string([]rune(source + strings.Repeat(" ", 9))[start : start+strings.Count(mark, "^")])
			if len(ds) != 1 || d.Code != tt.code || !strings.Contains(d.Summary, tt.summary) || !strings.Contains(d.Detail, tt.next) || !strings.HasPrefix(marked, tt.mark) {
				t.Errorf("want one %s at %q: %q, next %q; got:\n%s", tt.code, tt.mark, tt.summary, tt.next, show(ds))
			}
			if d.Line == 0 || d.Column == 0 || d.File != "p.cm.hcl" || d.Detail == "" {
				t.Errorf("no place, or no next step: %+v", d)
			}
		})
	}
}

// numbered writes a line for 0 to n-1 with its number and the next one.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if strings.Contains(format, "[2]") {
			fmt.Fprintf(&b, format, i, i+1)
		} else {
			fmt.Fprintf(&b, format, i)
		}
	}
	return b.String()
}

func show(ds []policy.Diagnostic) string {
	var b strings.Builder
	for i, d := range ds {
		if i == 5 {
			fmt.Fprintf(&b, "and %d more\n", len(ds)-5)
			break
		}
		fmt.Fprintf(&b, "%s %s:%d:%d %s\n%s\n= %s\n", d.Code, d.File, d.Line, d.Column, d.Summary, d.Snippet, d.Detail)
	}
	return b.String()
}

// A policy block may stand in every file, so that each can be checked alone.
func TestPolicyBlockInEveryFile(t *testing.T) {
	first := policy.SourceFile{Name: "1"}
	first.Data = append([]byte("\xef\xbb\xbf"), one("")...)
	second := policy.SourceFile{Name: "2", Data: []byte(head + "acl \"x\" {\n  deny { from = [\"any\"] }\n}\n")}
	if doc, ds := Compile([]policy.SourceFile{first, second}); doc == nil {
		t.Errorf("agreeing policy blocks: %s", show(ds))
	}
	second.Data = []byte("policy {\n  edition = 1\n  on_stop = \"leave\"\n}\n")
	third := policy.SourceFile{Name: "3", Data: []byte("policy {\n  edition = 1\n  on_stop = \"end\"\n}\n")}
	doc, ds := Compile([]policy.SourceFile{first, second, third})
	if doc != nil || len(ds) != 1 || ds[0].Code != codeDuplicate || ds[0].File != "3" || !strings.Contains(ds[0].Detail, "2:3:13") {
		t.Errorf("disagreeing policy blocks: %s", show(ds))
	}
	second.Data = []byte(head + head)
	if doc, ds := Compile([]policy.SourceFile{first, second}); doc != nil || len(ds) != 1 || ds[0].Code != codeDuplicate {
		t.Errorf("two policy blocks in one file: %s", show(ds))
	}
}

// TestSeveral: many mistakes come sorted, each place once, and the report is
// bounded.
func TestSeveral(t *testing.T) {
	_, ds := Compile([]policy.SourceFile{
		{Name: "b.cm.hcl", Data: []byte(strings.TrimPrefix(one("usr = 1\nacl = acl.x"), head))},
		{Name: "a.cm.hcl", Data: []byte(head + "locals { bad = [\"10.0.0.1/8\"] }\nacl \"a\" {\n deny { from = local.bad }\n rule \"alow\" { from = local.bad }\n}\n")},
	})
	var got []string
	for _, d := range ds {
		got = append(got, fmt.Sprintf("%s:%d:%d %s", d.File, d.Line, d.Column, d.Code))
	}
	want := "a.cm.hcl:2:17 CM402, a.cm.hcl:5:2 CM201, b.cm.hcl:5:3 CM202, b.cm.hcl:6:11 CM301"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	_, ds = compileText(one("") + numbered(500, "x%d \"y\" {}\n"))
	if len(ds) != maxDiagnostics || !strings.Contains(ds[len(ds)-1].Detail, "400 more") {
		t.Errorf("%d diagnostics, last %+v", len(ds), ds[len(ds)-1])
	}
}

// TestWarningsBeyondWhatIsKept: however many, they make no error; and an error after them is one, and is the one that is shown.
func TestWarningsBeyondWhatIsKept(t *testing.T) {
	var c compiler
	for i := range maxFindings + 10 {
		c.warn(codeTogether, hcl.Range{Filename: "a", Start: hcl.Pos{Line: 1, Column: 1, Byte: i}}, "raise it", "too little for %d", i)
	}
	if ds := c.diagnostics(); c.failed(0) || len(ds) != maxDiagnostics {
		t.Errorf("of warnings: %d diagnostics, of which the first is %+v", len(ds), ds[0])
	}
	c.report(codeValue, hcl.Range{Filename: "a", Start: hcl.Pos{Line: 2, Column: 1, Byte: 1 << 20}}, "write one", "no number")
	if ds := c.diagnostics(); !c.failed(0) || len(ds) != 1 || ds[0].Summary != "no number" || !strings.Contains(ds[0].Detail, "5010 more") {
		t.Errorf("with an error: %s", show(ds))
	}
}

func TestTwiceShowsBothPlaces(t *testing.T) {
	_, ds := Compile([]policy.SourceFile{
		{Name: "a", Data: []byte(one(""))}, {Name: "b", Data: []byte(strings.TrimPrefix(one("# again"), head))},
	})
	if len(ds) != 1 || ds[0].File != "b" || !strings.Contains(ds[0].Detail, "a:2:1:\nservice \"s\" {\n^") {
		t.Errorf("%s", show(ds))
	}
}

// FuzzCompile: no text makes the compiler panic or hang; every diagnostic has
// a place inside the text, a code and a next step; what is accepted encodes.
func FuzzCompile(f *testing.F) {
	f.Add(string(design(f)))
	f.Add(string(Shipped()))
	f.Add(one("env = { A = \"${local.x}\" }") + "locals { x = format(\"%s\", 1) }")
	f.Add(many("p = { a = 7 }", "for_each = local.p\nlisten = [\"tcp://:${each.value}\"]"))
	f.Add("x = <<EOT\n${local.a}\nEOT\n")
	f.Add("locals { a = local.a }")
	f.Add(one("acl = acl.anyone") + "waiver \"CM702\" {\n  service = [\"s\"]\n  reason = \"x\"\n  expires = \"2027-01-31\"\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		doc, ds := compileText(text)
		lines := strings.Count(text, "\n") + 1
		for _, d := range ds {
			if d.Line < 1 || d.Line > lines || d.Column < 1 || d.Code == "" || d.Summary == "" || d.Snippet == "" || d.File == "" {
				t.Fatalf("incomplete diagnostic %+v", d)
			}
		}
		if (doc == nil) != policy.HasErrors(ds) {
			t.Fatal("a document beside errors, or neither")
		}
		if doc != nil {
			b, err := canon.EncodeDocument(doc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := canon.DecodeDocument(b); err != nil {
				t.Fatal(err)
			}
		}
	})
}
