package lang

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"casemate/acl/limit"
	"casemate/policy"
)

// dropin are the blocks of a program that stands in for an inetd: what is usual, and what its
// flags say.
func dropin(usual, flags, site, conf string) []policy.SourceFile {
	files := []policy.SourceFile{{Name: "/etc/inetd.conf", Data: []byte(conf)}}
	for name, block := range map[string]string{"a.cm.hcl": usual, "b.cm.hcl": flags, "c.cm.hcl": site} {
		if block != "" {
			files = append(files, policy.SourceFile{Name: name, Data: []byte(head + block)})
		}
	}
	return files
}

const usualEntry = `inetd {
  yields           = true
  acl              = acl.anyone
  hosts_access     = "compat"
  hosts_access_for = ["tcpd"]
  unreadable       = "skip"
}
`

// TestInetdBlocksJoin: each file may have an inetd block; they agree, but for one that yields, of
// which the answer to who may connect yields as a whole.
func TestInetdBlocksJoin(t *testing.T) {
	const cat = "7001 stream tcp nowait nobody /bin/cat cat\n"
	const office = "acl \"office\" {\n  allow { from = [\"192.0.2.0/24\"] }\n}\n"
	for _, tt := range []struct{ name, flags, site, acl, err string }{
		{"the usual", "", "", "anyone", ""},
		{"the site's acl", "", office + "inetd { acl = acl.office }\n", "office", ""},
		{"a flag beside it", "inetd { concurrent = 3 }\n", office + "inetd { acl = acl.office }\n", "office", ""},
		{"the same twice", "inetd { acl = acl.anyone }\n", "inetd { acl = acl.anyone }\n", "anyone", ""},
		{"they disagree", "inetd { acl = acl.anyone }\n", office + "inetd { acl = acl.office }\n", "", "the inetd blocks disagree about acl"},
		{"blocks in them", "inetd {\n  per_source { concurrent = 3 }\n}\n", "inetd {\n  per_source { concurrent = 4 }\n}\n", "", "per_source of inetd is there twice"},
	} {
		doc, ds := Compile(dropin(usualEntry, tt.flags, tt.site, cat))
		switch {
		case tt.err != "":
			if doc != nil || !strings.Contains(show(ds), tt.err) {
				t.Errorf("%s: %s", tt.name, show(ds))
			}
		case doc == nil:
			t.Errorf("%s: %s", tt.name, show(ds))
		case doc.Policy.Service("port-7001").ACL != tt.acl:
			t.Errorf("%s: acl %q", tt.name, doc.Policy.Service("port-7001").ACL)
		}
	}
}

// TestHostsAccessFor: hosts.allow and hosts.deny decide for those entries that it names, and
// the acl for the others.
func TestHostsAccessFor(t *testing.T) {
	const conf = `7001 stream tcp nowait nobody /usr/sbin/tcpd /bin/cat
7002 stream tcp nowait nobody /bin/cat cat
echo stream tcp nowait root internal
`
	for _, tt := range []struct{ words, asked string }{
		{`["tcpd"]`, "7001"}, {`["programs"]`, "7001 7002"}, {`["internal"]`, "echo"}, {`["internal", "tcpd"]`, "7001 echo"},
	} {
		files := append(dropin("inetd {\n  acl = acl.anyone\n  hosts_access = true\n  hosts_access_for = "+tt.words+"\n}\n", "", "", conf),
			policy.SourceFile{Name: "/etc/hosts.deny", Data: []byte("ALL: ALL\n")})
		doc, ds := Compile(files)
		if doc == nil {
			t.Fatal(show(ds))
		}
		for key, name := range map[string]string{"7001": "port-7001", "7002": "port-7002", "echo": "echo"} {
			if s := doc.Policy.Service(name); strings.Contains(tt.asked, key) == (s.ACL == "anyone") {
				t.Errorf("%s: %s has acl %q", tt.words, name, s.ACL)
			}
		}
	}
	// Without both files everybody is admitted, as by tcpd, where the block yields.
	if doc, ds := Compile(dropin(usualEntry, "", "", conf)); doc == nil {
		t.Error(show(ds))
	}
}

