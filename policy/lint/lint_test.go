package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy/codes"
)

// policyOf is one service with some attributes changed, and more blocks.
func policyOf(blocks string, changes ...string) []codes.File {
	attrs := map[string]string{"listen": `["tcp://:7000"]`, "command": `["/bin/cat"]`, "user": `"nobody"`, "acl": "acl.anyone"}
	for _, c := range changes {
		name, val, _ := strings.Cut(c, " = ")
		attrs[name] = val
	}
	text := "policy { edition = 1 }\n" + blocks + "\nservice \"s\" {\n"
	for name, val := range attrs {
		if val != "" {
			text += name + " = " + val + "\n"
		}
	}
	return []codes.File{{Name: "p.cm.hcl", Text: text + "}\n"}}
}

// TestQuiet: a rule fires where it matters, and nowhere beside.
func TestQuiet(t *testing.T) {
	acl := func(rules string) string { return "acl \"a\" {\n" + rules + "\n}\n" }
	limit := func(body string) string { return "limit \"l\" {\n" + body + "\n}\n" }
	const own, bare = "acl = acl.a", "limit = limit.l"
	const udp, echo = `listen = ["udp://:7000"]`, `builtin = "echo"`
	for _, tt := range []struct {
		name  string
		files []codes.File
		codes string // those found, sorted
	}{
		{"open to any with the limit that nobody names", policyOf(""), ""},
		{"no limit of any kind", policyOf(limit(`session = "1m"`), bare), "CM701 CM702"},
		{"on loopback", policyOf(limit(""), bare, `listen = ["tcp://127.0.0.1:7000", "tcp://[::1]:7000"]`), ""},
		{"on a private network's address", policyOf(limit(""), bare, `listen = ["tcp://10.1.2.3:7000"]`), ""},
		{"on a unix socket", policyOf(limit(""), bare, `listen = ["unix:/run/s.sock"]`), ""},
		{"a network that is not private", policyOf(limit("")+acl(`allow { from = ["8.8.8.0/24"] }`), bare, own), ""},
		{"two halves of everybody", policyOf(limit("concurrent = 4\nsession = \"1m\"")+acl(`allow { from = ["0.0.0.0/1", "128.0.0.0/1"] }`), bare, own), "CM702"},
		{"the internet of IPv6", policyOf(limit("concurrent = 4\nsession = \"1m\"")+acl(`allow { from = ["2000::/3"] }`), bare, own), "CM702"},
		{"all but one", policyOf(limit("concurrent = 4\nsession = \"1m\"")+acl("deny { from = [\"192.0.2.1\"] }\ndefault = \"allow\""), bare, own), "CM702"},
		{"who has a name", policyOf(limit("concurrent = 4\nsession = \"1m\"")+acl(`allow { from = ["known"] }`), bare, own), "CM702"},
		{"who has a certain name", policyOf(limit("concurrent = 4")+acl(`allow { from = [".example.org"] }`), bare, own), ""},
		{"open at times", policyOf(limit("concurrent = 4\nsession = \"1m\"")+acl("allow {\nfrom = [\"any\"]\nduring = [\"sun\"]\n}"), bare, own), "CM702"},
		{"places for each", policyOf(limit("concurrent = 4\nsession = \"1m\"\nper_source { rate = \"1/s\" }"), bare), "CM703"},
		{"one place", policyOf(limit("concurrent = 1\nsession = \"1m\"\nper_source { rate = \"1/s\" }"), bare), ""},
		{"idle in place of session", policyOf(limit("concurrent = 4\nper_source { concurrent = 1 }"), bare, `idle = "1m"`), ""},
		{"for ever", policyOf(limit("concurrent = 4\nper_source { concurrent = 1 }"), bare), "CM705"},
		{"ipv6 alone by its addresses", policyOf(limit("concurrent = 4\nsession = \"1m\"\nper_source {\nconcurrent = 1\nipv6_prefix = 128\n}"), bare), "CM704"},
		{"no ipv6", policyOf(limit("concurrent = 4\nsession = \"1m\"\nper_source {\nconcurrent = 1\nipv6_prefix = 128\n}"), bare, `listen = ["tcp4://:7000"]`), ""},
		{"a builtin's datagrams", policyOf(limit(""), bare, `listen = ["udp://:7000"]`, "command = ", "user = ", `builtin = "echo"`), ""},
		{"who hears the time and has to speak", policyOf(limit("concurrent = 4\nfirst_byte = \"9s\""), bare, "acl = acl.localhost", `listen = ["tcp://127.0.0.1:7000"]`, "command = ", "user = ", `builtin = "time"`), "CM716"},
		{"who is echoed and has to speak", policyOf(limit("concurrent = 4\nfirst_byte = \"9s\""), bare, "acl = acl.localhost", `listen = ["tcp://127.0.0.1:7000"]`, "command = ", "user = ", `builtin = "echo"`), ""},
		{"telnet inside", policyOf(acl(`allow { from = ["10.0.0.0/8", "fd00::/8"] }`), own, `listen = ["tcp://:23"]`), ""},
		{"telnet for customers", policyOf(acl(`allow { from = ["10.0.0.0/8", "8.8.8.8"] }`), own, `listen = ["tcp://:23"]`), "CM707"},
		{"telnet by its program", policyOf("", `command = ["/usr/sbin/in.telnetd"]`), "CM707"},
		{"telnet in a range of ports", policyOf("", `listen = ["tcp://:20-30"]`), "CM707"},
		{"ssh with the usual limit", policyOf("", `listen = ["tcp://:22"]`), "CM708"},
		{"a login by its profile", policyOf("", "profile = profile.login"), "CM708"},
		{"tftp", policyOf("", `listen = ["udp://:69"]`), "CM706"},
		{"tftp inside", policyOf(acl(`allow { from = ["10.0.0.0/8"] }`), own, `listen = ["udp://:69"]`), ""},
		{"many answers", policyOf(limit("responses = \"51/s\"\nrate = \"1/s\""), bare, udp, echo, "command = ", "user = "), "CM714"},
		{"many answers to all", policyOf(limit("responses_total = \"150000/min\"\nrate = \"1/s\""), bare, udp, echo, "command = ", "user = "), "CM714"},
		{"many answers inside", policyOf(limit("responses = \"900/s\"\nrate = \"1/s\"")+acl(`allow { from = ["10.0.0.0/8"] }`), own, bare, udp, echo, "command = ", "user = "), ""},
		{"few answers", policyOf(limit("responses = \"1/s\"\nresponses_total = \"1/s\"\nrate = \"1/s\""), bare, udp, echo, "command = ", "user = "), ""},
		{"a program's answers", policyOf(limit("responses_total = \"90/s\"\nrate = \"1/s\"\nper_source { rate = \"1/s\" }"), bare, udp), "CM715"},
		{"answers of no datagrams", policyOf(limit("responses = \"51/s\"\nconcurrent = 4\nrate = \"1/s\"\nsession = \"1m\"\nper_source { concurrent = 1 }"), bare), ""},
		{"some datagrams", policyOf("", `listen = ["udp://:7000"]`), ""},
		{"root", policyOf("", `user = "root"`, `because = "it reads mail"`), "CM710"},
		{"root inside", policyOf(acl(`allow { from = ["10.0.0.0/8"] }`), own, `user = "root"`, `because = "it reads mail"`), ""},
		{"no reason", policyOf(acl(`allow { from = ["10.0.0.0/8"] }`), own, `user = "root"`, `because = "..."`), "CM711"},
		{"an unused local", policyOf("locals {\na = 1\nb = 2\n}\nlimit \"l\" { concurrent = local.b }", "acl = acl.localhost", bare), "CM713"},
		{"an unused limit", policyOf(limit("concurrent = 4"), "acl = acl.localhost"), "CM713"},
		{"a base", policyOf("profile \"a\" { base = profile.line }\nprofile \"b\" { base = profile.a }", "acl = acl.localhost", "profile = profile.b"), ""},
		{"of a service that is off", policyOf(limit("concurrent = 4"), "acl = acl.localhost", bare, "disable = true"), ""},
		{"blocks for others to use", []codes.File{{Name: "p.cm.hcl", Text: "policy { edition = 1 }\nacl \"a\" {}\n"}}, "CM508"},
		{"behind several", policyOf(acl("deny { from = [\"10.0.0.0/9\"] }\nallow { from = [\"10.128.0.0/9\"] }\ndeny { from = [\"10.0.0.0/8\"] }"), own), "CM510"},
		{"behind everybody, as the compiler says", policyOf(acl("allow { from = [\"any\"] }\ndeny { from = [\"10.0.0.0/8\"] }"), own), "CM510"},
		{"narrower first", policyOf(acl("deny { from = [\"10.0.0.0/9\"] }\nallow { from = [\"10.0.0.0/8\"] }"), own), ""},
		{"at other times", policyOf(acl("deny {\nfrom = [\"10.0.0.0/8\"]\nduring = [\"sun\"]\n}\nallow { from = [\"10.0.0.0/8\"] }"), own), ""},
	} {
		doc, found := check(tt.files)
		var got []string
		for _, f := range found {
			got = append(got, f.Code)
		}
		slices.Sort(got)
		if doc == nil || strings.Join(got, " ") != tt.codes {
			t.Errorf("%s: want %q, got %v", tt.name, tt.codes, list(found))
		}
	}
}

