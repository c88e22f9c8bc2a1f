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

// TestBeyondWait: in.tftpd that changes its root is told to need more than an entry's usual
// profile, and with the lines that the warning names it is not.
func TestBeyondWait(t *testing.T) {
	const conf = "tftp dgram udp wait root /usr/sbin/in.tftpd in.tftpd -s /srv/tftp\n"
	warned := func(text, conf string) bool {
		doc, ds := withTable(text, conf)
		if doc == nil {
			t.Fatal(show(ds))
		}
		return slices.ContainsFunc(ds, func(d policy.Diagnostic) bool { return strings.Contains(d.Summary, "changes its root and its user") })
	}
	if !warned(anyEntry, conf) || warned(anyEntry, strings.Replace(conf, "-s ", "", 1)) || warned(anyEntry, strings.Replace(conf, "root", "nobody", 1)) {
		t.Error("warned of the wrong ones")
	}
	_, lines, _ := strings.Cut(strings.TrimSuffix(tftpdProfile, ", each on a line"), ": ")
	lines = strings.NewReplacer(", widens", "\nwidens", ", because", "\nbecause", ", capabilities =", "\ncapabilities =", ", network {", "\nnetwork {", " and syscalls", "\nsyscalls").Replace(lines)
	if warned(anyEntry+"profile \"tftp\" {\n"+lines+"\n}\nservice \"tftp\" {\n  extends = \"tftp/udp\"\n  profile = profile.tftp\n}\n", conf) {
		t.Error("warned of a profile that has them")
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
