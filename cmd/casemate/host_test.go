package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"casemate/cmd/casemate/facts"
	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/control"
	"casemate/policy/lang"
	"casemate/tests/need"
)

// TestHostReport: what a kernel lacks is told for each service, and a refusal is a no.
func TestHostReport(t *testing.T) {
	const text = `policy { edition = 1 }
profile "mail" {
  base    = profile.line
  widens  = ["network", "syscalls"]
  because = "delivers"
  network {
    mode = "host"
    connect = [25]
  }
  syscalls { allow = ["@socket-client"] }
}
profile "mail-anyhow" {
  base        = profile.mail
  best_effort = ["landlock.net", "landlock.scopes"]
}
service "a-line" {
  listen  = ["tcp://:7001"]
  command = ["/bin/cat"]
  user    = "nobody"
  profile = profile.line
}
service "b-mail" {
  listen  = ["tcp://:7002"]
  command = ["/bin/cat"]
  user    = "nobody"
  profile = profile.mail
}
service "c-anyhow" {
  listen  = ["tcp://:7003"]
  command = ["/bin/cat"]
  user    = "nobody"
  profile = profile.mail-anyhow
}
service "d-daytime" {
  listen  = ["tcp://:7004", "udp://:7004"]
  builtin = "daytime"
}
`
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte(text)}})
	if doc == nil {
		t.Fatal(ds)
	}
	for _, c := range []struct {
		abi           int
		refused, lost string // names of services
	}{
		{0, "a-line b-mail c-anyhow d-daytime", ""},
		{2, "b-mail", "c-anyhow"},
		{5, "b-mail", "c-anyhow"},
		{6, "", ""},
	} {
		h := onKernel(doc.Policy, c.abi)
		var refused, lost []string
		for _, s := range h.Services {
			if s.Refused != "" {
				refused = append(refused, s.Name)
			}
			if len(s.Losses) > 0 {
				lost = append(lost, s.Name)
			}
		}
		if strings.Join(refused, " ") != c.refused || strings.Join(lost, " ") != c.lost || (h.answer() == nil) != (c.refused == "") {
			t.Errorf("ABI %d: refused %q, lost %q (%v): %+v", c.abi, refused, lost, h.answer(), h.Services)
		}
	}
}

// hosted is a policy of one service with the lines of its block, and what else is there.
func hosted(t *testing.T, n *facts.Net, lines, more string) []string {
	t.Helper()
	text := "policy { edition = 1 }\nservice \"s\" {\n" + lines + "\n}\n" + more
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p", Data: []byte(text)}})
	if doc == nil {
		t.Fatalf("%s: %+v", text, ds)
	}
	var out []string
	h := facts.Gather(n, workerPath())
	found := faultsOf(doc.Policy, h)
	libs := libraryFaults(doc.Policy, h, found)
	var file bytes.Buffer
	if err := h.Write(&file); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := facts.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if again := faultsOf(doc.Policy, elsewhere); !slices.Equal(again, found) || !slices.Equal(libraryFaults(doc.Policy, elsewhere, again), libs) {
		t.Errorf("from a file of facts %+v, on the host %+v", again, found)
	}
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s: %s; %s; %v", doc.Origins.Lookup(f.Path), f.Summary, f.Next, f.Unsure))
	}
	return out
}

