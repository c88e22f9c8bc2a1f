package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// many is a policy with one block for several services.
func many(locals, text string) string {
	return head + "locals {\n" + locals + "\n}\nservice \"s\" {\n  command = [\"/bin/cat\", each.key]\n  user = \"nobody\"\n  " + text + "\n}\n"
}

func names(p *policy.Policy) (out []string) {
	for i := range p.Services {
		out = append(out, p.Services[i].Name)
	}
	return out
}

func TestForEach(t *testing.T) {
	for _, tt := range []struct {
		locals, text string
		want         string // names, ports and second words of the commands
	}{
		{"ports = [7001, 7002]", "for_each = local.ports\nlisten = [\"tcp://:${each.value}\"]", "s-7001 7001 7001, s-7002 7002 7002"},
		{"ports = []", "for_each = { red = 7001, blue = 7002 }\nlisten = [\"tcp://:${each.value}\"]", "s-blue 7002 blue, s-red 7001 red"},
		{"words = [\"echo\", \"time\"]", "for_each = setunion(local.words, [\"ftp\"])\nlisten = [\"tcp://:${each.key}\"]", "s-echo 7 echo, s-ftp 21 ftp, s-time 37 time"},
		{"x = { a = { port = 1, dir = \"/srv\" } }", "for_each = local.x\nlisten = [\"tcp://:${each.value.port}\"]\ndir = each.value.dir", "s-a 1 a"},
		{"x = [\"tcp://:5\"]", "for_each = { a = local.x }\nlisten = each.value", "s-a 5 a"},
	} {
		doc, ds := compileText(many(tt.locals, tt.text))
		if doc == nil {
			t.Errorf("%s: %s", tt.text, show(ds))
			continue
		}
		var got []string
		for i := range doc.Policy.Services {
			s := &doc.Policy.Services[i]
			got = append(got, fmt.Sprintf("%s %d %s", s.Name, s.Listen[0].Port, s.Command[1]))
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestForEachIsWrittenOut: what one block makes is what as many blocks make, to the digest.
func TestForEachIsWrittenOut(t *testing.T) {
	short, ds := compileText(many("p = [7001, 7002]", "for_each = local.p\nlisten = [\"tcp://:${each.value}\"]"))
	var long strings.Builder
	long.WriteString(head)
	for _, port := range []string{"7002", "7001"} {
		fmt.Fprintf(&long, "service \"s-%s\" {\n command = [\"/bin/cat\", \"%[1]s\"]\n user = \"nobody\"\n listen = [\"tcp://:%[1]s\"]\n}\n", port)
	}
	other, more := compileText(long.String())
	if short == nil || other == nil || short.Digest != other.Digest {
		t.Fatalf("%s%s", show(ds), show(more))
	}
	for path, want := range map[string]string{"services.s-7001": "p.cm.hcl:5:1", "services.s-7002.user": "p.cm.hcl:7:10", "services.s-7002.listen.0": "p.cm.hcl:9:11",
		"services.s-7002.command.1": "p.cm.hcl:3:12", "services.s-7001.dir": "default"} {
		if got := short.Origins.Lookup(path); got != want {
			t.Errorf("origin of %s is %q, want %q", path, got, want)
		}
	}
	for path := range short.Origins {
		if strings.HasSuffix(path, ".for_each") || strings.HasPrefix(path, "services.s.") {
			t.Errorf("an origin of nothing: %s", path)
		}
	}
}

// TestForEachExtends: the instances extend entries, and an entry is extended once.
func TestForEachExtends(t *testing.T) {
	const table = "telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd\nftp stream tcp nowait root /usr/sbin/in.ftpd in.ftpd\n"
	text := head + "inetd {\n  acl = acl.anyone\n}\nservice \"old\" {\n  for_each = [\"telnet\", \"ftp\"]\n  extends = \"${each.key}/tcp\"\n  acl = acl.localhost\n}\n"
	compile := func(text string) (*policy.Document, []policy.Diagnostic) {
		return Compile([]policy.SourceFile{{Name: "inetd.conf", Data: []byte(table)}, {Name: "p.cm.hcl", Data: []byte(text)}})
	}
	doc, ds := compile(text)
	if doc == nil || !slices.Equal(names(doc.Policy), []string{"old-ftp", "old-telnet"}) || doc.Policy.Service("old-ftp").ACL != "localhost" {
		t.Fatalf("%s", show(ds))
	}
	doc, ds = compile(text + "service \"again\" {\n  extends = \"ftp/tcp\"\n}\n")
	if doc != nil || !strings.Contains(show(ds), `service "old-ftp" extends "ftp/tcp" already`) && !strings.Contains(show(ds), `service "again" extends "ftp/tcp" already`) {
		t.Errorf("%s", show(ds))
	}
}

func TestForEachRefused(t *testing.T) {
	const listen = "\nlisten = [\"tcp://:${each.value}\"]"
	for _, tt := range []struct{ text, code, want string }{
		{many("p = []", "for_each = local.p"+listen), codeValue, "for_each has nothing in it"},
		{many("p = {}", "for_each = local.p"+listen), codeValue, "for_each has nothing in it"},
		{many("p = [1, \"1\"]", "for_each = local.p"+listen), codeDuplicate, `for_each has "1" twice`},
		{many("p = { a = 1, a = 2 }", "for_each = local.p"+listen), codeDuplicate, `"a" is set twice`},
		{many("p = [\"A\"]", "for_each = local.p"+listen), codeValue, `"A" cannot be part of a name`},
		{many("p = [\"\"]", "for_each = local.p"+listen), codeValue, `"" cannot be part of a name`},
		{many("p = [\"a.b\"]", "for_each = local.p"+listen), codeValue, `"a.b" cannot be part of a name`},
		{many("p = [\""+strings.Repeat("a", 62)+"\"]", "for_each = local.p"+listen), codeValue, "longer than 63"},
		{many("p = [[1]]", "for_each = local.p"+listen), codeType, "a list cannot be part of a name"},
		{many("p = [true]", "for_each = local.p"+listen), codeType, "cannot be part of a name"},
		{many("p = 7", "for_each = local.p"+listen), codeType, "for_each must be a list or an object"},
		{many("p = ["+numbered(maxEach+1, "%d,")+"]", "for_each = local.p"+listen), codeBounds, "at most 1024"},
		{many("p = [1, 2]", "for_each = local.p\nlisten = [\"tcp://:79\"]"), codeMeaning, `service "s-2": tcp://:79 is already taken by tcp://:79`},
		{many("p = [70000]", "for_each = local.p"+listen), codeValue, "70000"},
		{many("p = [1]", "for_each = local.p\nlisten = [each.value.x]"), codeType, "a number has no members"},
		{many("p = [1]", "for_each = local.p\nlisten = [each.valu]"), codeReference, "each has a key and a value"},
		{many("p = [1]", "for_each = local.p\nlisten = [each]"), codeReference, "each has a key and a value"},
		{many("p = [1]", "for_each = local.p\nacl = each.value"+listen), codeReference, "acl must name a block"},
		{many("p = [1]", "for_each = local.p"+listen) + "service \"s-1\" {}\n", codeDuplicate, `service "s-1" is there twice`},
		{many("p = [each.value]", "for_each = [1]"+listen), codeReference, "each is known only in a service block with for_each"},
		{one("dir = each.value"), codeReference, "each is known only in a service block with for_each"},
		{one("dir = \"/${each.key}\""), codeReference, "each is known only in a service block with for_each"},
		{many("p = [1]", "for_each = [each.key]"+listen), codeReference, "each is known only in a service block with for_each"},
		{head + "limit \"l\" {\n  for_each = [1]\n}\n", codeAttr, "for_each"},
		{head + numbered(10, "service \"t%d\" {\n for_each = local.p\n}\n") + "locals {\n p = [" + numbered(maxEach, "%d,") + "]\n}\n", codeBounds, "more than the 10000 services"},
	} {
		doc, ds := compileText(tt.text)
		found := slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return d.Code == tt.code && strings.Contains(d.Summary, tt.want) })
		if doc != nil || !found {
			t.Errorf("want %s %q, got %s", tt.code, tt.want, show(ds))
		}
	}
}

// TestForEachSaysItOnce: what is wrong with the block itself is one finding however many services it makes.
func TestForEachSaysItOnce(t *testing.T) {
	_, ds := compileText(many("p = [1, 2, 3]", "for_each = local.p\nlisten = [\"tcp://:${each.value}\"]\nbogus = 1"))
	if len(ds) != 1 || ds[0].Code != codeAttr {
		t.Errorf("%s", show(ds))
	}
}
