package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verbs are the command lines that a policy, its tests and a second policy are given to, in the directory that has them as p/, and q/.
var verbs = [][]string{
	{"check", "p", "-o", "sarif", "--fail-on", "notice"}, {"check", "p", "-o", "markdown"}, {"check", "p", "-o", "json"}, {"fmt", "--check", "--diff", "p"}, {"test", "p", "--coverage"}, {"test", "p", "-o", "junit"},
	{"show", "./p"}, {"show", "./p", "-o", "json"}, {"show", "./p", "--unit"}, {"show", "./p", "--client", "192.0.2.7"}, {"score", "./p", "-o", "markdown"}, {"score", "./p", "--against", "q"},
	{"diff", "q", "p", "-o", "markdown", "--fail-on", "widened"}, {"diff", "p", "q", "-o", "json"}, {"compile", "p"}, {"explain", "s", "192.0.2.7", "p"},
}

// FuzzVerbs: whatever a policy, its tests and an inetd.conf beside it hold, no verb panics, and each ends with 0, 1 or 3; of a
// policy that is valid, the layout changes nothing, and it does not differ from itself.
func FuzzVerbs(f *testing.F) {
	head := "policy { edition = 1 }\n"
	service := "service \"s\" {\n  listen = [\"tcp://:79\"]\n  command = [\"/bin/cat\"]\n  user = \"dynamic\"\n  acl = acl.anyone\n}\n"
	f.Add(head+service, "case \"a\" {\n  service = service.s\n  client = \"192.0.2.7\"\n  expect = \"allow\"\n}\n", "")
	f.Add(head+service+"waiver \"CM702\" {\n  service = [\"s\"]\n  reason = \"x\"\n  expires = \"2027-01-31\"\n}\nwaiver \"CM713\" {\n  reason = \"y\"\n  expires = \"2020-01-31\"\n}\n", "invariant \"a\" { never = reach(service.*, \"any\") }\n", "")
	f.Add(head+"inetd { acl = acl.anyone }\n", "", "finger stream tcp nowait nobody /usr/sbin/in.fingerd in.fingerd\ntalk dgram udp wait root internal\n#@ x\n")
	f.Add(head+"inetd {\n  acl = acl.localhost\n}\n", "", "127.0.0.1:79 stream tcp nowait.40 nobody /usr/sbin/in.fingerd in.fingerd -w\n")
	f.Add(head+"acl \"a\" {\n  allow {\n    from = [\"10.0.0.0/8\", \"known\", \".a.example\"]\n    except = [\"10.1.0.0/16\"]\n    during = [\"mon-fri 08:00-18:00\"]\n  }\n  zone = \"Europe/Berlin\"\n}\nlocals { x = concat([1], [2]) }\n"+
		strings.ReplaceAll(service, "acl.anyone", "acl.a")+"profile \"p\" {\n  base = profile.line\n  widens = [\"network\"]\n  because = \"x\"\n  network {\n    mode = \"host\"\n    connect = [53]\n  }\n}\n", "case \"", "# x\n")
	f.Fuzz(func(t *testing.T, text, tests, entries string) {
		dir := t.TempDir()
		for name, data := range map[string]string{"p/a.cm.hcl": text, "p/a.cmtest.hcl": tests, "p/b.inetd": entries, "q/a.cm.hcl": head + service} {
			if data == "" && !strings.HasPrefix(name, "p/a.cm.") {
				continue
			}
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Chdir(dir)
		verb := func(args ...string) (int, string) {
			var out, errw bytes.Buffer
			code := run(args, strings.NewReader(""), &out, &errw, unconfined)
			if code != exitYes && code != exitFail && code != exitNo || strings.Contains(errw.String(), "internal error, please report it") {
				t.Fatalf("casemate %s: exit status %d\n%s", strings.Join(args, " "), code, errw.String())
			}
			return code, out.String() + errw.String()
		}
		if code, said := verb("compile", "p", "--write", "before.json"); code != exitYes {
			if strings.Contains(t.Name(), "seed#") {
				t.Fatalf("a seed that says nothing: %s", said)
			}
			verb("check", "p", "-o", "sarif")
			verb("fmt", "--check", "--diff", "p")
			verb("test", "p")
			verb("diff", "q", "p")
			return
		}
		for _, args := range verbs {
			verb(args...)
		}
		if code, said := verb("diff", "p", "p", "--fail-on", "changed"); code != exitYes {
			t.Fatalf("the policy differs from itself: %s", said)
		}
		if code, said := verb("fmt", "p"); code != exitYes {
			if strings.Contains(said, "a.cmtest.hcl") { // the policy is valid, and its tests do not parse
				return
			}
			t.Fatalf("it is valid, and is not laid out: %s", said)
		}
		if code, said := verb("diff", "before.json", "p", "--fail-on", "changed"); code != exitYes {
			t.Fatalf("the layout changes it: %s", said)
		}
	})
}
