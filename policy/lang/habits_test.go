package lang

import (
	"strings"
	"testing"

	"casemate/policy"
)

// TestHabits: what a newcomer writes by habit, and the one step that the
// diagnostic names. Warnings leave the policy valid.
func TestHabits(t *testing.T) {
	const anyone = "acl = acl.anyone\n  "
	limits := func(s string) string { return one(anyone+"limit = limit.l") + "limit \"l\" {\n  " + s + "\n}\n" }
	with := func(old, new string) string { return strings.Replace(one(anyone), old, new, 1) }
	for _, tt := range []struct{ name, text, code, next string }{
		{"shell variable", with(`["/bin/cat"]`, `["/bin/echo", "${REMOTE_ADDR}"]`), codeReference, "write $${REMOTE_ADDR}"},
		{"directive", with(`["/bin/cat"]`, `["/bin/echo", "%{x}"]`), codeFeature, "write %%{"},
		{"two grants in one profile", one(anyone+"profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  widens = [\"files\"]\n  widens = [\"syscalls\"]\n}\n", codeSyntax, "one with the elements of both"},
		{"yes", one(anyone + "wait = yes"), codeReference, "write true"},
		{"off", one(anyone + "wait = off"), codeReference, "write false"},
		{"quoted yes", one(anyone + `wait = "yes"`), codeType, "write wait = true"},
		{"quoted number", limits(`concurrent = "64"`), codeType, "write concurrent = 64"},
		{"octal number", one(anyone + "umask = 0022"), codeType, `write umask = "0022"`},
		{"seconds", limits(`rate = "50/sec"`), codeValue, `"50/s"`},
		{"minutes", limits(`rate = "50/minute"`), codeValue, `"50/min"`},
		{"negative", limits("concurrent = -1"), codeFeature, "leave the attribute out"},
		{"list without brackets", with(`["tcp://:79"]`, `"tcp://:79"`), codeType, `write listen = ["tcp://:79"]`},
		{"bare address", with(`["tcp://:79"]`, `[tcp://:79]`), codeSyntax, `"tcp://:79"`},
		{"bare include", one(anyone) + "include \"x\"\n", codeSyntax, "there is no include"},
		{"include block", one(anyone) + "include \"x\" {\n}\n", codeBlock, "command line"},
		{"only_from", one(anyone + `only_from = ["10.0.0.0/8"]`), codeAttr, "allow { from"},
		{"instances", one(anyone + "instances = 5"), codeAttr, "concurrent = 64"},
		{"cps", one(anyone + `cps = "5 10"`), codeAttr, "rate ="},
		{"per_source", one(anyone + "per_source = 3"), codeAttr, "per_source { concurrent"},
		{"server", one(anyone + `server = "/x"`), codeAttr, "command ="},
		{"server_args", one(anyone + `server_args = "-l"`), codeAttr, "command ="},
		{"access_times", one(anyone + `access_times = "8:00-18:00"`), codeAttr, `during = ["08:00-18:00"]`},
		{"max_load", one(anyone + "max_load = 4"), codeAttr, `limit "NAME" { max_load = "4.0" }`},
		{"flags", one(anyone + `flags = "KEEPALIVE NODELAY"`), codeAttr, `socket { keepalive = "2m"  nodelay = true }`},
		{"disable", limits("disable = true"), codeAttr, "disable = true in the service"},
		{"user.group", with(`"nobody"`, `"nobody.tty"`), codeHabit, `group = "tty"`},
		{"rule after any", one("acl = acl.a") + "acl \"a\" {\n  allow { from = [\"any\"] }\n  deny { from = [\"10.0.0.0/8\"] }\n}\n", codeUnreachable, "p.cm.hcl:9:3"},
		{"no acl", one(""), codeNobody, "acl.nobody"},
		{"unix peers", strings.Replace(one("acl = acl.localhost"), "tcp://:79", "unix:/run/x", 1), codeNobody, `"any"`},
		{"arguments in the path", with(`"/bin/cat"`, `"/bin/cat -u"`), codeHabit, `["/bin/cat", "-u"]`},
		{"glob", one(anyone+"profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  files {\n    read = [\"/etc/*.conf\"]\n  }\n}\n", codeHabit, "name the directory"},
		{"hidden dir", one(anyone + `dir = "/nonexistent"`), codeHabit, `dir = "/"`},
		{"capability", one(anyone+"profile = profile.p") + "profile \"p\" {\n  base = profile.line\n  widens = [\"capabilities\"]\n  because = \"x\"\n  capabilities = [\"CAP_NET_RAW\"]\n}\n", codeMeaning, "CAP_NET_BIND_SERVICE"},
		{"denied log", one(anyone+"profile = profile.p") + "profile \"p\" {\n  base = profile.login\n  syscalls { deny = [\"connect\"] }\n}\n", codeValue, "log = false"},
		{"denied group of log", one(anyone+"profile = profile.p") + "profile \"p\" {\n  base = profile.login\n  syscalls { deny = [\"@socket-unix\"] }\n}\n", codeValue, "log = false"},
		{"deaf log", strings.Replace(one(anyone+"profile = profile.login"), "tcp://:79", "udp://:79", 1), codeHabit, "log = false"},
		{"vsock peers", strings.Replace(one("acl = acl.localhost"), "tcp://:79", "vsock:79", 1), codeNobody, `"cid=3"`},
		{"vsock as an address", strings.Replace(one(anyone), "tcp://:79", "vsock://2:79", 1), codeValue, "write vsock:PORT"},
		{"a builtin on vsock", head + "service \"e\" {\n  listen = [\"vsock:7\"]\n  builtin = \"echo\"\n  acl = acl.anyone\n}\n", codeMeaning, "write a command"},
		{"the same vsock twice", strings.Replace(one(anyone), `"tcp://:79"`, `"vsock:79", "vsock:2:79"`, 1), codeMeaning, "remove one of the two"},
		{"abstract, everybody", strings.Replace(one("acl = acl.anyone"), "tcp://:79", "unix:@x", 1), codeAbstract, `from = ["uid=1000"]`},
		{"abstract, all but one", strings.Replace(one("acl = acl.a"), "tcp://:79", "unix:@x", 1) + "acl \"a\" {\n  deny { from = [\"uid=7\"] }\n  default = \"allow\"\n}\n", codeAbstract, `from = ["uid=1000"]`},
		{"abstract, open at times", strings.Replace(one("acl = acl.a"), "tcp://:79", "unix:@x", 1) + "acl \"a\" {\n  deny {\n    from = [\"any\"]\n    during = [\"sun\"]\n  }\n  default = \"allow\"\n}\n", codeAbstract, `from = ["uid=1000"]`},
		{"abstract, its program's", strings.Replace(one("acl = acl.anyone\n  wait = true\n  limit = limit.wait"), "tcp://:79", "unix:@x", 1), codeAbstract, "SO_PEERCRED"},
		{"loopback udp", head + "service \"e\" {\n  listen = [\"udp://:7\"]\n  builtin = \"echo\"\n  acl = acl.localhost\n}\n", codeNobody, "udp://127.0.0.1:7"},
	} {
		doc, ds := compileText(tt.text)
		if len(ds) != 1 || ds[0].Code != tt.code || !strings.Contains(ds[0].Detail, tt.next) {
			t.Errorf("%s: want one %s with %q, got:\n%s", tt.name, tt.code, tt.next, show(ds))
			continue
		}
		if (doc != nil) == (ds[0].Severity == policy.SeverityError) {
			t.Errorf("%s: severity %s, document %v", tt.name, ds[0].Severity, doc != nil)
		}
	}
	for _, text := range []string{
		one(anyone), one("acl = acl.nobody"),
		strings.Replace(one(anyone), "tcp://:79", "unix:/run/x", 1),
		head + "service \"e\" {\n  listen = [\"udp://127.0.0.1:7\"]\n  builtin = \"echo\"\n  acl = acl.localhost\n}\n",
		one(anyone + "profile = profile.files\n  dir = \"/tmp\""),
		one(anyone+"profile = profile.p") + "profile \"p\" {\n  base = profile.login\n  files { log = false }\n  syscalls { deny = [\"connect\"] }\n}\n",
	} {
		if doc, ds := compileText(text); doc == nil || len(ds) > 0 {
			t.Errorf("%s: %s", text, show(ds))
		}
	}
}

// TestNothingIsNotForgotten: of a word that the language has got since, nobody is told that
// nothing is to be written for it, nor another attribute alone.
func TestNothingIsNotForgotten(t *testing.T) {
	// Those of xinetd, and the timeout that is no class of offences, mean what the hint says.
	other := map[string]bool{"bind": true, "type": true, "timeout": true}
	for word, hint := range foreignWords {
		where := stands(blocks(), "", word)
		if where != "" && !other[word] && !strings.Contains(hint, word) {
			t.Errorf("%s: the hint is %q, and it stands in %s", word, hint, where)
		}
	}
}