// TestHostFaults: what casemated would refuse is told at the line that asks for it, with
// what to do, and nothing of a policy that this host can serve.
func TestHostFaults(t *testing.T) {
	n := facts.ReadNet()
	const head = "listen = [\"unix:/run/nobody-s.sock\"]\nuser = \"nobody\"\n"
	const dynamic = "listen = [\"unix:/run/nobody-s.sock\"]\nuser = \"dynamic\"\n"
	for _, c := range []struct {
		name, lines, more string
		want              []string // each in one fault; none is none
	}{
		{"well", head + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", nil},
		{"a built-in", `listen = ["udp://127.0.0.1:1"]` + "\nbuiltin = \"echo\"", "", nil},
		{"no such program", head + `command = ["/bin/nothing-here"]` + "\nprofile = profile.line", "", []string{"p:5:12: ", "no such file", "name one that this host has"}},
		{"not a program", head + `command = ["/etc/passwd"]` + "\nprofile = profile.line", "", []string{"p:5:12: ", "not executable; run chmod a+x /etc/passwd"}},
		{"a directory", head + `command = ["/etc"]` + "\nprofile = profile.line", "", []string{"p:5:12: ", "not a regular file"}},
		{"no loader inside", head + `command = ["/bin/sh"]` + "\nprofile = profile.strict", "", []string{"p:5:12: ", "its dynamic loader", "take profile.line or profile.server"}},
		{"no such user", strings.Replace(head, "nobody\"", "nosuchuser\"", 1) + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", []string{"p:4:8: ", `user "nosuchuser" is not in /etc/passwd`, "add it"}},
		{"no such group", head + "group = \"nosuchgroup\"\n" + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", []string{"p:5:9: ", `group "nosuchgroup" is not in /etc/group`}},
		{"no such group among others", dynamic + "groups = [\"mail\", \"nosuchgroup\"]\n" + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", []string{"p:5:19: ", `group "nosuchgroup"`}},
		{"no such owner", head + "socket {\nowner = \"nosuchuser\"\n}\n" + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", []string{"p:6:9: ", `user "nosuchuser"`}},
		{"no such directory", strings.Replace(head, "/run/", "/run/nowhere-at-all/", 1) + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", []string{"p:3:11: ", "/run/nowhere-at-all"}},
		{"a missing path", head + `command = ["/bin/cat"]` + "\nprofile = profile.p", "profile \"p\" {\nbase = profile.line\nwidens = [\"files\"]\nfiles {\nread = [\"/etc/passwd\", \"/nothing-here\"]\nwrite = [\"/nor-here\"]\n}\n}",
			[]string{"p:12:24: ", "read /nothing-here", "files { optional }", "p:13:10: ", "write /nor-here"}},
		{"an optional one", head + `command = ["/bin/cat"]` + "\nprofile = profile.p", "profile \"p\" {\nbase = profile.line\nfiles {\nread = [\"/nothing-here\"]\noptional = [\"/nothing-here\"]\n}\n}", nil},
		{"a script that is not shown", head + `command = ["/usr/bin/perl", "-w", "/etc/passwd"]` + "\nprofile = profile.perl", "", []string{"p:5:35: ", "is to run /etc/passwd, which profile \"perl\" does not show", `read = ["/etc/passwd"]`, "true"}},
		{"one that is", head + `command = ["/usr/bin/perl", "/etc/passwd"]` + "\nprofile = profile.p", "profile \"p\" {\nbase = profile.perl\nwidens = [\"files\"]\nfiles {\nread = [\"/etc/passwd\"]\n}\n}", nil},
		{"one that is not there", head + `command = ["/usr/bin/perl", "/etc/nothing-here.pl"]` + "\nprofile = profile.perl", "", nil},
		{"an address of another host", strings.Replace(head, "unix:/run/nobody-s.sock", "tcp://192.0.2.77:7979", 1) + `command = ["/bin/cat"]` + "\nprofile = profile.line", "", []string{"p:3:11: ", "does not have that address", "false"}},
	} {
		got := hosted(t, n, c.lines, c.more)
		all := strings.Join(got, "\n")
		for _, want := range c.want {
			if !strings.Contains(all, want) {
				t.Errorf("%s: %q, want %q", c.name, all, want)
			}
		}
		if c.want == nil && len(got) > 0 || len(got) > 2 {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// TestHostState: a state directory on a file system that maps no ids is told of, for who has one.
func TestHostState(t *testing.T) {
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p", Data: []byte("policy { edition = 1 }\nprofile \"kept\" {\n  base = profile.line\n  widens = [\"files\"]\n  files { state = true }\n}\n" +
		"service \"s\" {\n  listen = [\"unix:/run/nobody-v.sock\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  profile = profile.kept\n}\n" +
		"service \"other\" {\n  listen = [\"unix:/run/nobody-w.sock\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  profile = profile.line\n}\n")}})
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	for of, want := range map[string]int{"9p": 1, "": 0} {
		h := facts.Gather(&facts.Net{}, "")
		h.StateFS = of
		found := faultsOf(doc.Policy, h)
		if len(found) != want || want == 1 && (found[0].Path != "profiles.kept.files.state" || !found[0].Unsure || !strings.Contains(found[0].Summary, "is on 9p, whose mounts map no ids")) {
			t.Errorf("%q: %+v", of, found)
		}
	}
}

// TestHostVsock: a vsock that no transport serves is told of, by check and by status; where there is one, or nobody knows, it is not.
func TestHostVsock(t *testing.T) {
	doc, ds := lang.Compile([]policy.SourceFile{{Name: "p", Data: []byte("policy { edition = 1 }\nservice \"v\" {\n  listen = [\"vsock:7979\", \"unix:/run/nobody-v.sock\"]\n  command = [\"/bin/cat\"]\n  user = \"nobody\"\n  profile = profile.line\n}\n")}})
	if doc == nil {
		t.Fatalf("%+v", ds)
	}
	for of, want := range map[string]int{facts.NoVsock: 1, "": 0, "2": 0} {
		h := facts.Gather(&facts.Net{}, "")
		h.Vsock = of
		found := faultsOf(doc.Policy, h)
		if len(found) != want || want == 1 && (found[0].Path != "services.v.listen.0" || !found[0].Unsure || !strings.Contains(found[0].Summary, "no transport for vsocks")) {
			t.Errorf("%q: %+v", of, found)
		}
	}
	var out bytes.Buffer
	(&app{out: &out}).unreached(&control.Status{Services: []control.ServiceStatus{{Name: "v", Listeners: []control.ListenerStatus{{Key: "vsock:7979"}, {Key: "udp4:127.0.0.1:1"}}}}})
	if got := out.String(); !strings.HasPrefix(got, "v: nobody comes to vsock:7979: this host has no transport") || strings.Count(got, "\n") != 1 {
		t.Errorf("status says %q", got)
	}
}

// TestHostScripts: the first line of a script is judged as casemated does. Only root can
// put a script where casemated would run it.
func TestHostScripts(t *testing.T) {
	need.Root(t, "puts programs of root's on the disk")
	dir, err := os.MkdirTemp("/var/tmp", "casemate-host-") // a private /tmp would hide it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "script")
	for _, c := range []struct{ name, first, profile, want string }{
		{"well", "#!/bin/sh\n", "server", ""},
		{"interpreter outside", "#!/usr/bin/perl\n", "line", "its interpreter /usr/bin/perl cannot be executed inside; take profile.server"},
		{"carriage return", "#!/bin/sh\r\n", "server", "carriage return; end its lines"},
		{"no first line", "echo hello\n", "server", "neither an ELF program of 64 bits nor a script; give a script its first line"},
		{"no interpreter", "#!/usr/bin/nothing-here\n", "server", `its interpreter \"/usr/bin/nothing-here\"`},
		{"a relative one", "#!sh\n", "server", "names no interpreter by an absolute path"},
		{"not root's", "#!/bin/sh\n", "server", "belongs to uid 65534"},
	} {
		err := os.WriteFile(name, []byte(c.first), 0o755)
		if c.name == "not root's" {
			err = errors.Join(err, os.Chown(name, 65534, 65534))
		}
		if err != nil {
			t.Fatal(err)
		}
		got := hosted(t, &facts.Net{}, "listen = [\"udp://127.0.0.1:1\"]\nuser = \"nobody\"\ncommand = [\""+name+"\"]\nprofile = profile."+c.profile, "")
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], "p:5:12: ") || !strings.Contains(strings.ReplaceAll(got[0], `"`, `\"`), c.want)) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestHostAddresses: what another process has is told with who has it, of each network
// that the kernel would refuse beside it; what casemated has is its own to keep.
func TestHostAddresses(t *testing.T) {
	const program = "\nuser = \"nobody\"\ncommand = [\"/bin/cat\"]\nprofile = profile.line\n"
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	abstract, err := net.Listen("unix", fmt.Sprintf("@casemate-host-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	_, tcpPort, _ := net.SplitHostPort(tcp.Addr().String())
	_, udpPort, _ := net.SplitHostPort(udp.LocalAddr().String())
	seen := facts.ReadNet()
	mine := fmt.Sprintf("(pid %d)", os.Getpid())
	for _, c := range []struct {
		listen string
		taken  bool
	}{
		{"tcp4://127.0.0.1:" + tcpPort, true},
		{"tcp://:" + tcpPort, true},
		{"tcp4://127.0.0.2:" + tcpPort, false},
		{"tcp6://[::1]:" + tcpPort, false},
		{"udp4://127.0.0.1:" + udpPort, true},
		{"unix:" + abstract.Addr().String(), true},
		{"unix:" + abstract.Addr().String() + "x", false},
	} {
		got := strings.Join(hosted(t, seen, `listen = ["`+c.listen+`"]`+program, ""), "\n")
		if c.taken != strings.Contains(got, mine) || c.taken && (!strings.HasPrefix(got, "p:3:11: ") || !strings.HasSuffix(got, "false")) {
			t.Errorf("%s: %q, taken %v", c.listen, got, c.taken)
		}
	}
}

// TestHostPages: the examples of what is found on hosts.
func TestHostPages(t *testing.T) {
	for _, code := range []string{"CM601", "CM602", "CM604"} {
		rule, err := codes.Find(code)
		if err != nil {
			t.Fatal(err)
		}
		page := rule.Page()
		for _, side := range []struct {
			files []codes.File
			found bool
		}{{page.Bad, true}, {page.Good, false}} {
			if len(side.files) == 0 {
				continue
			}
			doc, ds := lang.Compile([]policy.SourceFile{{Name: "p", Data: []byte(side.files[0].Text)}})
			if doc == nil {
				t.Fatalf("%s: %+v", code, ds)
			}
			h, err := facts.Read(strings.NewReader(side.files[1].Text))
			if err != nil {
				t.Fatalf("%s: %v", code, err)
			}
			got := hostFindings(h, doc, nil)
			if slices.ContainsFunc(got, func(d policy.Diagnostic) bool { return d.Code == code && d.Severity == rule.Severity }) != side.found {
				t.Errorf("%s, found %v: %+v", code, side.found, got)
			}
		}
	}
}

// TestHostLibraryPage: the example of a library that is not found, on this host.
func TestHostLibraryPage(t *testing.T) {
	h := facts.Gather(&facts.Net{}, "")
	if _, _, err := h.Interpreted(nil, "/usr/bin/env"); err != nil {
		need.Skip(t, "the programs of this host are not glibc's")
	}
	rule, err := codes.Find("CM603")
	if err != nil {
		t.Fatal(err)
	}
	page := rule.Page()
	for i, side := range [][]codes.File{page.Bad, page.Good} {
		doc, ds := lang.Compile([]policy.SourceFile{{Name: "p", Data: []byte(side[0].Text)}})
		if doc == nil {
			t.Fatal(ds)
		}
		if got := libraryFaults(doc.Policy, h, nil); (len(got) > 0) != (i == 0) {
			t.Errorf("example %d: %+v", i, got)
		}
	}
}
