package lang

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/input"
)

// table compiles a policy with an inetd.conf beside it.
func withTable(text, conf string) (*policy.Document, []policy.Diagnostic) {
	return Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + text)}, {Name: "/etc/inetd.conf", Data: []byte(conf)}})
}

const anyEntry = "inetd { acl = acl.anyone }\n"

// mustTable is the policy, without an error.
func mustTable(t *testing.T, text, conf string) *policy.Document {
	t.Helper()
	doc, ds := withTable(text, conf)
	if doc == nil {
		t.Fatal(show(ds))
	}
	return doc
}

// TestEntriesAreServices: what an entry says is what the service is, and its origins are its line.
func TestEntriesAreServices(t *testing.T) {
	doc := mustTable(t, anyEntry, `# the table
telnet	stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd -h
ident	stream tcp4 nowait nobody.nogroup /usr/sbin/identd identd
tftp	dgram udp6 wait nobody /usr/sbin/in.tftpd in.tftpd /srv/tftp
echo	stream tcp nowait root internal
echo	dgram udp wait root internal
7971	stream tcp nowait daemon /bin/cat
/run/x.sock stream unix nowait daemon:adm /bin/cat cat
127.0.0.1,[::1]:7972 stream tcp nowait daemon /bin/cat cat
localhost:7973 stream tcp nowait daemon /bin/cat cat
`)
	for name, want := range map[string]string{
		"telnet":     "[tcp://:23] [/usr/sbin/in.telnetd -h] root  wait=false classic_login classic",
		"ident":      "[tcp4://:113] [/usr/sbin/identd] nobody nogroup wait=false classic classic",
		"tftp":       "[udp6://:69] [/usr/sbin/in.tftpd /srv/tftp] nobody  wait=true classic_wait wait",
		"echo":       "[tcp://:7] echo dynamic  wait=true builtin classic",
		"echo-udp":   "[udp://:7] echo dynamic  wait=true builtin default",
		"port-7971":  "[tcp://:7971] [/bin/cat] daemon  wait=false classic classic",
		"run-x-sock": "[unix:/run/x.sock] [/bin/cat] daemon adm wait=false classic classic",
		"port-7972":  "[tcp://127.0.0.1:7972 tcp://[::1]:7972] [/bin/cat] daemon  wait=false classic classic",
		"port-7973":  "[tcp://127.0.0.1:7973 tcp://[::1]:7973] [/bin/cat] daemon  wait=false classic classic",
	} {
		s := doc.Policy.Service(name)
		if s == nil {
			t.Errorf("no service %s", name)
			continue
		}
		program := fmt.Sprint(s.Command)
		if s.Builtin != "" {
			program = s.Builtin
		}
		if got := fmt.Sprintf("%v %s %s %s wait=%v %s %s", s.Listen, program, s.User, s.Group, s.Wait, s.Profile, s.Limit); got != want || s.ACL != "anyone" {
			t.Errorf("%s: %s, acl %s, want %s", name, got, s.ACL, want)
		}
	}
	if n := len(doc.Policy.Services); n != 9 {
		t.Errorf("%d services", n)
	}
	if s := doc.Policy.Service("run-x-sock").Socket; s.Mode != 0o666 || s.Owner != "daemon" || s.Group != "adm" {
		t.Errorf("%+v", s)
	}
	for path, want := range map[string]string{
		"services.telnet.listen":      "/etc/inetd.conf:2:1",
		"services.telnet.wait":        "/etc/inetd.conf:2:19",
		"services.telnet.user":        "/etc/inetd.conf:2:26",
		"services.telnet.command.0":   "/etc/inetd.conf:2:46",
		"services.telnet.command.1":   "/etc/inetd.conf:2:67",
		"services.telnet.because":     "/etc/inetd.conf:2:26",
		"services.telnet.acl":         "p.cm.hcl:2:15",
		"services.telnet.dir":         "default",
		"services.ident.group":        "/etc/inetd.conf:3:33",
		"services.echo.builtin":       "/etc/inetd.conf:5:29",
		"services.port-7972.listen.1": "/etc/inetd.conf:9:11",
	} {
		if got := doc.Origins.Lookup(path); got != want {
			t.Errorf("%s is from %s, want %s", path, got, want)
		}
	}
}

