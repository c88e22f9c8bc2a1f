package importer

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"casemate/acl"
)

// TestHost: all tables of a host together; what two of them serve at one port is served
// once, and a unit that is not enabled is not there.
func TestHost(t *testing.T) {
	files := map[string]string{
		"/etc/inetd.conf":                               "telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\n",
		"/etc/inetd.d/time":                             "time stream tcp nowait root internal\nqotd stream tcp nowait nobody /bin/cat cat\n",
		"/etc/default/openbsd-inetd":                    "# x\nOPTIONS=\"-l\"\n",
		"/etc/xinetd.conf":                              "includedir /etc/xinetd.d\n",
		"/etc/xinetd.d/finger":                          strings.Replace(xservice("flags = NOLIBWRAP"), "telnet", "finger", 1),
		"/etc/xinetd.d/telnet":                          xservice(),
		"/etc/hosts.allow":                              "in.telnetd: 10.1.\nsshd: ALL\n",
		"/etc/hosts.deny":                               "ALL: ALL\n",
		"/lib/systemd/system/ssh.socket":                sshdSocket,
		"/lib/systemd/system/ssh@.service":              sshdService,
		"/lib/systemd/system/other.socket":              sshdSocket,
		"/lib/systemd/system/cups.socket":               "[Socket]\nListenStream=/run/cups.sock\n",
		"/etc/systemd/system/x.wants/ssh.socket":        "",
		"/etc/systemd/system/x.wants/cups.socket":       "",
		"/usr/lib/systemd/system/y.wants/other2.socket": "",
	}
	r, err := Host(tree(files))
	p := compiled(t, r, err)
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	if want := []string{"finger", "qotd", "ssh", "telnet", "time"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v\n%s", names, want, r.HCL)
	}
	for _, q := range []struct {
		service, addr string
		want          acl.Verdict
	}{{"telnet", "10.1.2.3", acl.Allow}, {"telnet", "10.2.2.3", acl.Deny}, {"finger", "10.2.2.3", acl.Allow}, {"time", "10.2.2.3", acl.Allow}, {"qotd", "10.2.2.3", acl.Deny}} {
		if got := decided(t, p, q.service, q.addr, ""); got != q.want {
			t.Errorf("%+v: %s", q, got)
		}
	}
	for _, want := range []string{"/etc/default/openbsd-inetd:2: options of inetd", "/etc/hosts.allow:2: the rule is about no service", "/lib/systemd/system/cups.socket:1: the unit hands its sockets", "/etc/xinetd.d/telnet:1: it stands in a comment"} {
		if !slices.ContainsFunc(r.Losses, func(l Loss) bool { return strings.HasPrefix(l.String(), want) }) {
			t.Errorf("no %q in %v", want, r.Losses)
		}
	}
	for name, text := range files {
		if strings.HasPrefix(name, "/etc/inetd") || strings.HasPrefix(name, "/etc/hosts") {
			accounted(t, r, name, text)
		}
	}
	if _, err := Host(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), "there is no inetd.conf") {
		t.Error(err)
	}
}
