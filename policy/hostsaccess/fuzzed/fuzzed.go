// Package fuzzed makes tables of tcp wrappers for tests: with every form, quirk and error
// that package hostsaccess knows, or mostly without. No program links it.
package fuzzed

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generator makes tables that are mostly sensible and often nearly so.
type Generator struct {
	*rand.Rand
	// Files are the names of files of patterns.
	Files []string
}

// Pick is one of words.
func (g *Generator) Pick(words ...string) string { return words[g.IntN(len(words))] }

// Chance is true in so many of a hundred cases.
func (g *Generator) Chance(percent int) bool { return g.IntN(100) < percent }

var (
	daemonWords = []string{"sshd", "in.telnetd", "in.ftpd", "SSHD", "22", "ssh", "rpcbind", "unknown", "22x"}
	hostWords   = []string{
		"10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.8", "192.0.2.7", "127.0.0.1", "255.255.255.255", "010.1.2.3", "10.1.2", "10.1.2.3.4",
		"10.1.2.", "10.1.", "10.", "10.1.2.3.", "1", ".2.3", ".3", "0.", "192.0.2.",
		"host.example.org", "HOST.example.ORG", ".example.org", ".org", "example.org", "host.", "evil.example.net", ".example.net", "short", "10.1.evil.example.net", "six.example.org",
		"localhost", "x.example.org", "other.example.org", "org", ".", "..", "h", "[", "]", "[]", "[x]", "-", "\\", "%h",
		"[2001:db8::5]", "[2001:DB8::5]", "[2001:db8::5%1]", "[fe80::1%1]", "[fe80::1%lo]", "[fe80::1%nosuch]", "[::1%lo]", "[fe80::1%]", "[fe80::1%4294967296]", "[fe80::1%+1]", "[fe80::1]", "[::1]", "[::ffff:10.1.2.3]", "[10.1.2.3]", "[::10.1.2.3]", "2001:db8::5", "::1", "::10.1.2.3", "]10.1.2.3", "[10.1.2.3",
		"10.1.2.*", "10.1.*", "10.1.2.?", "*", "**", "***", "?*", "*?", "h*t.example.org", "*.example.org", "*.EXAMPLE.org", "*example*", "h**", "**t", "*o*.*g", "2001:*", "?", "????????", "host.example.org**", "host.example.org*", "[2001:*]",
	}
	netWords = []string{
		"10.1.2.0", "10.1.2.3", "10.0.0.0", "0.0.0.0", "012.1.2.0", "0xa.1.2.0", "10.1.2", "10.1.2.256", "255.255.255.255", "192.0.2.0", "0xa.1.2.0x", "10.1.2.0.", "10..1.2", "08.1.2.0", "4294967306.1.2.0", "0x.1.2.3",
		"[2001:db8::]", "[2001:db8::5]", "[::]", "[::ffff:0:0]", "[::ffff:10.1.2.0]", "[fe80::%1]", "[2001:db8::5", "2001:db8::", "[x]", "[]", "host.example.org", "", "ALL", "[fe80::]",
	}
	maskWords = []string{
		"24", "8", "32", "0", "33", "-1", "16", "24x", "x", "", "+24", "1", "31", "64", "128", "129", "32x", "4294967320", "99999999999999999999", "-99999999999999999999", "18446744073709551640", " 24",
		"255.255.255.0", "255.0.0.0", "255.255.255.255", "0.0.0.0", "255.0.255.0", "255.255.255", "0xff.0xff.0xff.0", "0377.255.255.0", "24/3", "[24]",
	}
	wildcards = []string{"ALL", "all", "LOCAL", "UNKNOWN", "KNOWN", "PARANOID", "local", "Unknown"}
	userWords = []string{"root", "ALL", "KNOWN", "unknown", "r*", "UNKNOWN", "", ".oot", "ro."}
)

func (g *Generator) host() string {
	switch n := g.IntN(100); {
	case n < 45:
		return g.Pick(hostWords...)
	case n < 65:
		return g.Pick(netWords...) + "/" + g.Pick(maskWords...)
	case n < 85:
		return g.Pick(wildcards...)
	case n < 89:
		return "@" + g.Pick("trusted", "nosuch", "")
	case n < 93 && len(g.Files) > 0:
		return g.Pick(g.Files...)
	case n < 96:
		return fmt.Sprintf("10.%d.%d.0/%d", g.IntN(3), g.IntN(4), 8+g.IntN(25))
	}
	return g.mangled(g.Pick(hostWords...))
}

// mangled changes one byte, or adds one.
func (g *Generator) mangled(s string) string {
	const bytes = "0123456789.:/[]@*?abcxALLEXCEPT#\\=%-\x01\x0b\xff"
	i := g.IntN(len(s) + 1)
	return s[:i] + string(bytes[g.IntN(len(bytes))]) + s[min(len(s), i+g.IntN(2)):]
}

func (g *Generator) client() string {
	if g.Chance(12) {
		return g.Pick(userWords...) + "@" + g.host()
	}
	return g.host()
}

func (g *Generator) daemon() string {
	d := g.Pick(daemonWords...)
	switch n := g.IntN(100); {
	case n < 40:
		d = g.Pick("ALL", "All")
	case n < 50:
		d = g.Pick("KNOWN", "LOCAL", "in.*", "*", "s?hd", ".telnetd", "in.", "*d", "0", "UNKNOWN", "-1", "+22", "65536", "4294967296", "70000")
	case n < 53:
		d = g.mangled(d)
	}
	if g.Chance(12) {
		d += "@" + g.host()
	}
	return d
}

