package lang

import (
	"slices"
	"strings"
	"testing"

	"casemate/policy"
)

// TestAsksForWhatNobodyAsked: hosts_access is warned of where it asks the tables for entries for
// which their inetd did not, unless the policy says which ones are meant.
func TestAsksForWhatNobodyAsked(t *testing.T) {
	const behind, bare = "telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\n", "echo stream tcp nowait root internal\n7001 stream tcp nowait nobody /bin/cat cat\n"
	for _, tt := range []struct{ inetd, conf, deny, want string }{
		{"", behind + bare, "ALL: ALL\n", `"echo/tcp" and 1 more do not stand behind tcpd, and the inetd of debian asked nobody`},
		{"", behind, "ALL: ALL\n", ""},
		{"", behind + bare, "in.telnetd: ALL\n", ""},
		{"  hosts_access_for = [\"internal\", \"programs\"]\n", behind + bare, "ALL: ALL\n", ""},
		{"  hosts_access_for = [\"tcpd\"]\n  acl = acl.anyone\n", behind + bare, "ALL: ALL\n", ""},
		{"  dialect = \"netbsd\"\n", bare, "ALL: ALL\n", `"echo/tcp" does not stand behind tcpd, and the inetd of netbsd`},
		{"  dialect = \"freebsd\"\n", strings.Replace(bare, "7001", "finger", 1), "ALL: ALL\n", ""},
	} {
		doc, ds := Compile([]policy.SourceFile{{Name: "/etc/hosts.deny", Data: []byte(tt.deny)}, {Name: "/etc/inetd.conf", Data: []byte(tt.conf)},
			{Name: "p.cm.hcl", Data: []byte(head + "inetd {\n  hosts_access = true\n" + tt.inetd + "}\n")}})
		i := slices.IndexFunc(ds, func(d policy.Diagnostic) bool { return d.Code == codeHabit })
		switch {
		case doc == nil || (i >= 0) != (tt.want != ""):
			t.Errorf("%+v: %s", tt, show(ds))
		case i >= 0 && (!strings.HasPrefix(ds[i].Summary, tt.want) || !strings.Contains(ds[i].Detail, `hosts_access_for = ["tcpd"] and acl = acl.anyone`)):
			t.Errorf("%+v: %s", tt, show(ds))
		}
	}
}

// TestClassicOfKinds: what becomes another user has the profile of its kind, as root alone.
func TestClassicOfKinds(t *testing.T) {
	for entry, want := range map[string]string{
		"tftp dgram udp wait root /usr/sbin/in.tftpd in.tftpd -s /srv/tftp":        "classic_tftpd",
		"tftp dgram udp wait root /usr/sbin/tcpd /usr/sbin/in.tftpd":               "classic_tftpd",
		"tftp dgram udp wait nobody /usr/sbin/in.tftpd in.tftpd":                   "classic_wait",
		"ntalk dgram udp wait root /usr/sbin/in.ntalkd in.ntalkd":                  "classic_wait",
		"ftp stream tcp nowait root /usr/sbin/tcpd /usr/sbin/vsftpd":               "classic_ftpd",
		"ftp stream tcp nowait ftp /usr/sbin/tcpd /usr/sbin/vsftpd":                "classic",
		"ftp stream tcp nowait root /opt/ours in.ftpd":                             "classic_ftpd",
		"shell stream tcp nowait root /usr/sbin/tcpd in.rshd":                      "classic_rshd",
		"telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd":                  "classic_login",
		"rsync stream tcp nowait root /usr/bin/rsync rsync --daemon":               "classic_data",
		"cvspserver stream tcp nowait root /usr/sbin/tcpd /usr/bin/cvs -f pserver": "classic_data",
		"cvspserver stream tcp nowait cvs /usr/sbin/tcpd /usr/bin/cvs -f pserver":  "classic",
		"7001 stream tcp nowait root /bin/cat cat":                                 "classic",
	} {
		doc := mustTable(t, anyEntry, entry+"\n")
		if got := doc.Policy.Services[0].Profile; got != want {
			t.Errorf("%s: %s, want %s", entry, got, want)
		}
		if got := doc.Policy.Services[0].Env["TMPDIR"]; (got == "/tmp") != (want == "classic_data") {
			t.Errorf("%s: TMPDIR is %q", entry, got)
		}
	}
}

// TestLostWords: what an entry's command says and its inetd does not is no loss any more where
// an extending block writes the command.
func TestLostWords(t *testing.T) {
	const conf = "7001 stream tcp nowait nobody /bin/sh sh -c \"echo x\"\n"
	extending := func(more string) string {
		return anyEntry + "service \"x\" {\n  extends = \"7001/tcp\"\n" + more + "}\n"
	}
	for text, want := range map[string]bool{anyEntry: true, extending(""): true, extending("  command = [\"/bin/echo\", \"x\"]\n"): false} {
		doc, ds := withTable(text, conf)
		if got := slices.ContainsFunc(ds, func(d policy.Diagnostic) bool {
			return d.Code == codeLoss && strings.Contains(d.Summary, "a quote is part of the argument")
		}); doc == nil || got != want {
			t.Errorf("%s: warned %v, want %v\n%s", text, got, want, show(ds))
		}
	}
}
