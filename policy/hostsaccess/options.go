package hostsaccess

import (
	"fmt"
	"slices"
	"strings"
)

// option is one option of a rule.
type option struct {
	text     string // as written
	key      string // in lower case
	value    string
	hasValue bool
	wrong    string // why libwrap stops here and denies, whatever the request
}

// optionRow is what libwrap's table says of an option.
type optionRow struct {
	name                    string
	needs, may, last, expan bool
}

var optionRows = []optionRow{
	{name: "user", needs: true}, {name: "group", needs: true}, {name: "umask", needs: true},
	{name: "linger", needs: true}, {name: "keepalive"},
	{name: "spawn", needs: true, expan: true}, {name: "aclexec", needs: true, expan: true},
	{name: "twist", needs: true, expan: true, last: true},
	{name: "rfc931", may: true}, {name: "setenv", needs: true, expan: true}, {name: "nice", may: true},
	{name: "severity", needs: true}, {name: "allow", last: true}, {name: "deny", last: true},
	{name: "banners", needs: true},
}

// Severities and facilities that libwrap knows.
var (
	severities = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	facilities = []string{"kern", "user", "mail", "daemon", "auth", "lpr", "news", "uucp", "cron",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
)

func parseOptions(s string) []option {
	fields := optionFields(s)
	out := make([]option, 0, len(fields))
	for i, f := range fields {
		o := parseOption(f)
		if k := slices.IndexFunc(optionRows, func(r optionRow) bool { return r.name == o.key }); o.wrong == "" {
			o.judge(k, i < len(fields)-1)
		}
		out = append(out, o)
	}
	return out
}

// optionFields splits at colons; \: is one that does not.
func optionFields(s string) (out []string) {
	for s != "" {
		var b strings.Builder
		i := 0
		for ; i < len(s) && s[i] != ':'; i++ {
			if s[i] == '\\' && i+1 < len(s) && s[i+1] == ':' {
				i++
			}
			b.WriteByte(s[i])
		}
		out = append(out, b.String())
		s = s[min(i+1, len(s)):]
	}
	return out
}

// chop takes the blanks off both ends, as isspace(3) has them.
func chop(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) })
}

// parseOption splits a keyword from its value, with one "=" between them.
func parseOption(field string) option {
	o := option{text: chop(field)}
	s := o.text
	i := strings.IndexAny(s, "="+blanks)
	if i < 0 {
		i = len(s)
	}
	o.key, s = s[:i], s[i:]
	if s != "" {
		if s[0] != '=' {
			s = strings.TrimLeft(s, blanks)
		}
		if after, ok := strings.CutPrefix(s, "="); ok {
			s = strings.TrimLeft(after, blanks)
		}
	}
	o.value, o.hasValue = s, s != ""
	if o.key == "" {
		o.wrong = "an option is empty"
	}
	b := []byte(o.key)
	for i := range b {
		b[i] = lower(b[i])
	}
	o.key = string(b)
	return o
}

// judge finds what is wrong with an option whatever the request.
func (o *option) judge(row int, more bool) {
	if row < 0 {
		o.wrong = fmt.Sprintf("there is no option %q", o.key)
		return
	}
	r := &optionRows[row]
	switch {
	case !o.hasValue && r.needs:
		o.wrong = fmt.Sprintf("option %q needs a value", o.key)
	case o.hasValue && !r.needs && !r.may:
		o.wrong = fmt.Sprintf("option %q takes no value", o.key)
	case more && r.last:
		o.wrong = fmt.Sprintf("option %q is not the last one", o.key)
	case !o.valueOK():
		o.wrong = fmt.Sprintf("option %q does not take %q", o.key, o.value)
	}
}

// valueOK checks a value that needs no request to be judged.
func (o *option) valueOK() bool {
	switch o.key {
	case "umask":
		n, ok := scanned(o.value, 8, false)
		return ok && n <= 0o777
	case "linger":
		n, ok := scanned(o.value, 10, true)
		return ok && int32(n) >= 0
	case "nice":
		_, ok := scanned(o.value, 10, true)
		return ok || !o.hasValue
	case "rfc931":
		n, ok := scanned(o.value, 10, true)
		return ok && int32(n) > 0 || !o.hasValue
	case "severity":
		facility, level, both := cut(o.value, '.')
		is := func(names []string, s string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return equal(n, s) })
		}
		if !both {
			return is(severities, facility)
		}
		return is(facilities, facility) && is(severities, level)
	}
	return true
}

// expands tells whether %-letters in the option's value stand for facts of the request.
func (o *option) expands() bool {
	return slices.ContainsFunc(optionRows, func(r optionRow) bool { return r.name == o.key && r.expan })
}

// expansionBuffer is the room for a value with its %-letters expanded; libwrap ends the
// process where that is too small.
const expansionBuffer = 8192

// shellSafe are the bytes of an expansion that stay as they are.
const shellSafe = "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// expand replaces %-letters; it fails where libwrap would end.
func expand(s string, q *Request) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
		} else {
			i++
			for _, c := range []byte(q.letter(s[i])) {
				if strings.IndexByte(shellSafe, c) < 0 {
					c = '_'
				}
				b.WriteByte(c)
			}
		}
		if b.Len() >= expansionBuffer-1 {
			return "", false
		}
	}
	return chop(b.String()), true
}

// letter is what a %-letter stands for.
func (q *Request) letter(c byte) string {
	at := func(who, host string) string {
		if known(who) {
			return who + "@" + host
		}
		return host
	}
	info := func(name, addr string) string {
		if known(name) {
			return name
		}
		return addr
	}
	switch c {
	case 'a':
		return q.Addr
	case 'A':
		return q.ServerAddr
	case 'c':
		return at(q.User, info(q.Name, q.Addr))
	case 'd':
		return q.Daemon
	case 'h':
		return info(q.Name, q.Addr)
	case 'H':
		return info(q.ServerName, q.ServerAddr)
	case 'n':
		return q.Name
	case 'N':
		return q.ServerName
	case 'p':
		return "00000" // of a process that there is not
	case 'r':
		return "00000"
	case 'R':
		return fmt.Sprint(q.ServerPort)
	case 's':
		return at(q.Daemon, info(q.ServerName, q.ServerAddr))
	case 'u':
		return q.User
	case '%':
		return "%"
	}
	return ""
}

// setenvOK tells whether setenv(3) takes what the option's value comes to.
func setenvOK(value string) bool {
	name, _, _ := strings.Cut(value, " ")
	if i := strings.IndexAny(value, blanks); i >= 0 {
		name = value[:i]
	}
	return name != "" && !strings.Contains(name, "=")
}