// TestNumbersOfEntries: the numbers of the inetd block are those of entries that write none,
// whatever they run; a limit that a block names keeps its smaller ones.
func TestNumbersOfEntries(t *testing.T) {
	flags := `inetd {
  rate       = "40/min"
  concurrent = 7
  address    = "127.0.0.1"
  backlog    = 5
  per_source {
    concurrent = 2
    rate       = "10/s"
  }
}
`
	site := "service \"own\" {\n  extends = \"7003/tcp\"\n  limit = limit.own\n}\nlimit \"own\" {\n  concurrent = 3\n  rate = \"90/min\"\n}\n"
	files := dropin(usualEntry, flags, site, `7001 stream tcp nowait nobody /bin/cat cat
7002 stream tcp nowait.90 nobody /bin/cat cat
7003 stream tcp nowait nobody /bin/cat cat
7004 dgram udp wait nobody /bin/cat cat
127.0.0.2:7005 stream tcp nowait nobody /bin/cat cat
echo stream tcp nowait root internal
`)
	doc, ds := Compile(files)
	if doc == nil {
		t.Fatal(show(ds))
	}
	for _, tt := range []struct {
		service string
		rate    limit.Rate
		burst   int
		both    [2]int
	}{
		{"port-7001", limit.Rate{Events: 40, Per: time.Minute}, 40, [2]int{7, 2}},
		{"port-7002", limit.Rate{Events: 90, Per: time.Minute}, 90, [2]int{7, 2}},
		{"own", limit.Rate{Events: 40, Per: time.Minute}, 40, [2]int{3, 2}},
		{"port-7004", limit.Rate{Events: 40, Per: time.Minute}, 40, [2]int{0, 0}},
		{"echo", limit.Rate{Events: 40, Per: time.Minute}, 40, [2]int{7, 2}},
	} {
		s := doc.Policy.Service(tt.service)
		l := doc.Policy.Limit(s.Limit)
		if l.Rate != tt.rate || l.Burst != tt.burst || [2]int{l.Concurrent, l.PerSource.Concurrent} != tt.both {
			t.Errorf("%s: %+v, want %+v", tt.service, *l, tt)
		}
		if got := s.Listen[0].Addr.String(); got != "127.0.0.1" {
			t.Errorf("%s listens at %s", tt.service, got)
		}
		if stream := tt.service != "port-7004"; (s.Socket.Backlog == 5) != stream {
			t.Errorf("%s: backlog %d", tt.service, s.Socket.Backlog)
		}
	}
	if s := doc.Policy.Service("port-7005"); s.Listen[0].Addr.String() != "127.0.0.2" {
		t.Errorf("an address of its own: %v", s.Listen)
	}
	if at := doc.Origins["limits.port-7001.per_source.rate"]; at != "b.cm.hcl:9:18" {
		t.Errorf("the number of a flag is from %s", at)
	}
}

// TestUnreadableSkips: what an inetd would pass over is a warning and is not served; a block that
// extends it, and a line that others depend on, are errors as ever.
func TestUnreadableSkips(t *testing.T) {
	const cat = "7001 stream tcp nowait nobody /bin/cat cat\n"
	for _, tt := range []struct{ name, bad, says string }{
		{"too short", "finger stream tcp nowait\n", "this line is not served: the entry has 4 words"},
		{"a word", "finger strem tcp nowait nobody /bin/cat cat\n", "this line is not served: there is no type of socket"},
		{"a comment", "  # indented\n", "not served: a comment begins in the first column"},
		{"a port", "fingre stream tcp nowait nobody /bin/cat cat\n", `this entry is not served: port "fingre" is not known`},
		{"a host", "www.example.org:79 stream tcp nowait nobody /bin/cat cat\n", "this entry is not served: \"www.example.org\" is no address"},
		{"a path", "79 stream tcp nowait nobody /bin/../cat cat\n", "not an absolute, clean path"},
		{"twice", cat, "this entry is not served"},
	} {
		doc, ds := Compile(dropin("inetd {\n  acl = acl.anyone\n  unreadable = \"skip\"\n}\n", "", "", cat+tt.bad+"7002 stream tcp nowait daemon /bin/cat cat\n"))
		if tt.name == "a comment" { // to others it goes on with the entry above
			doc, ds = Compile(dropin("inetd {\n  acl = acl.anyone\n  unreadable = \"skip\"\n  dialect = \"gnu\"\n}\n", "", "", cat+tt.bad+"7002 stream tcp nowait daemon /bin/cat cat\n"))
		}
		if doc == nil || len(ds) != 1 || !strings.Contains(ds[0].Summary, tt.says) || ds[0].Code != codeUnserved {
			t.Errorf("%s: %s", tt.name, show(ds))
			continue
		}
		names := ""
		for _, s := range doc.Policy.Services {
			names += s.Name + " "
		}
		if names != "port-7001 port-7002 " {
			t.Errorf("%s: serves %s", tt.name, names)
		}
	}
	skip := "inetd {\n  acl = acl.anyone\n  unreadable = \"skip\"\n}\n"
	for _, tt := range []struct{ name, text, conf, says string }{
		{"an address for those below", skip, "[::1:\n" + cat, "brackets"},
		{"extended, unreadable", skip + "service \"finger\" {\n  extends = \"finger/tcp\"\n}\n", "finger strem tcp nowait nobody /bin/cat cat\n", `no entry that can be read is "finger/tcp"`},
		{"extended, unservable", skip + "service \"x\" {\n  extends = \"fingre/tcp\"\n}\n", "fingre stream tcp nowait nobody /bin/cat cat\n", `port "fingre" is not known`},
		{"review wanted", strings.Replace(skip, "}", "  unextended = \"refuse\"\n}", 1), cat, "no service extends"},
	} {
		if doc, ds := withTable(tt.text, tt.conf); doc != nil || !strings.Contains(fmt.Sprint(show(ds)), tt.says) {
			t.Errorf("%s: document %v: %s", tt.name, doc != nil, show(ds))
		}
	}
	// Who admits some alone, and hands the socket over, is not served to all.
	files := append(dropin(usualEntry, "", "", "7003 dgram udp wait nobody /usr/sbin/tcpd /bin/cat\n"+cat),
		policy.SourceFile{Name: "/etc/hosts.deny", Data: []byte("ALL: ALL\n")})
	if doc, ds := Compile(files); doc == nil || doc.Policy.Service("port-7003") != nil || !strings.Contains(show(ds), "this entry is not served: hosts_access of inetd is not enforceable") {
		t.Error(show(ds))
	}
}
