package hostsaccess

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/trace"
)

// Kind sorts what Translate has to say of a line.
type Kind string

// The kinds.
const (
	// Lost: what the line says has no counterpart; the rules deny where it matters.
	Lost Kind = "lost"
	// Quirk: libwrap takes the line otherwise than it reads; the rules decide as libwrap does.
	Quirk Kind = "quirk"
)

// Fault is a line that means something else than it looks like, or that a policy cannot say.
type Fault struct {
	File string
	Line int
	Kind Kind
	// What is wrong, and what to write instead, each without a full stop.
	What, Instead string
}

// Error returns file, line, what is wrong and what to write instead.
func (f Fault) Error() string { return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.What, f.Instead) }

// Rules are both tables in the terms of the policy language, in their order. Where a line
// cannot be said, they are less open than libwrap, never more.
type Rules struct {
	Rules  []Translated
	Faults []Fault
}

// Translated is one rule of a table.
type Translated struct {
	Table *Table
	Rule  *Rule // nil for the end of a broken hosts.deny, which denies everybody
	// Clients are what the client list comes to: each with the verdict, one after the other.
	Clients []acl.Rule
	deny    bool // what a doubtful daemon comes to
}

// Translate says both tables in the terms of the policy language. A nil table is an absent one.
func Translate(allow, deny *Table) *Rules {
	t := &translator{out: &Rules{}}
	t.tableOf(allow, acl.Allow)
	t.tableOf(deny, acl.Deny)
	return t.out
}

type translator struct {
	out   *Rules
	table *Table
	line  int
}

func (t *translator) fault(k Kind, instead, format string, args ...any) {
	f := Fault{t.table.Name, t.line, k, fmt.Sprintf(format, args...), instead}
	if !slices.Contains(t.out.Faults, f) {
		t.out.Faults = append(t.out.Faults, f)
	}
}

func (t *translator) tableOf(table *Table, usual acl.Verdict) {
	if t.table = table; table == nil {
		return
	}
	if table.Unreadable {
		t.fault(Lost, "make it readable", "the table cannot be read")
	}
	for i := range table.lines {
		l := &table.lines[i]
		t.line = l.first
		t.lineOf(l)
		if l.rule >= 0 {
			t.rule(&table.Rules[l.rule], usual)
		}
	}
	if usual == acl.Deny && (table.Broken > 0 || table.Unreadable) {
		all := Translated{Table: table, Clients: []acl.Rule{{Verdict: acl.Deny, From: []acl.Pattern{acl.Any}}}, deny: true}
		t.out.Rules = append(t.out.Rules, all)
	}
}

// lineOf finds what is wrong with a line whatever it says.
func (t *translator) lineOf(l *line) {
	switch {
	case l.broken:
		what := "the line has no newline at its end, so it and the rest of the table do not count"
		if len(l.text) > lineBuffer-2 {
			what = "the line is longer than 2047 bytes, so it and the rest of the table do not count"
		}
		t.fault(Quirk, "end it with a newline, and split long rules in two", "%s; in hosts.deny everybody is denied", what)
	case l.comment && l.last > l.first:
		t.fault(Quirk, `take the \ off`, "the comment ends in a backslash and swallows line %d", l.last)
	case l.noColon:
		t.fault(Quirk, "write daemons : clients, or begin the line with #", "the line has no colon and says nothing")
	case l.rule >= 0 && strings.Contains(l.text, "#"):
		t.fault(Quirk, "comments are lines that begin with #", "the # is part of the rule, not a comment")
	case l.rule >= 0 && strings.ContainsAny(l.text, "\r\x00"):
		t.fault(Quirk, "save the file with plain newlines", "the line has a carriage return or a NUL in it")
	case l.rule >= 0 && !balanced(l.text):
		t.fault(Quirk, "write IPv6 addresses as [2001:db8::1]", "brackets do not match, which hides colons")
	}
}

// balanced tells whether brackets come in pairs.
func balanced(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth < 0 || depth > 1 {
			return false
		}
	}
	return depth == 0
}

