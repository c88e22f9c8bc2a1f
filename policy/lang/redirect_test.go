package lang

import (
	"strings"
	"testing"

	"casemate/policy"
	"casemate/sandbox"
)

// carries is a policy with one service that redirects, in which text takes its place.
func carries(text string) string {
	return head + "service \"s\" {\n  listen = [\"tcp://:79\"]\n  acl = acl.anyone\n  " + text + "\n}\n"
}

const ownRelay = `
profile "own" {
  base    = profile.relay
  widens  = ["network"]
  because = "the server asks who connects"
  network {
    mode    = "host"
    sockets = ["unix"]
  }
  files { read = ["/run/x.sock"] }
}
`

// TestRedirect: what a target comes to, and what it does not take.
func TestRedirect(t *testing.T) {
	for written, want := range map[string]string{
		`redirect = "192.0.2.1:80"`:                                "tcp://192.0.2.1:80",
		`redirect = "192.0.2.1:http"`:                              "tcp://192.0.2.1:80",
		`redirect = "[2001:db8::1]:80"`:                            "tcp://[2001:db8::1]:80",
		"redirect = \"unix:/run/x.sock\"\n  profile = profile.own": "unix:/run/x.sock",
		"redirect = \"192.0.2.1:80\"\n  idle = \"5m\"\n  hangup = true\n  proxy_protocol = \"v2\"\n  user = \"nobody\"": "tcp://192.0.2.1:80",
	} {
		doc, ds := compileText(carries(written) + ownRelay)
		if doc == nil {
			t.Errorf("%s: %s", written, show(ds))
			continue
		}
		s := doc.Policy.Service("s")
		if s.Redirect.String() != want || s.Stdio != sandbox.StdioFDs || s.Wait || len(s.EnvStyle) > 0 || s.User != policy.Dynamic && s.User != "nobody" || s.Profile != "relay" && s.Profile != "own" {
			t.Errorf("%s: %+v", written, s)
		}
	}
	for written, want := range map[string]string{
		`redirect = "www.example.org:80"`:                         "casemated asks no DNS",
		`redirect = "localhost:80"`:                               "casemated asks no DNS",
		`redirect = "10.0.0.1 80"`:                                `write "10.0.0.1:80"`,
		`redirect = "tcp://10.0.0.1:80"`:                          `write "10.0.0.1:80"`,
		`redirect = "2001:db8::1 80"`:                             `write "[2001:db8::1]:80"`,
		`redirect = "10.0.0.1:80-81"`:                             "write one port",
		`redirect = "10.0.0.1"`:                                   "PORT",
		`redirect = ":80"`:                                        `write it as "192.0.2.1:80"`,
		`redirect = "10.0.0.1:0"`:                                 "1 to 65535",
		`redirect = "unix:run/x.sock"`:                            "unix:/run/x.sock",
		`redirect = "unix:@x"`:                                    "path of its file",
		`redirect = "unix:/run/y.sock"`:                           `sockets = ["unix"]`,
		`redirect = "fe80::1%eth0:80"`:                            "",
		`redirect = "127.0.0.1:79"`:                               "name another target",
		`proxy_protocol = "v1"`:                                   "",
		"redirect = \"192.0.2.1:80\"\n  proxy_protocol = \"v3\"":  `"v1"`,
		"redirect = \"192.0.2.1:80\"\n  builtin = \"echo\"":       "",
		"redirect = \"192.0.2.1:80\"\n  command = [\"/bin/cat\"]": "",
		"redirect = \"192.0.2.1:80\"\n  wait = true":              "remove wait",
		"redirect = \"192.0.2.1:80\"\n  stdio = \"socket\"":       "remove stdio",
		"redirect = \"192.0.2.1:80\"\n  env = { A = \"b\" }":      "remove env",
		"redirect = \"192.0.2.1:80\"\n  profile = profile.line":   "base = profile.relay",
	} {
		doc, ds := compileText(carries(written) + ownRelay)
		if doc != nil || !strings.Contains(show(ds), want) {
			t.Errorf("%s: want %s, got:\n%s", written, want, show(ds))
		}
	}
	for _, network := range []string{"udp://:79", "unixpacket:/run/s"} {
		_, ds := compileText(strings.Replace(carries(`redirect = "192.0.2.1:80"`), "tcp://:79", network, 1))
		if !strings.Contains(show(ds), "carries streams of bytes") {
			t.Errorf("%s: %s", network, show(ds))
		}
	}
}

// TestRedirectCircle: a connection that would come back to where it came in is refused,
// however long its way; and one that ends somewhere is not.
func TestRedirectCircle(t *testing.T) {
	hop := func(name, at, to string) string {
		return "service \"" + name + "\" {\n  listen = [\"" + at + "\"]\n  redirect = \"" + to + "\"\n  acl = acl.anyone\n}\n"
	}
	way := head + hop("a", "tcp://127.0.0.1:7001", "127.0.0.1:7002") + hop("b", "tcp://:7002", "[::1]:7003")
	_, ds := compileText(way + hop("c", "tcp6://:7003", "127.0.0.1:7001"))
	if !strings.Contains(show(ds), "a -> b -> c -> a") {
		t.Error(show(ds))
	}
	for _, last := range []string{hop("c", "tcp6://:7003", "127.0.0.1:7004"), hop("c", "tcp4://:7003", "127.0.0.1:7001"), hop("c", "tcp://[2001:db8::1]:7003", "127.0.0.1:7001")} {
		if doc, ds := compileText(way + last); doc == nil {
			t.Error(show(ds))
		}
	}
}

// TestEntryThatRedirects: a block makes a redirect of an entry, and nothing of its program is left.
func TestEntryThatRedirects(t *testing.T) {
	doc, ds := Compile([]policy.SourceFile{
		{Name: "inetd.conf", Data: []byte("telnet stream tcp nowait root /usr/sbin/in.telnetd telnetd -h\n")},
		{Name: "p.cm.hcl", Data: []byte(head + "service \"telnet\" {\n  extends = \"telnet/tcp\"\n  redirect = \"192.0.2.1:23\"\n  acl = acl.anyone\n}\n")},
	})
	if doc == nil {
		t.Fatal(show(ds))
	}
	s := doc.Policy.Service("telnet")
	if s.Redirect.String() != "tcp://192.0.2.1:23" || len(s.Command) > 0 || s.Argv0 != "" || s.User != policy.Dynamic || s.Profile != "relay" || s.Listen[0].Port != 23 {
		t.Errorf("%+v", s)
	}
}
