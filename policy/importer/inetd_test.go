package importer

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/policy"
	"casemate/policy/hostsaccess"
	"casemate/policy/hostsaccess/fuzzed"
	"casemate/policy/inetd"
	"casemate/policy/lang"
)

func importI(t *testing.T, text string, hosts *Hosts) (*Result, *policy.Policy) {
	t.Helper()
	r, err := Inetd([]inetd.Source{{Name: "inetd.conf", Data: []byte(text)}}, "", Facts{Hosts: hosts})
	return r, compiled(t, r, err)
}

// TestInetdEntries: what an entry says is in its service, or in the report.
func TestInetdEntries(t *testing.T) {
	for _, c := range []struct {
		line     string
		services int
		hcl      string
		report   string
	}{
		{"telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd -h", 1, `command = ["/usr/sbin/in.telnetd", "-h"]`, ""},
		{"telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd", 1, `because = "inetd.conf:1 has it run as root"`, ""},
		{"telnet stream tcp6 nowait root /usr/sbin/in.telnetd in.telnetd", 1, `["tcp6://:telnet"]`, ""},
		{"192.0.2.1,[2001:db8::1]:7971 stream tcp nowait nobody /bin/cat cat", 1, `["tcp4://192.0.2.1:7971", "tcp6://[2001:db8::1]:7971"]`, ""},
		{"localhost:7971 stream tcp nowait nobody /bin/cat cat", 1, `["tcp4://127.0.0.1:7971", "tcp6://[::1]:7971"]`, ""},
		{"host.example:7971 stream tcp nowait nobody /bin/cat cat", 0, "", "lost \"host.example\" is no address"},
		{"telnet stream tcp nowait.30 nobody /bin/cat cat", 1, "concurrent = 128\n  rate       = \"30/min\"\n  burst      = 30\n  penalty {", "note what is more than 30 a minute is shed"},
		{"telnet stream tcp nowait/5/60/2 nobody /bin/cat cat", 1, "concurrent = 5\n  rate       = \"256/min\"\n  burst      = 256\n  per_source {\n    concurrent = 2\n    rate       = \"60/min\"", ""},
		{"telnet stream tcp nowait nobody.games /bin/cat cat", 1, `group   = "games"`, ""},
		{"telnet stream tcp nowait nobody /bin/cat dog", 1, `argv0   = "dog"`, ""},
		{"talk dgram udp wait nobody /usr/sbin/in.talkd in.talkd", 1, "profile = profile.classic_wait", ""},
		{"tftp dgram udp wait root /usr/sbin/in.tftpd in.tftpd -s /srv/tftp", 1, "profile = profile.classic_tftpd", ""},
		{"cvspserver stream tcp nowait root /usr/bin/cvs cvs -f pserver", 1, `"TMPDIR" = "/tmp"`, ""},
		{"echo stream tcp nowait root internal", 1, `builtin = "echo"`, ""},
		{"auth stream tcp nowait root internal", 1, `builtin = "auth"`, ""},
		{"qotd stream tcp nowait root internal", 0, "", "lost nothing tells its quotes"},
		{"systat stream tcp nowait root internal", 0, "", "lost casemate itself serves"},
		{"telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd", 1, "acl     = acl.nobody", "lost what hosts.allow and hosts.deny say of in.telnetd is not known"},
		{"rstatd/1-3 dgram rpc/udp wait root /usr/sbin/rpc.rstatd rpc.rstatd", 0, "", "lost rpcbind"},
		{"tcpmux/+X stream tcp nowait root /bin/cat cat\ntcpmux stream tcp nowait root internal", 2, `["tcpmux:+x"]`, ""},
		{"/run/x.sock stream unix nowait nobody /bin/cat cat", 1, `mode  = "0666"`, ""},
		{":nobody:games:0660:/run/x.sock stream unix nowait nobody /bin/cat cat", 1, "mode  = \"0660\"\n    owner = \"nobody\"\n    group = \"games\"", ""},
		{"nosuch stream tcp nowait nobody /bin/cat cat", 0, "", "lost write its number"},
		{"telnet raw tcp nowait nobody /bin/cat cat", 0, "", "lost raw"},
		{"telnet stream tcp nowait dynamic /bin/cat cat", 0, "", `lost "dynamic"`},
		{"telnet stream tcp nowait nobody/daemon /bin/cat cat", 1, "", "lost login class"},
		{"#<off># telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd", 0, "# inetd.conf:1: #<off># telnet", "note telnet/tcp is switched off"},
		{"# a comment", 0, "# inetd.conf:1: # a comment", ""},
		{"telnet stream", 0, "", "lost needs at least 6"},
		{"telnet stream tcp nowait nobody bin/cat cat", 0, "", "lost bin/cat"},
		{"telnet on protocol = tcp, socktype = stream, wait = no, user = nobody, exec = /bin/cat, args = cat;", 1, `["/bin/cat"]`, ""},
	} {
		r, p := importI(t, c.line+"\n", nil)
		accounted(t, r, "inetd.conf", c.line)
		if len(p.Services) != c.services || !strings.Contains(string(r.HCL), c.hcl) {
			t.Errorf("%s: %d services, want %d with %q\n%s%v", c.line, len(p.Services), c.services, c.hcl, r.HCL, r.Losses)
		}
		kind, words, _ := strings.Cut(c.report, " ")
		if c.report != "" && !slices.ContainsFunc(r.Losses, func(l Loss) bool { return string(l.Kind) == kind && strings.Contains(l.String(), words) }) {
			t.Errorf("%s: no %q in %v", c.line, c.report, r.Losses)
		}
	}
}