// TestNamesOfEntries: a name depends on its own entry alone, unless another one is called the same.
func TestNamesOfEntries(t *testing.T) {
	const tail = " nowait nobody /bin/cat cat\n"
	doc := mustTable(t, anyEntry, "127.0.0.2:finger stream tcp"+tail+"finger dgram udp"+tail+"127.0.0.1:finger stream tcp"+tail+
		"7007 stream tcp"+tail+"/run/a dgram unix wait nobody /bin/cat cat\n")
	var names []string
	for _, s := range doc.Policy.Services {
		names = append(names, s.Name)
	}
	if want := []string{"finger", "finger-tcp", "finger-udp", "port-7007", "run-a"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// TestExtends: the block says what the entry does not, or otherwise.
func TestExtends(t *testing.T) {
	const conf = `telnet stream tcp nowait.40 root:adm /usr/sbin/in.telnetd in.telnetd -h
192.0.2.1:finger stream tcp nowait nobody /usr/sbin/in.fingerd in.fingerd
192.0.2.2:finger stream tcp nowait nobody /usr/sbin/in.fingerd in.fingerd
talk dgram udp wait nobody /usr/sbin/in.talkd in.talkd
echo stream tcp nowait root internal
`
	doc := mustTable(t, anyEntry+`
acl "office" {
  allow { from = ["192.0.2.0/24"] }
}
service "far" {
  extends = "telnet/tcp"
  acl     = acl.office
  limit   = limit.default
  profile = profile.login
  because = "old"
}
service "inside" {
  extends = "192.0.2.1:finger/tcp"
  command = ["/bin/cat", "/etc/motd"]
  user    = "daemon"
  listen  = ["tcp://:7979"]
}
service "talk" {
  extends = "talk/udp"
  wait    = false
  acl     = acl.office
}
service "echoes" {
  extends = "echo/tcp"
  command = ["/bin/cat"]
  user    = "daemon"
}
`, conf)
	p := doc.Policy
	far := p.Service("far")
	if far.ACL != "office" || far.Profile != "login" || far.Limit != "far" || far.Because != "old" || far.User != "root" || far.Group != "adm" || far.Command[1] != "-h" {
		t.Errorf("%+v", far)
	}
	l := p.Limit("far")
	if l == nil || l.Rate != (limit.Rate{Events: 40, Per: time.Minute}) || l.Burst != 40 || l.Concurrent != 64 {
		t.Errorf("%+v", l)
	}
	if s := p.Service("inside"); s.User != "daemon" || fmt.Sprint(s.Listen, s.Command) != "[tcp://:7979] [/bin/cat /etc/motd]" || s.ACL != "anyone" || s.Profile != "classic" {
		t.Errorf("%+v", s)
	}
	if s := p.Service("talk"); s.Wait || s.ACL != "office" || s.Profile != "classic" || s.Limit != "classic" {
		t.Errorf("%+v", s)
	}
	if s := p.Service("echoes"); s.Builtin != "" || s.Wait || s.Command[0] != "/bin/cat" || s.User != "daemon" || s.Profile != "classic" || len(s.EnvStyle) == 0 {
		t.Errorf("%+v", s)
	}
	if p.Service("finger-tcp") == nil || p.Service("telnet") != nil || p.Service("echo") != nil || len(p.Services) != 5 {
		t.Errorf("%d services", len(p.Services))
	}
	for path, want := range map[string]string{
		"services.far":              "p.cm.hcl:7:1",
		"services.far.user":         "/etc/inetd.conf:1:29",
		"services.far.acl":          "p.cm.hcl:9:13",
		"services.far.wait":         "/etc/inetd.conf:1:19",
		"limits.far.rate":           "/etc/inetd.conf:1:26",
		"limits.far.session_ns":     "shipped/base.cm.hcl:22:16",
		"services.inside.command.1": "p.cm.hcl:16:26",
		"services.inside.listen.0":  "p.cm.hcl:18:14",
	} {
		if got := doc.Origins.Lookup(path); got != want {
			t.Errorf("%s is from %s, want %s", path, got, want)
		}
	}
}

// TestLimitsOfEntries: of each number, the smaller of the entry's and the named limit's holds, and
// the entry's where no limit is named.
func TestLimitsOfEntries(t *testing.T) {
	doc := mustTable(t, `inetd {
  acl   = acl.anyone
  limit = limit.few
}
limit "few" {
  concurrent = 5
  rate       = "30/min"
  burst      = 7
  per_source { concurrent = 2 }
}
`, `7001 stream tcp nowait/9/100/1 nobody /bin/cat cat
7002 stream tcp nowait/3 nobody /bin/cat cat
7003 stream tcp nowait/0/0/0 nobody /bin/cat cat
7004 dgram udp wait nobody /bin/cat cat
`)
	plain := mustTable(t, anyEntry, "7001 stream tcp nowait.400 nobody /bin/cat cat\n7002 stream tcp nowait nobody /bin/cat cat\n7003 dgram udp wait.9 nobody /bin/cat cat\n")
	for name, want := range map[string]string{"port-7001": "128 400/1m0s 400", "port-7002": "128 256/1m0s 256", "port-7003": "0 9/1m0s 9"} {
		l := plain.Policy.Limit(plain.Policy.Service(name).Limit)
		if got := fmt.Sprintf("%d %d/%s %d", l.Concurrent, l.Rate.Events, l.Rate.Per, l.Burst); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"port-7001": "port-7001 5 30/1m0s 7 | 1 100/1m0s 100",
		"port-7002": "port-7002 3 30/1m0s 7 | 2 0/0s 0",
		"port-7003": "few 5 30/1m0s 7 | 2 0/0s 0",
		"port-7004": "wait 0 50/1s 100 | 0 0/0s 0",
	} {
		l := doc.Policy.Limit(doc.Policy.Service(name).Limit)
		s := l.PerSource
		if got := fmt.Sprintf("%s %d %d/%s %d | %d %d/%s %d", l.Name, l.Concurrent, l.Rate.Events, l.Rate.Per, l.Burst, s.Concurrent, s.Rate.Events, s.Rate.Per, s.Burst); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := doc.Origins["limits.port-7001.per_source.rate"]; got != "/etc/inetd.conf:1:26" {
		t.Errorf("per_source.rate is from %s", got)
	}
	if got := doc.Origins["limits.port-7001.concurrent"]; got != "p.cm.hcl:7:16" {
		t.Errorf("concurrent is from %s", got)
	}
}

// TestEntryDiagnostics: each mistake has one finding, where it stands, with a next step.
func TestEntryDiagnostics(t *testing.T) {
	const cat, tail = "7001 stream tcp nowait nobody /bin/cat cat\n", " nowait nobody /bin/cat cat\n"
	block := func(extends string) string {
		return anyEntry + "service \"x\" {\n  extends = " + extends + "\n}\n"
	}
	for _, tt := range []struct{ name, text, conf, code, at, summary, next string }{
		{"nothing says who", "", cat, codeMissing, "/etc/inetd.conf:1", `nothing says who may connect`, "inetd { acl = acl.anyone }"},
		{"nothing says who, in the block", "inetd {}\n", cat, codeMissing, "p.cm.hcl:2", "nothing says who may connect", "acl = acl.anyone"},
		{"refused", "inetd {\n  unextended = \"refuse\"\n}\n", cat, codeMissing, "/etc/inetd.conf:1", `no service extends "7001/tcp"`, `write service "port-7001" { extends = "7001/tcp" ... }`},
		{"no such entry", block(`"7010/tcp"`), cat, codeReference, "p.cm.hcl:4", `no entry is "7010/tcp"`, `did you mean "7001/tcp"?`},
		{"no protocol", block(`"7001"`), cat, codeReference, "p.cm.hcl:4", `no entry is "7001"`, `did you mean "7001/tcp"?`},
		{"not a text", block(`7001`), cat, codeType, "p.cm.hcl:4", "extends must be", `extends = "7001"`},
		{"ambiguous", block(`"7001/tcp"`), "127.0.0.1:" + cat + "127.0.0.2:" + cat, codeReference, "p.cm.hcl:4", `2 entries are "7001/tcp"`, `write one of them: "127.0.0.1:7001/tcp" at /etc/inetd.conf:1:1`},
		{"extended twice", block(`"7001/tcp"`) + "service \"y\" {\n  extends = \"7001/tcp\"\n}\n", cat, codeDuplicate, "p.cm.hcl:7", `service "x" extends "7001/tcp" already`, "p.cm.hcl:3:1"},
		{"forgotten extends", anyEntry + one("")[len(head):], strings.Replace(cat, "7001", "79", 1), codeMeaning, "p.cm.hcl:4", "already taken", "/etc/inetd.conf:1:1"},
		{"name of a block", anyEntry + strings.Replace(one("")[len(head):], `"s"`, `"finger"`, 1), "127.0.0.1:finger dgram udp wait nobody /bin/cat cat\n", codeDuplicate, "/etc/inetd.conf:1", `service "finger" does not extend the entry of its name`, `write extends = "finger/udp" there`},
		{"acl of wait", "acl \"a\" {\n}\ninetd { acl = acl.a }\n", "7001 dgram udp wait nobody /bin/cat cat\n", codeMeaning, "/etc/inetd.conf:1", `acl of inetd is not enforceable for "7001/udp"`, "wait = false"},
		{"unknown port", anyEntry, "fingre stream tcp" + tail, codeEntry, "/etc/inetd.conf:1", `port "fingre" is not known`, `did you mean "finger"`},
		{"no port", anyEntry, "70000 stream tcp" + tail, codeEntry, "/etc/inetd.conf:1", "there is no port 70000", ""},
		{"host name", anyEntry, "www.example.org:79 stream tcp" + tail, codeEntry, "/etc/inetd.conf:1", `"www.example.org" is no address`, ""},
		{"wrong family", anyEntry, "[2001:db8::1]:79 stream tcp4" + tail, codeValue, "/etc/inetd.conf:1", "2001:db8::1 cannot be listened on by tcp4", ""},
		{"unclean path", anyEntry, "79 stream tcp nowait nobody /bin/../cat cat\n", codeMeaning, "/etc/inetd.conf:1", "not an absolute, clean path", ""},
		{"syntax", anyEntry, cat + "finger strem tcp" + tail, codeEntry, "/etc/inetd.conf:2", `no type of socket "strem"`, "did you mean stream?"},
		{"extends what cannot be read", block(`"finger/tcp"`), "finger strem tcp" + tail, codeEntry, "/etc/inetd.conf:1", `no type of socket "strem"`, ""},
		{"two blocks", anyEntry + anyEntry, cat, codeDuplicate, "p.cm.hcl:3", "the inetd block is there twice", ""},
		{"dialect", "inetd {\n  acl = acl.anyone\n  dialect = \"opendsb\"\n}\n", cat, codeValue, "p.cm.hcl:4", `"opendsb" is not known`, "did you mean openbsd?"},
		{"unextended", "inetd {\n  acl = acl.anyone\n  unextended = \"deny\"\n}\n", cat, codeValue, "p.cm.hcl:4", `"deny" is not known`, "refuse"},
		{"attribute", "inetd {\n  acl = acl.anyone\n  profil = profile.line\n}\n", cat, codeAttr, "p.cm.hcl:4", `no attribute "profil"`, "did you mean profile?"},
		{"unserved", anyEntry, cat + "rstatd/1-3 dgram rpc/udp wait nobody /d d\n", codeUnserved, "/etc/inetd.conf:2", "is not served", ""},
		{"behind tcpd", anyEntry, "telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd\nfinger stream tcp nowait nobody /usr/sbin/tcpd in.fingerd\n", codeLoss, "/etc/inetd.conf:1", `"telnet/tcp" and 1 more stand behind tcpd`, "hosts_access = true"},
		{"loss", anyEntry, "finger stream tcp nowait nobody/daemon /d d\n", codeLoss, "/etc/inetd.conf:1", "login class", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + tt.text)}}
			if tt.conf != "" {
				files = append(files, policy.SourceFile{Name: "/etc/inetd.conf", Data: []byte(tt.conf)})
			}
			doc, ds := Compile(files)
			if warning := tt.code == codeUnserved || tt.code == codeLoss; (doc != nil) != warning {
				t.Errorf("document: %v", doc != nil)
			}
			if len(ds) != 1 {
				t.Fatalf("%d findings: %s", len(ds), show(ds))
			}
			if d := ds[0]; d.Code != tt.code || fmt.Sprintf("%s:%d", d.File, d.Line) != tt.at || !strings.Contains(d.Summary, tt.summary) || !strings.Contains(d.Detail, tt.next) {
				t.Errorf("got %s\nwant %s at %s: %s: %s", show(ds), tt.code, tt.at, tt.summary, tt.next)
			}
		})
	}
	if doc, ds := withTable(block(`"rstatd/rpc/udp"`), cat+"rstatd/1-3 dgram rpc/udp wait nobody /d d\n"); doc != nil || len(ds) != 2 || !strings.Contains(ds[1].Summary, "the entry at /etc/inetd.conf:2:1 cannot be extended: rstatd/rpc/udp is not served") {
		t.Error(show(ds))
	}
	if _, ds := Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + block(`"7001/tcp"`))}}); len(ds) != 1 || !strings.Contains(ds[0].Summary, "no inetd.conf is among the sources") {
		t.Error(show(ds))
	}
	if _, ds := Compile([]policy.SourceFile{{Name: "/etc/inetd.conf", Data: []byte(cat)}}); len(ds) == 0 || !strings.Contains(show(ds), "name a file of the policy beside it") {
		t.Error(show(ds))
	}
}