// TestShadowsAreNamed: the rules before it, by their places and names, in one list of codes.
func TestShadowsAreNamed(t *testing.T) {
	_, found := check(policyOf("acl \"a\" {\n  deny \"low\" { from = [\"10.0.0.0/9\"] }\n  allow { from = [\"10.128.0.0/9\"] }\n  deny { from = [\"10.0.0.0/8\"] }\n}\n", "acl = acl.a"))
	if len(found) != 1 || found[0].Line != 5 || found[0].Column != 3 || !strings.Contains(found[0].Detail, `the rules "low" at p.cm.hcl:3:3, p.cm.hcl:4:3 decide`) {
		t.Errorf("%+v", found)
	}
}

// TestBounded: what thousands of services have is cut, and says so.
func TestBounded(t *testing.T) {
	text := "policy { edition = 1 }\nlimit \"l\" { session = \"1m\" }\n"
	for i := range 600 {
		text += fmt.Sprintf("service \"s%d\" {\nlisten = [\"tcp://:%d\"]\ncommand = [\"/bin/cat\"]\nuser = \"dynamic\"\nacl = acl.anyone\nlimit = limit.l\n}\n", i, 10000+i)
	}
	doc, _ := check([]codes.File{{Name: "p.cm.hcl", Text: text}})
	found := Run(doc, nil)
	if len(found) != MaxFindings || !strings.Contains(found[MaxFindings-1].Detail, "200 more findings") {
		t.Errorf("%d findings, the last %+v", len(found), found[len(found)-1])
	}
}

// TestCodes: each constant is a row of the table.
func TestCodes(t *testing.T) {
	for _, c := range []string{codeUnreachable, codeUnlimited, codeNoSource, codeAllPlaces, codeNarrowIPv6, codeForEver, codeAmplifier, codePlaintext, codeLogin, codeBestEffort, codePrivileged, codeNoReason, codeSharedUser, codeUnused, codeResponses, codeUnheld, codeNoWord, codeExemptsAll, codeExemptsNone, codeNotHeld} {
		if _, err := codes.Find(c); err != nil {
			t.Error(c, err)
		}
	}
}