// TestInetdLimits: an entry has the same limit whether it is imported or a source of the
// policy, and the import says which one that is.
func TestInetdLimits(t *testing.T) {
	for _, line := range []string{
		"telnet stream tcp nowait root /usr/sbin/in.telnetd in.telnetd",
		"ftp stream tcp nowait.20 root /usr/sbin/in.ftpd in.ftpd",
		"ftp stream tcp nowait.1000 root /usr/sbin/in.ftpd in.ftpd",
		"telnet stream tcp nowait/5/60/2 nobody /bin/cat cat",
		"tftp dgram udp wait nobody /usr/sbin/in.tftpd in.tftpd",
		"tftp dgram udp wait.30 nobody /usr/sbin/in.tftpd in.tftpd",
		"echo stream tcp nowait root internal",
		"echo stream tcp nowait.20 root internal",
		"echo dgram udp wait root internal",
	} {
		r, p := importI(t, line+"\n", nil)
		doc, ds := lang.Compile([]policy.SourceFile{{Name: "p.cm.hcl", Data: []byte("policy { edition = 1 }\ninetd { acl = acl.anyone }\n")}, {Name: "inetd.conf", Data: []byte(line + "\n")}})
		if doc == nil {
			t.Fatal(ds)
		}
		got, want := *p.Limit(p.Services[0].Limit), *doc.Policy.Limit(doc.Policy.Services[0].Limit)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: imported as %+v, as a source it has %+v", line, got, want)
		}
		if says := "# The entry has no numbers: limit." + want.Name + " is "; (want.Name != p.Services[0].Name) != strings.Contains(string(r.HCL), says) {
			t.Errorf("%s: %q or not\n%s", line, says, r.HCL)
		}
	}
}

// TestInetdAsksItself: an inetd that asks hosts.allow and hosts.deny without tcpd does so
// imported, and no other one.
func TestInetdAsksItself(t *testing.T) {
	const conf = "finger stream tcp nowait nobody /usr/libexec/fingerd fingerd\necho stream tcp nowait root internal\ntftp dgram udp wait nobody /usr/libexec/tftpd tftpd\n"
	hosts := &Hosts{Allow: hostsaccess.Parse("hosts.allow", []byte("fingerd echo: 10.1.\n")), Deny: hostsaccess.Parse("hosts.deny", []byte("ALL: ALL\n"))}
	for dialect, asked := range map[inetd.Dialect][]string{inetd.Debian: nil, inetd.OpenBSD: nil, inetd.GNU: nil, inetd.Busybox: nil, inetd.NetBSD: {"finger"}, inetd.FreeBSD: {"echo", "finger"}} {
		r, err := Inetd([]inetd.Source{{Name: "inetd.conf", Data: []byte(conf)}}, dialect, Facts{Hosts: hosts})
		p := compiled(t, r, err)
		for _, name := range []string{"echo", "finger", "tftp"} {
			if got, want := decided(t, p, name, "192.0.2.1", ""), slices.Contains(asked, name); (got == acl.Deny) != want || decided(t, p, name, "10.1.2.3", "") != acl.Allow {
				t.Errorf("%s: %s: %s, asked %v\n%s", dialect, name, got, want, r.HCL)
			}
		}
		r, err = Inetd([]inetd.Source{{Name: "inetd.conf", Data: []byte(conf)}}, dialect, Facts{})
		compiled(t, r, err)
		if got := slices.ContainsFunc(r.Losses, func(l Loss) bool { return strings.Contains(l.Reason, "asks hosts.allow and hosts.deny itself") }); got != (len(asked) > 0) {
			t.Errorf("%s: said %v\n%v", dialect, got, r.Losses)
		}
	}
}

