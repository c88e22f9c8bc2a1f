package lang

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/canon"
	"casemate/sandbox"
)

const head = "policy { edition = 1 }\n"

func compileText(text string) (*policy.Document, []policy.Diagnostic) {
	return Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text)}})
}

// one is a policy with one good service, in which text takes its place.
func one(text string) string {
	return head + "service \"s\" {\n  listen = [\"tcp://:79\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  " + text + "\n}\n"
}

func design(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "design.cm.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDesignExample(t *testing.T) {
	doc, ds := compileText(string(design(t)))
	if doc == nil || len(ds) != 1 || ds[0].Code != codeEvadable || ds[0].Line != 9 { // except = ["cgi.example.org"]
		t.Fatalf("%+v", ds)
	}
	p := doc.Policy
	f := p.Profile("finger")
	if !slices.Equal(f.Base, []string{"line", "strict"}) || f.Widens != nil || f.Resources[sandbox.Memory] != 64<<20 || f.Files.Tmp != 1<<20 {
		t.Errorf("profile finger: %+v", f)
	}
	if s := p.Service("daytime"); s.User != "dynamic" || s.Profile != "builtin" || !s.Wait || s.ACL != "anyone" {
		t.Errorf("service daytime: %+v", s)
	}
	for path, want := range map[string]string{
		"acls.office.rules.1.from.0":            "p.cm.hcl:3:20", // through concat and the local
		"acls.office.rules.1.from.2":            "p.cm.hcl:8:36",
		"services.finger.user":                  "p.cm.hcl:48:13",
		"services.finger.dir":                   "default",
		"services.daytime.profile":              "default",
		"limits.public.per_source.prefix6":      "p.cm.hcl:24:19",
		"profiles.finger.syscalls.on_violation": "shipped/base.cm.hcl:",
		"profiles.finger.files.exec.0":          "shipped/base.cm.hcl:",
		"profiles.finger.files.read.1":          "p.cm.hcl:",
		"acls.anyone.rules.0":                   "shipped/base.cm.hcl:",
	} {
		if got := doc.Origins.Lookup(path); !strings.HasPrefix(got, want) {
			t.Errorf("origin of %s is %q, want %q", path, got, want)
		}
	}
}

// TestEveryValueHasAnOrigin walks the canonical JSON: no leaf without one, but for
// the filters, which nobody wrote: they are what the system calls come to.
func TestEveryValueHasAnOrigin(t *testing.T) {
	doc, _ := compileText(string(design(t)))
	b, err := canon.Encode(doc.Policy)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if strings.HasPrefix(path, "filters") || strings.HasSuffix(path, ".syscalls.filter") {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			for k, child := range v {
				walk(strings.TrimPrefix(path+"."+k, "."), child)
			}
		case []any:
			for i, child := range v {
				key := fmt.Sprint(i)
				if m, ok := child.(map[string]any); ok && strings.Count(path, ".") == 0 {
					key = m["name"].(string)
				}
				walk(path+"."+key, child)
			}
		default:
			if doc.Origins.Lookup(path) == "" {
				t.Errorf("%s has no origin", path)
			}
		}
	}
	delete(tree.(map[string]any), "granted") // it follows from the rest
	walk("", tree)
}

// TestMeaningNotLayout: comments, order of blocks and of files change the
// origins and never the digest.
func TestMeaningNotLayout(t *testing.T) {
	a, ds := compileText(head + "acl \"a\" {}\nlimit \"l\" {}\n" + strings.TrimPrefix(one("acl = acl.a"), head))
	if a == nil {
		t.Fatalf("%+v", ds)
	}
	b, ds := Compile([]policy.SourceFile{
		{Name: "2", Data: []byte("# nothing\nlimit \"l\" {}\n\n" + head)},
		{Name: "1", Data: []byte(strings.TrimPrefix(one("acl = acl.a # here"), head) + "acl \"a\" { default = \"deny\" }")},
	})
	if b == nil {
		t.Fatalf("%+v", ds)
	}
	if a.Digest != b.Digest {
		t.Errorf("digests differ: %s, %s", a.Digest, b.Digest)
	}
}