func (g *Generator) list(one func() string) string {
	var b strings.Builder
	if g.Chance(2) {
		b.WriteString(g.Pick("EXCEPT ", "", ",", " , "))
	}
	for i, n := 0, 1+g.IntN(3); i < n; i++ {
		if i > 0 {
			b.WriteString(g.Pick(" ", ", ", ",", "\t", " EXCEPT ", " except ", " \r "))
		}
		b.WriteString(one())
	}
	for g.Chance(15) {
		b.WriteString(" EXCEPT " + one())
	}
	if g.Chance(2) {
		b.WriteString(" EXCEPT")
	}
	return b.String()
}

var optionWords = []string{
	"allow", "deny", "ALLOW", "Deny", "severity info", "severity auth.info", "severity = local3.debug", "severity authpriv.info", "severity .info", "severity loud", "severity",
	"spawn true", "spawn /bin/echo %h %d | cat &", "spawn", "twist /bin/echo %h", "twist true", "aclexec true", "aclexec false %a",
	"rfc931", "rfc931 5", "rfc931 0", "rfc931 x", "rfc931 -1", "banners /nosuch", "banners", "setenv A b", "setenv A=b c", "setenv %z", "setenv =A", "setenv A %h", "setenv",
	"umask 022", "umask 0999", "umask 1000", "umask -1", "umask 40000000022", "umask", "nice", "nice 5", "nice -5", "nice x", "linger 5", "linger -1", "linger 4294967300", "linger", "keepalive", "keepalive yes", "keepalive =",
	"group nogroup", "group nosuch", "group", "", " ", "allow =", "allow x", "sev info", "/bin/echo hi", "twist a\\:b", "spawn echo \\: deny", "deny#", "allow # comment",
}

func (g *Generator) rule() string {
	colon := func() string { return g.Pick(":", ": ", " : ", ":", " :") }
	s := g.list(g.daemon) + colon() + g.list(g.client)
	for n := g.IntN(4); n > 1; n-- {
		s += colon() + g.Pick(optionWords...)
	}
	if g.Chance(6) {
		s += colon()
	}
	if g.Chance(2) {
		s += ": setenv A " + strings.Repeat(g.Pick("%d", "%h", "%%", "%q"), 60+g.IntN(200))
	}
	if g.Chance(4) {
		i := g.IntN(len(s) + 1)
		s = s[:i] + g.Pick("\\\n", "\\\r\n", "\n", "\\\n\\\n", "\\") + s[i:]
	}
	return s
}

// Table is a table of up to five lines.
func (g *Generator) Table() string {
	var b strings.Builder
	for n := g.IntN(6); n > 0; n-- {
		switch k := g.IntN(100); {
		case k < 84:
			b.WriteString(g.rule() + g.Pick("\n", "\n", "\n", "\n", " \n", "\r\n", "# x\n", " # x: y\n"))
		case k < 88:
			b.WriteString(g.Pick("# a comment\n", "# note \\\n", " # ALL: ALL\n", "\n", "  \t\n", "no colon here\n", ":\n", "ALL:\n", ": ALL\n", "\\\n"))
		case k < 90:
			b.WriteString("sshd: " + strings.Repeat("x", 2030+g.IntN(16)) + "\n")
		case k < 92:
			b.WriteString("sshd:" + strings.Repeat(" a", 500) + "\\\n" + strings.Repeat(" b", 400+g.IntN(200)) + " ALL\n")
		case k < 93:
			b.WriteString("#" + strings.Repeat("-", 2040+g.IntN(20)) + "\n")
		case k < 94:
			r := g.rule()
			i := g.IntN(len(r) + 1)
			b.WriteString(r[:i] + "\x00" + r[i:] + "\n")
		default:
			b.WriteString(g.Pick("ALL: ALL\n", "ALL: PARANOID\n", "sshd: 10.1.2.0/24\n", "ALL: .example.org EXCEPT x.example.org\n", "ALL EXCEPT sshd: ALL\n"))
		}
	}
	s := b.String()
	if g.Chance(4) {
		s = strings.TrimSuffix(s, "\n")
	}
	return s
}

// Tame makes tables that strict mode mostly takes.
type Tame struct{ *Generator }

func (g Tame) client() string {
	return g.Pick("10.1.2.3", "10.1.2.0/24", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "10.1.", "192.0.2.", "[2001:db8::]/32", "[2001:db8::5]", "[::]/0", "0.0.0.0/0.0.0.0",
		"ALL", "ALL", "KNOWN", "UNKNOWN", "PARANOID", ".example.org", "host.example.org", "*.example.net", "ALL@10.1.2.3", "UNKNOWN PARANOID .example.net")
}

func (g Tame) daemon() string {
	d := g.Pick("ALL", "ALL", "sshd", "in.ftpd", "in.*", "22", "23", "rpcbind", "ssh.", ".ftpd")
	if g.Chance(10) {
		d += "@" + g.Pick("192.0.2.1", "192.0.2.0/24", "ALL", "198.51.100.1")
	}
	return d
}

func (g Tame) list(one func() string) string {
	s := one()
	for g.Chance(30) {
		s += g.Pick(" ", ", ", ",") + one()
	}
	for g.Chance(15) {
		s += " EXCEPT " + one()
	}
	return s
}

// Table is a table of up to three lines.
func (g Tame) Table() string {
	var b strings.Builder
	for n := g.IntN(4); n > 0; n-- {
		if g.Chance(4) {
			b.WriteString(g.rule() + "\n")
			continue
		}
		b.WriteString(g.list(g.daemon) + ": " + g.list(g.client))
		if g.Chance(20) {
			b.WriteString(": " + g.Pick("allow", "deny", "severity info", "keepalive: deny", "banners /x"))
		}
		b.WriteString("\n")
	}
	return b.String()
}