// TestHostsAccess: hosts.allow and hosts.deny decide for each entry as tcpd would, and
// explain their lines.
func TestHostsAccess(t *testing.T) {
	compiled := func(text, allow, deny string) (*policy.Document, []policy.Diagnostic) {
		files := []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + text)}, {Name: "/etc/inetd.conf", Data: []byte(`telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd
finger stream tcp nowait nobody /usr/sbin/tcpd in.fingerd
ident stream tcp nowait nobody /usr/sbin/identd identd
echo stream tcp nowait root internal
`)}}
		if allow != "" {
			files = append(files, policy.SourceFile{Name: "/etc/hosts.allow", Data: []byte(allow)})
		}
		if deny != "" {
			files = append(files, policy.SourceFile{Name: "/etc/hosts.deny", Data: []byte(deny)})
		}
		return Compile(files)
	}
	const asked = "inetd { hosts_access = true }\n"
	doc, ds := compiled(asked+"service \"open\" {\n  extends = \"echo/tcp\"\n  acl = acl.anyone\n}\n", "in.telnetd: 192.0.2.\n113: 198.51.100.7\n", "# all else\nALL: ALL\n")
	if doc == nil {
		t.Fatal(show(ds))
	}
	p := doc.Policy
	for name, want := range map[string]string{
		"telnet": "hosts-in-telnetd allow [192.0.2.0/24] deny [any]",
		"finger": "hosts-in-fingerd deny [any]",
		"ident":  "hosts-identd allow [198.51.100.7] deny [any]",
		"open":   "anyone allow [any]",
	} {
		l := p.ACL(p.Service(name).ACL)
		got := l.Name
		for _, r := range l.Rules {
			got += fmt.Sprintf(" %s %v", r.Verdict, r.From)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for path, want := range map[string]string{
		"acls.hosts-in-telnetd.rules.0": "/etc/hosts.allow:1:1",
		"acls.hosts-in-telnetd.rules.1": "/etc/hosts.deny:2:1",
		"services.telnet.acl":           "p.cm.hcl:2:24",
	} {
		if got := doc.Origins.Lookup(path); got != want {
			t.Errorf("%s is from %s, want %s", path, got, want)
		}
	}
	for word, want := range map[string]string{`"compatible"`: `"compatible" is not known`, "1": `must be true, false, "strict" or "compat"`} {
		if doc, ds := compiled(strings.Replace(asked, "true", word, 1), "", "ALL: ALL\n"); doc != nil || !strings.Contains(show(ds), want) {
			t.Errorf("%s: %s", word, show(ds))
		}
	}
	for _, tt := range []struct{ text, allow, deny, at, summary string }{
		{asked, "", "", "p.cm.hcl:2", "neither hosts.allow nor hosts.deny is among the sources"},
		{anyEntry, "", "ALL: ALL\n", "/etc/hosts.deny:1", "nothing asks /etc/hosts.deny"},
		{"inetd {\n  acl = acl.anyone\n  hosts_access = true\n}\n", "", "ALL: ALL\n", "p.cm.hcl:4", "acl and hosts_access both say"},
		{asked, "ALL: @group\n", "ALL: ALL\n", "/etc/hosts.allow:1", "@group"},
		{strings.Replace(asked, "true", `"strict"`, 1), "ALL: LOCAL, 10.1.2.3/8: spawn x\n", "ALL: ALL\n", "/etc/hosts.allow:1",
			`option "spawn" is not carried over; "LOCAL" stands for names without a dot; "10.1.2.3/8" has bits of a host in it`},
	} {
		doc, ds := compiled(tt.text, tt.allow, tt.deny)
		if doc != nil || len(ds) == 0 || fmt.Sprintf("%s:%d", ds[0].File, ds[0].Line) != tt.at || !strings.Contains(ds[0].Summary, tt.summary) {
			t.Errorf("want %s at %s: %s", tt.summary, tt.at, show(ds))
		}
	}
}

// TestIncludedTables: what an inetd.conf includes is one as well, whatever it is called.
func TestIncludedTables(t *testing.T) {
	files := []policy.SourceFile{{Name: "/etc/casemate/p.cm.hcl", Data: []byte(head + anyEntry)}, {Name: "/etc/inetd.conf", Data: []byte(".include inetd/*.conf\n")},
		{Name: "/etc/inetd/a.conf", Data: []byte("7001 stream tcp nowait daemon /bin/cat cat\n.include more\n")}, {Name: "/etc/inetd/more", Data: []byte("7002 stream tcp nowait daemon /bin/cat cat\n")}}
	doc, ds := Compile(files)
	if doc == nil || doc.Policy.Service("port-7001") == nil || doc.Policy.Service("port-7002") == nil || doc.Origins["services.port-7002"] != "/etc/inetd/more:1:1" {
		t.Error(show(ds))
	}
	if doc, ds := Compile(files[:3]); doc != nil || len(ds) != 1 || ds[0].File != "/etc/inetd/a.conf" || !strings.Contains(ds[0].Summary, "no source is /etc/inetd/more") {
		t.Error(show(ds))
	}
}

// TestServicesFile: the host's own names of ports count where they are among the sources, by
// protocol; else the shipped ones do, and what differs on a host is said.
func TestServicesFile(t *testing.T) {
	text := head + anyEntry + "service \"own\" {\n  listen = [\"tcp://:finger\", \"udp://:local\"]\n  command = [\"/bin/cat\"]\n  user = \"dynamic\"\n  acl = acl.anyone\n}\n"
	files := []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text)}, {Name: "inetd.conf", Data: []byte("local stream tcp nowait daemon /bin/cat cat\n")},
		{Name: "/etc/services", Data: []byte("finger 7979/tcp\nlocal 7001/tcp\nlocal 7002/udp\n")}, {Name: "/etc/protocols", Data: []byte("tcp 6 TCP\n")}}
	doc, ds := Compile(files)
	if doc == nil {
		t.Fatal(show(ds))
	}
	if got := fmt.Sprint(doc.Policy.Service("own").Listen, doc.Policy.Service("local").Listen); got != "[tcp://:7979 udp://:7002] [tcp://:7001]" {
		t.Error(got)
	}
	files[2].Data = []byte("finger 7979/tcp\nlocal 7002/udp\n")
	if doc, ds := Compile(files); doc != nil || ds[0].Code != codeEntry || !strings.Contains(show(ds), "has it not") {
		t.Error(show(ds))
	}
	files[3].Data = []byte("tcp 17\n")
	if doc, ds := Compile(files[1:]); doc != nil || !strings.Contains(show(ds), "tcp has number 17 here, and is 6") {
		t.Error(show(ds))
	}
	plain := []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(strings.Replace(text, "udp://:local", "udp://:9", 1))}}
	if doc, ds := Compile(append(plain, policy.SourceFile{Name: "services", Data: []byte("finger 79/tcp\nbroken\n")})); doc == nil || len(ds) != 1 || ds[0].Code != codeLoss || ds[0].Line != 2 {
		t.Errorf("a line of services that says nothing: %s", show(ds))
	}
	got := HostServices(plain, []byte("finger 7979/tcp\ntelnet 9/tcp\n"))
	if len(got) != 1 || got[0].Code != codeHost || got[0].Severity != policy.SeverityWarning || got[0].Line != 4 || !strings.Contains(got[0].Summary, "finger/tcp is port 79 here, and 7979 in the services of this host") {
		t.Error(show(got))
	}
	if got := HostServices(plain, []byte("finger 79/tcp\n")); len(got) != 0 {
		t.Error(show(got))
	}
}