// TestShipped: the shipped file is formatted, and each profile grants at least
// what the one below it does.
func TestShipped(t *testing.T) {
	out, ds := Format(policy.SourceFile{Name: "base", Data: Shipped()})
	if len(ds) > 0 || string(out) != string(Shipped()) {
		t.Errorf("base.cm.hcl is not formatted: %v\n%s", ds, out)
	}
	var names []string
	for _, p := range ShippedProfiles() {
		names = append(names, p.Name)
		network := sandbox.NetworkNone
		switch p.Name {
		case "builtin", "classic_wait", "sshd":
			network = sandbox.NetworkListener // it answers datagrams by address, or passes descriptors on
		case "classic_ftpd", "classic_rshd", "classic_tftpd", "ftpd", "tftpd":
			network = sandbox.NetworkHost // it opens ports of its own
		}
		becomes := slices.Contains([]string{"classic_data", "classic_ftpd", "classic_login", "classic_rshd", "classic_tftpd", "telnetd", "sshd", "ftpd", "tftpd"}, p.Name)
		if p.Widens != nil || p.Network.Mode != network || (p.Capabilities != nil) != becomes {
			t.Errorf("profile %s: %+v", p.Name, p)
		}
		src := string(ShippedBlock("profile", p.Name))
		if !strings.HasPrefix(src, "# ") || !strings.Contains(src, `profile "`+p.Name+`" {`) || !strings.HasSuffix(src, "\n}\n") {
			t.Errorf("source of %s:\n%s", p.Name, src)
		}
		for _, path := range append(slices.Clone(p.Files.Read), p.Files.Exec...) {
			if (strings.HasPrefix(path, "/usr/local") || strings.HasPrefix(path, "/opt")) && !slices.Contains(p.Files.Optional, path) {
				t.Errorf("profile %s shows %s, which not every host has", p.Name, path)
			}
		}
	}
	if want := "strict line files server login go perl python shell git node jvm classic classic_wait classic_login classic_ftpd classic_rshd classic_data classic_tftpd relay builtin telnetd sshd ftpd smtpd tftpd"; strings.Join(names, " ") != want {
		t.Errorf("profiles %v, want %s", names, want)
	}
	if ShippedBlock("profile", "none") != nil {
		t.Error("a profile that is not shipped has a source")
	}
}

// TestEveryShippedBlockIsUsable compiles a service under each of them.
func TestEveryShippedBlockIsUsable(t *testing.T) {
	for _, p := range ShippedProfiles() {
		for _, text := range []string{"profile = profile." + p.Name, "profile = profile." + p.Name + "\n wait = true\n acl = acl.anyone\n limit = limit.wait"} {
			if doc, ds := compileText(one(text)); doc == nil {
				t.Errorf("%s: %+v", text, ds)
			}
		}
	}
	doc, ds := compileText(one("wait = true\nacl = acl.anyone"))
	if doc == nil || doc.Policy.Services[0].Limit != "wait" {
		t.Errorf("wait without a limit: %+v", ds)
	}
}

func TestInheritance(t *testing.T) {
	doc, ds := compileText(one("profile = profile.b") + `
profile "a" {
  base    = profile.line
  widens  = ["files", "network", "syscalls", "resources"]
  because = "test"
  network {
    mode = "host"
    connect = ["https", 25]
  }
  files {
    write = ["/srv/b", "/srv/a"]
    read  = ["/etc/hosts"]
  }
  syscalls {
    allow = ["@socket-client", "mount"]
    deny  = ["@threads"]
    rule "clone" {
      arg    = 0
      mask   = "0xff00"
      values = ["0x1100", 256]
    }
  }
  resources { open_files = "unlimited" }
}
profile "b" {
  base = profile.a
  files { read = ["/etc/hosts", "/etc/group"] }
  network { mode = "none" }
  syscalls {
    seal = true
    deny = ["connect", "sendmmsg", "sendmsg", "sendto", "setsockopt", "socket"]
  }
}
`)
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	b := doc.Policy.Profile("b")
	if !slices.Equal(b.Base, []string{"a", "line", "strict"}) || !slices.Equal(b.Widens, []string{"files", "network", "resources", "syscalls"}) {
		t.Errorf("base %v, widens %v", b.Base, b.Widens)
	}
	if !slices.Equal(b.Files.Read, []string{"/etc/group", "/etc/hosts"}) || !slices.Equal(b.Files.Write, []string{"/srv/a", "/srv/b"}) {
		t.Errorf("files %+v", b.Files)
	}
	if b.Network.Mode != "none" || b.Network.Connect != nil || b.Resources[sandbox.OpenFiles] != 0 || !b.Syscalls.Seal {
		t.Errorf("profile %+v", b)
	}
	if a := doc.Policy.Profile("a"); !slices.Equal(a.Network.Connect, []uint16{25, 443}) || a.Syscalls.ByArgument[0].Mask != 0xff00 || a.Syscalls.ByArgument[0].Values[0] != 0x1100 {
		t.Errorf("profile %+v", a)
	}
	if o := doc.Origins; o["profiles.b.files.read.0"] != "p.cm.hcl:34:33" || o["profiles.b.files.read.1"] != "p.cm.hcl:19:14" {
		t.Errorf("origins of inherited items: %q, %q", o["profiles.b.files.read.0"], o["profiles.b.files.read.1"])
	}
}