// TestInetdTwice: two entries at one port are what no policy can have; the second stands in
// a comment. A name that tcp and udp share makes two services.
func TestInetdTwice(t *testing.T) {
	r, p := importI(t, "echo stream tcp nowait root internal\necho dgram udp wait root internal\necho stream tcp4 nowait nobody /bin/cat cat\n", nil)
	if len(p.Services) != 2 || p.Service("echo-udp") == nil || r.Lost != 1 || !strings.Contains(r.Losses[0].String(), "claimed by inetd.conf:1 as well") {
		t.Errorf("%s%v", r.HCL, r.Losses)
	}
	accounted(t, r, "inetd.conf", "echo stream tcp nowait root internal\necho dgram udp wait root internal\necho stream tcp4 nowait nobody /bin/cat cat\n")
}

// TestInetdWrapped: behind tcpd an entry's acl admits nobody whom libwrap denies to its
// daemon, and decides as it does where the tables lose nothing.
func TestInetdWrapped(t *testing.T) {
	g := &fuzzed.Generator{Rand: rand.New(rand.NewPCG(31, 1))}
	for range 150 {
		a, d := fuzzed.Tame{Generator: g}.Table(), fuzzed.Tame{Generator: g}.Table()
		allow, deny := hostsaccess.Parse("hosts.allow", []byte(a)), hostsaccess.Parse("hosts.deny", []byte(d))
		r, p := importI(t, "22 stream tcp nowait root /usr/sbin/tcpd /usr/sbin/sshd -i\nftp stream tcp nowait root /usr/sbin/tcpd in.ftpd\n", &Hosts{allow, deny})
		accounted(t, r, "hosts.allow", a)
		accounted(t, r, "hosts.deny", d)
		for service, daemon := range map[string]string{"port-22": "sshd", "ftp": "in.ftpd"} {
			port := map[string]int{"sshd": 22, "in.ftpd": 21}[daemon]
			for range 10 {
				q := hostsaccess.Request{Daemon: daemon, Addr: g.Pick("10.1.2.3", "10.9.9.9", "192.0.2.77", "2001:db8::5"), Name: g.Pick("unknown", "paranoid", "host.example.org"), ServerAddr: "192.0.2.1", ServerPort: port}
				m, err := decide.Compile(p.ACL(p.Service(service).ACL))
				if err != nil {
					t.Fatal(err)
				}
				got, want := m.Decide(q.Client()).Verdict == acl.Allow, hostsaccess.Decide(allow, deny, q, nil).Allow
				if got && !want || r.Lost == 0 && got != want {
					t.Fatalf("%+v: %v, libwrap %v\nallow %q\ndeny %q\n%s", q, got, want, a, d, r.HCL)
				}
			}
		}
	}
}

// FuzzInetd: whatever the file, a policy comes out that compiles, and no line is dropped.
func FuzzInetd(f *testing.F) {
	f.Add("telnet stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.telnetd -h\n\tmore\n")
	f.Add("echo dgram udp wait root internal\n#<off># x stream tcp nowait root /x x\n127.0.0.1:\n")
	f.Add("x on protocol = tcp, exec = /x;\n:a:b:0:/s stream unix nowait n /x \"${y}\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Inetd([]inetd.Source{{Name: "inetd.conf", Data: []byte(text)}}, "", Facts{})
		compiled(t, r, err)
		accounted(t, r, "inetd.conf", text)
	})
}