// TestTableIsBounded: the bounds of sources hold for an inetd.conf too, and one of
// errors alone is answered soon.
func TestTableIsBounded(t *testing.T) {
	if _, ds := withTable(anyEntry, strings.Repeat("#", input.MaxSourceFile+1)); len(ds) != 1 || ds[0].Code != codeSize {
		t.Error(show(ds))
	}
	const size = input.MaxSourceFile / 4
	start := time.Now()
	for _, conf := range []string{strings.Repeat("x\n", size/2), strings.Repeat("a on \n", size/6), "svc stream tcp nowait nobody /d d" + strings.Repeat("\n a", size/4),
		strings.Repeat("7 stream tcp nowait nobody /d\n", size/32), "s on args = " + strings.Repeat("\"a\" ", size/5)} {
		if doc, ds := withTable(anyEntry, conf); doc != nil || len(ds) == 0 || len(ds) > maxDiagnostics {
			t.Errorf("%.40q: %d findings", conf, len(ds))
		}
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("took %v", took)
	}
}

// bulkTable is an inetd.conf of 1,000 entries and a policy that extends 200 of them.
func bulkTable() []policy.SourceFile {
	var text, conf strings.Builder
	text.WriteString(head + anyEntry + "acl \"office\" {\n  allow { from = [\"192.0.2.0/24\"] }\n}\n")
	for i := range 1000 {
		fmt.Fprintf(&conf, "%d\tstream\ttcp\tnowait.%d\tdaemon\t/usr/sbin/tcpd\t/usr/sbin/in.d%d -x %d\n", 10000+i, 100+i, i, i)
		if i%5 == 0 {
			fmt.Fprintf(&text, "service \"s%d\" {\n  extends = \"%d/tcp\"\n  acl     = acl.office\n  profile = profile.line\n}\n", i, 10000+i)
		}
	}
	return []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text.String())}, {Name: "inetd.conf", Data: []byte(conf.String())}}
}