// rule translates one rule.
func (t *translator) rule(r *Rule, usual acl.Verdict) {
	if bare := bareAddress(r.Text); bare != "" {
		t.fault(Quirk, "write ["+bare+"]", "%s is split at its colons", bare)
	}
	t.lists(&r.Daemons, "daemon")
	t.lists(&r.Clients, "client")
	v := t.verdict(r, usual)
	t.daemons(&r.Daemons)
	out := Translated{Table: t.table, Rule: r, deny: v == acl.Deny}
	out.Clients = t.clients(&r.Clients, v)
	for i := range out.Clients {
		if trace.Evadable(&out.Clients[i]) {
			t.fault(Quirk, "add UNKNOWN and PARANOID to the names, or name addresses", "a client gets around the rule by having no name in the DNS")
		}
	}
	t.out.Rules = append(t.out.Rules, out)
}

// bareAddress is an IPv6 address outside brackets, or "".
func bareAddress(s string) string {
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		if strings.Count(w, ":") < 2 || strings.Contains(w, "[") {
			continue
		}
		for _, w := range []string{w, strings.TrimSuffix(w, ":"), w[strings.IndexByte(w, ':')+1:]} {
			if _, err := netip.ParseAddr(strings.SplitN(w, "/", 2)[0]); err == nil && strings.Contains(w, ":") {
				return w
			}
		}
	}
	return ""
}

// lists finds lists that never match, and exceptions that except nothing.
func (t *translator) lists(l *List, of string) {
	switch {
	case len(l.Patterns) == 0 && l.Except == nil:
		t.fault(Quirk, "write ALL, or remove the rule", "the %s list is empty and matches nothing", of)
	case len(l.Patterns) == 0:
		t.fault(Quirk, "write ALL EXCEPT ...", "the %s list begins with EXCEPT and matches nothing", of)
	}
	for e := l.Except; e != nil; e = e.Except {
		if len(e.Patterns) == 0 {
			t.fault(Quirk, "remove it", "an EXCEPT of the %s list excepts nothing", of)
		}
	}
}

// instead of options whose effect a policy has elsewhere, or has not.
var optionInstead = map[string]string{
	"severity":  "every decision is in casemate's log; log = \"refusals\" of the service says how much",
	"keepalive": "write socket { keepalive = \"2m\" } in the service",
	"linger":    "there is no counterpart",
	"nice":      "give the service's profile a cpu share",
	"umask":     "write umask in the service",
	"setenv":    "write env in the service; the client's address is in its environment already",
	"banners":   "write banner_accept = { file = \"NAME.banner\" } in the service: nothing in it is expanded",
	"rfc931":    "there is no ident lookup: what it answers is the client's own word",
	"spawn":     "no shell runs; every decision is in the log, for programs to read",
	"twist":     "write an allow rule for those clients with command = [...], in which nothing of the client is, or banner",
	"aclexec":   "write the addresses it would find into the rule, or filter in the program",
	"user":      "write user in the service",
	"group":     "write group in the service",
}

// verdict is what a rule that matches comes to. Doubt denies.
func (t *translator) verdict(r *Rule, usual acl.Verdict) acl.Verdict {
	v, doubt := usual, false
	for i := range r.options {
		o := &r.options[i]
		if o.wrong != "" {
			t.fault(Quirk, "write the option as hosts_options(5) has it, or remove it", "%s, which denies", o.wrong)
			return acl.Deny
		}
		if o.expands() && len(o.value)+2*nameRoom*strings.Count(o.value, "%") >= expansionBuffer {
			t.fault(Lost, "shorten it", "the value of option %q may be too long once expanded", o.key)
			doubt = true
		}
		switch o.key {
		case "allow":
			if doubt {
				return acl.Deny
			}
			return acl.Allow
		case "deny":
			return acl.Deny
		case "twist":
			instead := optionInstead[o.key]
			if usual == acl.Deny {
				instead += "; the line without the option denies as well"
			}
			t.fault(Lost, instead, "another program would answer in place of the service: its clients are denied")
			return acl.Deny
		case "aclexec", "user", "group":
			t.fault(Lost, optionInstead[o.key], "option %q is not carried over: the rule's clients are denied", o.key)
			// An aclexec before allow decides nothing, and neither does an account that is there.
			doubt = doubt || o.key != "aclexec" || !endsIn(r.options, "allow")
		case "setenv":
			name, _, _ := strings.Cut(o.value, " ")
			doubt = doubt || strings.ContainsAny(name, "%=")
			fallthrough
		default:
			t.fault(Lost, optionInstead[o.key], "option %q is not carried over", o.key)
		}
	}
	if doubt {
		return acl.Deny
	}
	return v
}

func endsIn(options []option, key string) bool {
	return len(options) > 0 && options[len(options)-1].key == key
}
