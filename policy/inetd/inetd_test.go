package inetd

import (
	"fmt"
	"strings"
	"testing"
)

// show is an entry on one line: what a table test compares.
func show(e *Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Full(), e.Network)
	if e.Wait {
		b.WriteString(" wait")
	}
	fmt.Fprintf(&b, " %s", e.User.Text)
	if e.Group.Text != "" {
		b.WriteString(":" + e.Group.Text)
	}
	if e.Class.Text != "" {
		b.WriteString("/" + e.Class.Text)
	}
	if e.Wrapper.Text != "" {
		b.WriteString(" tcpd")
	}
	if e.Internal != "" {
		b.WriteString(" internal " + e.Internal)
	} else {
		b.WriteString(" " + e.Program.Text)
	}
	for _, a := range e.Args {
		fmt.Fprintf(&b, " [%s]", a.Text)
	}
	for _, n := range []struct {
		what string
		Number
	}{{"concurrent", e.Concurrent}, {"per-minute", e.PerMinute}, {"source-concurrent", e.PerSourceConcurrent}, {"source-per-minute", e.PerSourcePerMinute}, {"sndbuf", e.SendBuffer}, {"rcvbuf", e.ReceiveBuffer}} {
		if n.Written() {
			fmt.Fprintf(&b, " %s=%d", n.what, n.N)
		}
	}
	if strings.HasPrefix(e.Network, "unix") {
		fmt.Fprintf(&b, " %s:%s:%04o", e.Unix.Owner.Text, e.Unix.Group.Text, e.Unix.Mode)
	}
	return b.String()
}

func showAll(t *Table) (out []string) {
	for i := range t.Entries {
		out = append(out, show(&t.Entries[i]))
	}
	for _, f := range t.Findings {
		level := map[Level]string{Error: "error", Unserved: "unserved", Loss: "loss", Off: "off"}[f.Level]
		out = append(out, fmt.Sprintf("%d:%d %s: %s", f.At.Start.Line, f.At.Start.Column, level, f.Summary))
	}
	return out
}