// TestWidening: each thing that grants more than the base needs its layer in
// widens, and with the layer it is accepted.
func TestWidening(t *testing.T) {
	for _, tt := range []struct{ layer, base, body string }{
		{"files", "line", `files { exec = ["/opt/bin"] }`},
		{"files", "line", `files { write = ["/srv"] }`},
		{"files", "line", `files { proc = true }`},
		{"files", "login", "because = \"x\"\nfiles { proc = \"host\" }"},
		{"files", "line", `files { pty = true }`},
		{"files", "line", `files { state = true }`},
		{"network", "line", "because = \"x\"\nnetwork { mode = \"host\" }"},
		{"network", "line", `network { mode = "listener" }`},
		{"network", "builtin", "because = \"x\"\nnetwork { mode = \"host\" }"},
		{"capabilities", "line", "because = \"x\"\ncapabilities = [\"CAP_CHOWN\"]"},
		{"syscalls", "line", "because = \"x\"\nsyscalls { allow = [\"ptrace\"] }"},
		{"syscalls", "strict", `syscalls { on_violation = "errno" }`},
		{"syscalls", "line", "because = \"x\"\nsyscalls { \n rule \"mount\" { \n arg = 0 \n values = [1] \n } \n }"},
		{"resources", "line", `resources { open_files = 65 }`},
		{"resources", "line", `resources { open_files = "unlimited" }`},
	} {
		text := func(widens string) string {
			return one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n base = profile." + tt.base + "\n" + widens + tt.body + "\n}"
		}
		_, ds := compileText(text(""))
		if len(ds) != 1 || ds[0].Code != codeWidens || !strings.Contains(ds[0].Detail, `"`+tt.layer+`"`) {
			t.Errorf("%s: want CM502 about %s, got %+v", tt.body, tt.layer, ds)
		}
		doc, ds := compileText(text("widens = [\"" + tt.layer + "\"]\n"))
		if doc == nil || len(ds) > 0 || !slices.Equal(doc.Policy.Profile("p").Widens, []string{tt.layer}) {
			t.Errorf("%s with widens: %+v", tt.body, ds)
		}
	}
	for _, body := range []string{
		`files { read = ["/etc/passwd"] }`, `files { tmp = "1GiB" }`, `files { shm = "16MiB" }`, `resources { open_files = 20 }`, `resources { memory = "64MiB" }`,
		`syscalls { allow = ["read"] }`, `syscalls { on_violation = "kill" }`, `syscalls { seal = true }`, `init = true`, `user_namespace = true`,
		`syscalls { deny = ["@threads"] }`, `best_effort = ["cgroup"]`,
	} {
		if doc, ds := compileText(one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n base = profile.line\n" + body + "\n}"); doc == nil || len(ds) > 0 {
			t.Errorf("%s: %+v", body, ds)
		}
	}
	doc, ds := compileText(one("acl = acl.nobody\n  profile = profile.p") + "profile \"p\" {\n base = profile.line\n widens = [\"files\"]\n}")
	if doc == nil || len(ds) != 1 || ds[0].Severity != policy.SeverityWarning || ds[0].Code != codeSpare {
		t.Errorf("spare widens: %+v", ds)
	}
}

func TestDefaults(t *testing.T) {
	doc, ds := compileText(one(""))
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	s := doc.Policy.Services[0]
	if s.ACL != "" || s.Limit != "default" || s.Profile != "strict" || s.Stdio != "socket" || s.Dir != "/" || s.Umask != 0o77 || s.Linger != time.Minute {
		t.Errorf("%+v", s)
	}
	l := doc.Policy.Limit("default")
	if l.Concurrent != 64 || l.Burst != 100 || l.PerSource.Prefix6 != 64 || len(l.Penalty.On) != 3 {
		t.Errorf("%+v", l)
	}
	if len(doc.Policy.Profiles) != 1 || len(doc.Policy.Limits) != 1 || len(doc.Policy.ACLs) != 0 {
		t.Error("shipped blocks that nobody uses are in the policy")
	}
}