// BenchmarkCompileTable is check of 1,000 entries and 200 blocks that extend some.
func BenchmarkCompileTable(b *testing.B) {
	files := bulkTable()
	for b.Loop() {
		if doc, ds := Compile(files); doc == nil || len(doc.Policy.Services) != 1000 {
			b.Fatal(show(ds))
		}
	}
}

// FuzzTable: whatever an inetd.conf holds, the compiler answers with a document or with errors,
// and with the same ones again.
func FuzzTable(f *testing.F) {
	for _, conf := range []string{"telnet stream tcp nowait.40 root:adm /usr/sbin/tcpd in.telnetd -h\n", "[::1],*:7 dgram udp,sndbuf=4k wait:3 u:g/c internal\n127.0.0.1:\n",
		"a on bind = ::1, socktype = stream, protocol = tcp6, wait = no, user = u, exec = /d, args = d \"\\x41\";\n", ":u:g:0600:/x stream unix nowait/1/2/3 root /d d\n.include *\n"} {
		f.Add(conf, "ALL: ALL\n", "telnet 23/tcp\n")
	}
	f.Fuzz(func(t *testing.T, conf, deny, services string) {
		files := []policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(head + "inetd { hosts_access = true }\nservice \"x\" {\n  extends = \"telnet/tcp\"\n}\n")},
			{Name: "inetd.conf", Data: []byte(conf)}, {Name: "hosts.deny", Data: []byte(deny)}, {Name: "services", Data: []byte(services)}}
		doc, ds := Compile(files)
		if (doc == nil) != policy.HasErrors(ds) {
			t.Errorf("document %v: %s", doc != nil, show(ds))
		}
		if doc == nil {
			return
		}
		if again, _ := Compile(files); again.Digest != doc.Digest {
			t.Errorf("two digests of %q", conf)
		}
		b, err := canon.EncodeDocument(doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := canon.DecodeDocument(b); err != nil {
			t.Error(err)
		}
	})
}