func expect(t *testing.T, got *Table, want ...string) {
	t.Helper()
	if g, w := strings.Join(showAll(got), "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
}

func parse(d Dialect, text string) *Table {
	return Parse([]Source{{"inetd.conf", []byte(text)}}, d)
}

// What the same line means in each dialect.
func TestDialects(t *testing.T) {
	const program = " /usr/sbin/d d -x"
	for _, tt := range []struct {
		line string
		want map[Dialect]string
	}{
		{"svc stream tcp nowait root" + program, map[Dialect]string{
			Debian:  "svc/tcp tcp root /usr/sbin/d [d] [-x]",
			OpenBSD: "svc/tcp tcp4 root /usr/sbin/d [d] [-x]",
			FreeBSD: "svc/tcp tcp4 root /usr/sbin/d [d] [-x]",
			NetBSD:  "svc/tcp tcp4 root /usr/sbin/d [d] [-x]",
			GNU:     "svc/tcp tcp4 root /usr/sbin/d [d] [-x]",
			Busybox: "svc/tcp tcp4 root /usr/sbin/d [d] [-x]",
		}},
		{"svc dgram udp6 wait root" + program, map[Dialect]string{
			Debian:  "svc/udp6 udp6 wait root /usr/sbin/d [d] [-x]",
			OpenBSD: "svc/udp6 udp6 wait root /usr/sbin/d [d] [-x]",
			FreeBSD: "svc/udp6 udp6 wait root /usr/sbin/d [d] [-x]",
			NetBSD:  "svc/udp6 udp6 wait root /usr/sbin/d [d] [-x]",
			GNU:     "svc/udp6 udp wait root /usr/sbin/d [d] [-x]",
			Busybox: "svc/udp6 udp6 wait root /usr/sbin/d [d] [-x]",
		}},
		{"svc stream tcp4 nowait first.last:grp /usr/sbin/d", map[Dialect]string{
			Debian:  "svc/tcp4 tcp4 first.last:grp /usr/sbin/d [d]",
			OpenBSD: "svc/tcp4 tcp4 first.last:grp /usr/sbin/d [d]",
			FreeBSD: "1:39 error: the entry has no argv[0], which the inetd of freebsd does not supply",
			NetBSD:  "1:39 error: the entry has no argv[0], which the inetd of netbsd does not supply",
			GNU:     "svc/tcp4 tcp4 first.last:grp /usr/sbin/d [d]",
			Busybox: "svc/tcp4 tcp4 first:last:grp /usr/sbin/d [/usr/sbin/d]",
		}},
		{"svc stream tcp4 nowait user.grp" + program, map[Dialect]string{
			Debian:  "svc/tcp4 tcp4 user:grp /usr/sbin/d [d] [-x]",
			FreeBSD: "svc/tcp4 tcp4 user.grp /usr/sbin/d [d] [-x]",
			NetBSD:  "svc/tcp4 tcp4 user:grp /usr/sbin/d [d] [-x]",
		}},
		{`svc stream tcp4 nowait root /bin/sh sh -c "a  b" 'c'd x\ y`, map[Dialect]string{
			Debian:  `svc/tcp4 tcp4 root /bin/sh [sh] [-c] ["a] [b"] ['c'd] [x\] [y]` + "\n" + `1:43 loss: a quote is part of the argument for the inetd of debian, which takes words apart at blanks alone`,
			FreeBSD: `svc/tcp4 tcp4 root /bin/sh [sh] [-c] [a  b] [c] [d] [x\] [y]`,
			NetBSD:  `svc/tcp4 tcp4 root /bin/sh [sh] [-c] [a  b] [cd] [x\] [y]`,
			GNU:     `svc/tcp4 tcp4 root /bin/sh [sh] [-c] [a  b] [cd] [x y]`,
		}},
		{"/run/x.sock stream unix nowait u:g" + program, map[Dialect]string{
			Debian:  "/run/x.sock/unix unix u:g /usr/sbin/d [d] [-x] u:g:0666",
			OpenBSD: "/run/x.sock/unix unix u:g /usr/sbin/d [d] [-x] u:g:0666",
			FreeBSD: "/run/x.sock/unix unix u:g /usr/sbin/d [d] [-x] ::0200",
			NetBSD:  "/run/x.sock/unix unix u:g /usr/sbin/d [d] [-x] ::0000",
			GNU:     "/run/x.sock/unix unix u:g /usr/sbin/d [d] [-x] ::0000\n1:20 loss: a unix socket is nothing that the inetd of gnu knows",
		}},
		{"svc stream tcp4 nowait root /usr/sbin/d d\n\t-x", map[Dialect]string{
			Debian:  "svc/tcp4 tcp4 root /usr/sbin/d [d] [-x]",
			FreeBSD: "svc/tcp4 tcp4 root /usr/sbin/d [d] [-x]",
			GNU:     "svc/tcp4 tcp4 root /usr/sbin/d [d]\n2:2 error: the entry has 1 words, and needs at least 6",
			Busybox: "svc/tcp4 tcp4 root /usr/sbin/d [d]\n2:2 error: the entry has 1 words, and needs at least 6",
		}},
		{"7971 stream tcp46 nowait root" + program, map[Dialect]string{
			Debian:  "7971/tcp46 tcp root /usr/sbin/d [d] [-x]",
			FreeBSD: "7971/tcp46 tcp root /usr/sbin/d [d] [-x]\n1:1 loss: the number of a port is nothing that the inetd of freebsd knows",
		}},
		{"svc stream tcp6only nowait root" + program, map[Dialect]string{
			GNU:    "svc/tcp6only tcp6 root /usr/sbin/d [d] [-x]",
			Debian: "svc/tcp6only tcp6 root /usr/sbin/d [d] [-x]\n1:12 loss: tcp6only is nothing that the inetd of debian knows",
		}},
	} {
		for d, want := range tt.want {
			t.Run(string(d)+" "+tt.line, func(t *testing.T) { expect(t, parse(d, tt.line+"\n"), want) })
		}
	}
}

// Every spelling of limits, addresses and special services, in the dialect that has it.
func TestFields(t *testing.T) {
	const tail = " root /usr/sbin/d d"
	for _, tt := range []struct {
		d    Dialect
		line string
		want string
	}{
		{Debian, "svc stream tcp nowait.40" + tail, "svc/tcp tcp root /usr/sbin/d [d] per-minute=40"},
		{NetBSD, "svc stream tcp nowait:40" + tail, "svc/tcp tcp4 root /usr/sbin/d [d] per-minute=40"},
		{NetBSD, "svc stream,5:httpready tcp,sndbuf=16k,rcvbuf=1m nowait" + tail, "svc/tcp tcp4 root /usr/sbin/d [d] concurrent=5 sndbuf=16384 rcvbuf=1048576\n" +
			"1:14 loss: accept filter \"httpready\" is not set: a client is served before it sends anything"},
		{OpenBSD, "svc stream tcp,rcvbuf=4095,sndbuf=513m nowait" + tail, "svc/tcp tcp4 root /usr/sbin/d [d]\n" +
			"1:23 loss: rcvbuf=4095 is not set: the kernel chooses the size of the buffer\n1:35 loss: sndbuf=513m is not set: the kernel chooses the size of the buffer"},
		{FreeBSD, "svc stream tcp nowait/10" + tail, "svc/tcp tcp4 root /usr/sbin/d [d] concurrent=10"},
		{FreeBSD, "svc stream tcp nowait/10/20/3 u:g/daemon /usr/sbin/d d", "svc/tcp tcp4 u:g/daemon /usr/sbin/d [d] concurrent=10 source-concurrent=3 source-per-minute=20\n" +
			`1:35 loss: login class "daemon" is not applied`},
		{FreeBSD, "svc stream tcp nowait/0/7" + tail, "svc/tcp tcp4 root /usr/sbin/d [d] concurrent=0 source-per-minute=7"},
		{FreeBSD, ":bin:wheel:0660:/var/run/a:b stream unix nowait" + tail, "/var/run/a:b/unix unix root /usr/sbin/d [d] bin:wheel:0660"},
		{FreeBSD, "svc stream tcp nowait" + tail + "\n#@ ipsec ah/require\n#@\n", "svc/tcp tcp4 root /usr/sbin/d [d]\n2:1 loss: IPsec policies are not set for sockets"},
		{Debian, "192.0.2.1:svc stream tcp nowait" + tail, "192.0.2.1:svc/tcp tcp root /usr/sbin/d [d]"},
		{Debian, "[2001:db8::1]:svc stream tcp6 nowait" + tail, "[2001:db8::1]:svc/tcp6 tcp6 root /usr/sbin/d [d]"},
		{Debian, "192.0.2.1,[::1],localhost:99 dgram udp wait" + tail, "192.0.2.1,[::1],localhost:99/udp udp wait root /usr/sbin/d [d]"},
		{Debian, "*:svc stream tcp nowait" + tail, "svc/tcp tcp root /usr/sbin/d [d]"},
		{Debian, "::1:svc stream tcp nowait" + tail, `1:1 error: an IPv6 address stands in brackets`},
		{Debian, "svc stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.d -x", "svc/tcp tcp root tcpd /usr/sbin/in.d [in.d] [-x]"},
		{Debian, "svc stream tcp nowait root /usr/sbin/tcpd in.d -x", "svc/tcp tcp root tcpd /usr/sbin/in.d [in.d] [-x]"},
		{Debian, "svc stream tcp nowait root /usr/sbin/tcpd", "1:28 error: tcpd has no program to run"},
		{Debian, "echo stream tcp nowait root internal", "echo/tcp tcp root internal echo"},
		{Debian, "echo dgram udp wait root internal", "echo/udp udp wait root internal echo"},
		{FreeBSD, "auth stream tcp nowait root internal auth -r", "auth/tcp tcp4 root internal auth\n1:43 loss: auth takes no options: it says of everybody that the user is hidden, and looks nobody up"},
		{FreeBSD, "ident stream tcp nowait root internal", "ident/tcp tcp4 root internal auth"},
		{FreeBSD, "auth stream tcp nowait root internal auth", "auth/tcp tcp4 root internal auth"},
		{Debian, "rstatd/1-3 dgram rpc/udp wait" + tail, "1:1 unserved: rstatd/rpc/udp is not served: casemate registers nothing with rpcbind"},
		{FreeBSD, "tcpmux/+date stream tcp nowait" + tail, "tcpmux/date/tcp tcp4 root /usr/sbin/d [d]"},
		{FreeBSD, "tcpmux/date stream tcp wait" + tail, "1:1 unserved: tcpmux/date is not served: tcpmux hands over one tcp client at a time"},
		{FreeBSD, "tcpmux/date stream tcp nowait root internal", "1:36 unserved: tcpmux/date is not served: what is internal takes its clients itself"},
		{NetBSD, "10.0.0.1:tcpmux/date stream tcp nowait" + tail, "tcpmux/date/tcp tcp4 root /usr/sbin/d [d]\n1:1 loss: tcpmux hands over its clients wherever it listens itself, and date has no address of its own"},
		{Debian, "tcpmux stream tcp nowait root internal", "tcpmux/tcp tcp root internal tcpmux"},
		{Debian, "svc raw tcp nowait" + tail, "1:5 unserved: svc/tcp is not served: sockets of type raw need rights that no service has here"},
		{Debian, "svc stream sctp nowait" + tail, "1:12 unserved: svc/sctp is not served: there are tcp, udp and unix"},
		{Debian, "/run/x dgram unix wait" + tail, "/run/x/unix unixgram wait root /usr/sbin/d [d] root::0666"},
		{Debian, "/run/x seqpacket unix nowait" + tail, "/run/x/unix unixpacket root /usr/sbin/d [d] root::0666"},
		{Debian, "svc strem tcp nowait" + tail, `1:5 error: there is no type of socket "strem"`},
		{Debian, "svc stream tpc nowait" + tail, `1:12 error: there is no protocol "tpc"`},
		{Debian, "svc stream udp nowait" + tail, "1:5 error: udp is dgram, not stream"},
		{Debian, "svc stream tcp nowiat" + tail, `1:16 error: "nowiat" is neither wait nor nowait`},
		{Debian, "svc stream tcp nowait.x" + tail, `1:23 error: "x" is no limit`},
		{Debian, "svc stream tcp nowait root d", `1:28 error: "d" is no path of a program`},
		{Debian, "svc stream tcp nowait root", "1:1 error: the entry has 5 words, and needs at least 6"},
		{Debian, "svc stream tcp nowait root /d d # no comment", "svc/tcp tcp root /d [d] [#] [no] [comment]\n1:33 loss: what follows # are arguments of the program, and no comment"},
		{Debian, "svc stream tcp nowait root /d \xff", "1:1 error: byte 0xff in column 31 is not text"},
		{Debian, "# \xff latin-1 in a comment", ""},
		{Debian, " # indented", "1:1 error: a comment begins in the first column: this line is an entry"},
		{Debian, "#<off># telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd", "1:1 off: telnet/tcp is switched off"},
		{Debian, "#telnet stream tcp nowait root /usr/sbin/tcpd in.telnetd", "1:1 off: telnet/tcp is switched off"},
		{Debian, "svc stream tcp nowait" + tail + "\r\n", "svc/tcp tcp root /usr/sbin/d [d]\n1:41 loss: carriage returns at the ends of lines are left out; inetd hands them to the programs"},
		{Debian, "a stream tcp nowait" + tail + "\n b stream tcp nowait" + tail, "a/tcp tcp root /usr/sbin/d [d] [b] [stream] [tcp] [nowait] [root] [/usr/sbin/d] [d]\n" +
			"2:1 loss: this line goes on with the entry above it, for it begins with a blank"},
		{Debian, "a stream tcp nowait" + tail + "\n# between\n\tb stream tcp nowait" + tail, "a/tcp tcp root /usr/sbin/d [d]\nb/tcp tcp root /usr/sbin/d [d]"},
		{NetBSD, `a stream tcp nowait root /bin/sh sh "x`, "1:37 error: a quote is not closed"},
	} {
		t.Run(string(tt.d)+" "+tt.line, func(t *testing.T) { expect(t, parse(tt.d, tt.line), strings.Split(tt.want, "\n")...) })
	}
}

// An address on a line of its own holds for the entries below, until the next one.
func TestStickyAddress(t *testing.T) {
	expect(t, parse(Debian, `a stream tcp nowait root /d d
127.0.0.1:
b stream tcp nowait root /d d
192.0.2.1:c stream tcp nowait root /d d
/run/x stream unix nowait root /d d
*:
e stream tcp nowait root /d d
`), "a/tcp tcp root /d [d]", "127.0.0.1:b/tcp tcp root /d [d]", "192.0.2.1:c/tcp tcp root /d [d]", "/run/x/unix unix root /d [d] root::0666", "e/tcp tcp root /d [d]")
}

// Every dialect is known by what only it writes.
func TestToldApart(t *testing.T) {
	for line, want := range map[string]Dialect{
		"svc stream tcp nowait root /d d":                                               Debian,
		"svc stream tcp nowait.9 root /d d":                                             Debian,
		"svc stream tcp6only nowait root /d d":                                          GNU,
		"svc stream tcp nowait/9 root /d d":                                             FreeBSD,
		"svc stream tcp nowait root/daemon /d d":                                        FreeBSD,
		":u:g:0600:/run/x stream unix nowait root /d d":                                 FreeBSD,
		"svc stream tcp nowait:9 root /d d":                                             NetBSD,
		"svc stream,9 tcp nowait root /d d":                                             NetBSD,
		"svc stream:f tcp nowait root /d d":                                             NetBSD,
		"svc on socktype = stream, protocol = tcp, wait = no, user=u, exec=/d, args=d;": NetBSD,
		"tcpmux/x stream tcp nowait root /d d":                                          FreeBSD,
		"svc stream tcp46 nowait/3 root /d d":                                           FreeBSD,
		"127.0.0.1:svc stream tcp nowait/3 root /d d":                                   FreeBSD,
	} {
		if got := parse("", line).Dialects["inetd.conf"]; got != want {
			t.Errorf("%s is %s, want %s", line, got, want)
		}
	}
	mixed := parse("", "a stream tcp nowait/3 root /d d\nb stream tcp nowait:3 root /d d\n")
	if len(mixed.Findings) == 0 || mixed.Findings[0].Summary != "a limit after a colon is written by netbsd, and a limit after a slash in line 1 by freebsd" {
		t.Errorf("%q", showAll(mixed))
	}
}

// NetBSD's definitions, beside lines of the old form.
func TestDefinitions(t *testing.T) {
	expect(t, parse("", `# old and new
old stream tcp nowait root /d d
time on socktype = dgram, protocol = udp;	# internal
new on
	bind = 127.0.0.1, socktype = stream, # half way
	protocol = tcp6, wait = no,
	service_max = 40, ip_max = 4, accept_max = 8,
	user = u, group = g, exec = /usr/libexec/d,
	args = d "two words" 'it\'s' "\x41\\";
any on bind = ::1, socktype = stream, protocol = tcp6, wait = yes, user = u:g, exec = /d, args = d, sndbuf = 4k, acceptfilter = dataready, ipsec = "in ipsec";
gone off socktype = stream, protocol = tcp, wait = no, user = u, exec = /d, args = d;
`), "old/tcp tcp4 root /d [d]", "time/udp udp4  internal time",
		"127.0.0.1:new/tcp6 tcp6 u:g /usr/libexec/d [d] [two words] [it's] [A\\] concurrent=8 per-minute=40 source-per-minute=4",
		"[::1]:any/tcp6 tcp6 wait u:g /d [d] sndbuf=4096",
		`10:129 loss: accept filter "dataready" is not set: a client is served before it sends anything`,
		"10:148 loss: IPsec policies are not set for sockets",
		"11:1 off: gone/tcp is switched off")
	for line, want := range map[string]string{
		"a on socktype = stream;":                                           "1:1 error: a has no protocol",
		"a on socktype = stream, protocol = tcp, exec = /d, args = d;":      "1:1 error: a has no wait",
		"a on sock = stream, protocol = tcp;":                               `1:6 error: there is no key "sock"`,
		"a on protocol = tcp, protocol = udp, socktype = stream;":           "1:22 error: protocol is there twice",
		"a on protocol tcp;":                                                `1:15 error: = is missing after "protocol"`,
		"a on protocol = tcp":                                               "1:3 error: the definition does not end with ;",
		"a on protocol = tcp udp, socktype = stream;":                       "1:21 error: protocol has several values",
		"a off protocol = tpc, socktype = stream;":                          `1:18 error: there is no protocol "tpc"`,
		`a on protocol = "tcp` + "\n;":                                      "1:17 error: a quote is not closed",
		"echo on socktype = dgram, protocol = udp; b on socktype = stream;": "1:43 error: there is more on the line after the definition",
	} {
		got := parse(NetBSD, line+"\n")
		if len(got.Findings) == 0 || showAll(&Table{Findings: got.Findings})[0] != want {
			t.Errorf("%s\ngot  %q\nwant %q", line, showAll(got), want)
		}
	}
}

func TestIncludes(t *testing.T) {
	main := Source{"/etc/inetd.conf", []byte("192.0.2.1:\n.include \"inetd/*.conf\"\nlast stream tcp nowait root /d d\n")}
	one := Source{"/etc/inetd/1.conf", []byte("a stream tcp nowait root /d d\n127.0.0.1:\nb stream tcp nowait root /d d\n")}
	two := Source{"/etc/inetd/2.conf", []byte("c stream tcp nowait root /d d\n")}
	expect(t, Parse([]Source{one, two, main}, ""), "192.0.2.1:a/tcp tcp4 root /d [d]", "127.0.0.1:b/tcp tcp4 root /d [d]", "192.0.2.1:c/tcp tcp4 root /d [d]", "192.0.2.1:last/tcp tcp4 root /d [d]")
	expect(t, Parse([]Source{main}, ""), "192.0.2.1:last/tcp tcp4 root /d [d]", "2:10 error: no source is /etc/inetd/*.conf: nothing is read that is not among the sources")
	loop := Source{"/etc/inetd/1.conf", []byte(".include ../inetd.conf\n")}
	got := Parse([]Source{main, loop}, "")
	if !got.Failed() || !strings.Contains(strings.Join(showAll(got), "\n"), "includes itself") {
		t.Errorf("%q", showAll(got))
	}
}

// Files that include each other twice grow no faster than the bound of includes.
func TestIncludesAreBounded(t *testing.T) {
	var sources []Source
	for i := range 40 {
		sources = append(sources, Source{fmt.Sprintf("/%02d", i), fmt.Appendf(nil, ".include /%02d\n.include /%02d\n", i+1, i+1)})
	}
	if got := Parse(append(sources, Source{"/40", nil}), ""); !got.Failed() || got.Findings[0].Summary != "there are more than 1024 includes" {
		t.Errorf("%q", showAll(got))
	}
}

// Nothing of a long line is cut, and no argument dropped.
func TestNothingIsTruncated(t *testing.T) {
	args := strings.Repeat(" argument", 2000)
	got := parse(Debian, "svc stream tcp nowait root /d d"+args+"\n")
	if len(got.Entries) != 1 || len(got.Entries[0].Args) != 2001 {
		t.Errorf("%d entries, %v", len(got.Entries), got.Findings)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"svc stream tcp nowait.40 root.wheel /d d 'x'\n\t-y\n#@ a\n", "[::1],*:7 dgram udp,sndbuf=4k wait:3 u:g/c internal\n127.0.0.1:\n",
		"a on bind = ::1, args = d \"\\x41\";\nb off\n;", ":u:g:0600:/x stream unix nowait/1/2/3 root /d d\n.include *\n", "rstatd/1-3 dgram rpc/udp wait root /d\n #\n\r\n\x00\xff"} {
		for _, d := range append([]Dialect{""}, Dialects...) {
			f.Add(s, string(d))
		}
	}
	f.Fuzz(func(t *testing.T, text, dialect string) {
		d := Dialect(dialect)
		if _, ok := dialects[d]; !ok && d != "" {
			return
		}
		got := parse(d, text)
		covered := map[int]bool{}
		cover := func(at Range) {
			for n := at.Start.Line; n <= at.End.Line; n++ {
				covered[n] = true
			}
			if at.Start.Byte > at.End.Byte || at.End.Byte > len(text) || at.Filename != "inetd.conf" {
				t.Fatalf("no range: %+v", at)
			}
		}
		for _, e := range got.Entries {
			cover(e.At)
		}
		for _, f := range got.Findings {
			cover(f.At)
		}
		for _, d := range got.Directives {
			cover(d.At)
		}
		for i, line := range strings.Split(text, "\n") {
			if trimmed := strings.Trim(line, " \t\r"); trimmed != "" && line[0] != '#' && !covered[i+1] && len(got.Findings) < maxFindings {
				t.Errorf("line %d is in nothing: %q\n%q", i+1, line, showAll(got))
			}
		}
	})
}
