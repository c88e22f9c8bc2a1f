package hostsaccess

import "strings"

// Request is one connection as libwrap sees it. Empty texts are unknown.
type Request struct {
	// Daemon is the name of the service's process.
	Daemon string
	// Addr is the client's address as text (see Text); Name is its host name, or "unknown", or
	// "paranoid" where name and address disagree; User is what its ident server says.
	Addr, Name, User string
	// ServerAddr, ServerName and ServerPort are where it came to; 0 is no port.
	ServerAddr, ServerName string
	ServerPort             int
}

// nameRoom is what libwrap keeps of each text of a request.
const nameRoom = 127

// normal is the request with every text there, and cut as libwrap cuts it.
func (q Request) normal() Request {
	for _, s := range []*string{&q.Daemon, &q.Addr, &q.Name, &q.User, &q.ServerAddr, &q.ServerName} {
		if *s == "" {
			*s = unknown
		}
		*s = (*s)[:min(len(*s), nameRoom)]
		if i := strings.IndexByte(*s, 0); i >= 0 {
			*s = (*s)[:i]
		}
	}
	return q
}

// World answers what tables ask of a host. What is nil, and what is not known, is decided
// against the client: the rule does not match where that would admit, and does where it
// would deny.
type World struct {
	// Netgroup is innetgr(3).
	Netgroup func(group, name string) bool
	// File is the text of a file of patterns, "" where there is none; ok is false where it is
	// not known.
	File func(path string) (text string, ok bool)
	// Command runs a command of aclexec and tells whether it ended with 0.
	Command func(command string) bool
	// Interface tells whether there is a network interface of that name.
	Interface func(name string) bool
	// User and Group tell whether there are such.
	User, Group func(name string) bool
}

// Decision is what the tables answer.
type Decision struct {
	Allow bool
	// Twist is the command that runs in place of the service, "" for none; Allow is false.
	Twist string
	// Table and Rule are what decided: Rule is nil where no rule did, and Table where none of
	// the two had a say.
	Table *Table
	Rule  *Rule
	// Unsure says that what decided is not known to hold on the host: it was decided against
	// the client.
	Unsure bool
	// Why says in words what else than a match decided, or is "".
	Why string
}

// Decide answers as hosts_access(3) does: the first matching rule of allow, then of deny,
// else the client is admitted.
func Decide(allow, deny *Table, q Request, w *World) Decision {
	q = q.normal()
	m := &matcher{q: &q, w: w}
	if w == nil {
		m.w = &World{}
	}
	return m.tables(allow, deny, false)
}

// tables decides by both tables. failed says that an aclexec has failed already, which
// libwrap never forgets: no later rule with options counts as a match.
func (m *matcher) tables(allow, deny *Table, failed bool) Decision {
	d, decided, failed := m.table(allow, true, failed, func(failed bool) Decision { return m.denyTable(deny, failed) })
	if decided {
		return d
	}
	return m.denyTable(deny, failed)
}

func (m *matcher) denyTable(deny *Table, failed bool) Decision {
	open := Decision{Allow: true, Why: "no rule matches"}
	d, decided, _ := m.table(deny, false, failed, func(bool) Decision { return open })
	switch {
	case decided:
		return d
	case deny != nil && deny.Unreadable:
		return Decision{Table: deny, Why: "the table cannot be read"}
	}
	return open
}

// table walks one table; admits is what a match without options comes to. After a failed
// aclexec the rest of the table does not count: then says what comes next.
func (m *matcher) table(t *Table, admits, failed bool, then func(failed bool) Decision) (d Decision, decided, stillFailed bool) {
	if t == nil {
		return d, false, failed
	}
	for i := range t.Rules {
		r := &t.Rules[i]
		hit := and(m.list(&r.Daemons, m.daemon), func() answer { return m.list(&r.Clients, m.client) })
		if hit == no {
			continue
		}
		d := m.matched(t, r, admits, failed, then)
		if hit == yes {
			return d, true, failed
		}
		if !d.Allow {
			d.Unsure = true
			return d, true, failed
		}
	}
	if t.Broken > 0 && !admits {
		return Decision{Table: t, Why: "a line of the table is too long or has no newline, which denies everybody"}, true, failed
	}
	return d, false, failed
}

// matched is what a rule that matches comes to.
func (m *matcher) matched(t *Table, r *Rule, admits, failed bool, then func(bool) Decision) Decision {
	d := Decision{Allow: admits, Table: t, Rule: r}
	if !r.hasOptions {
		return d
	}
	return m.options(d, r.options, failed, then)
}

// options runs the options of a rule that matches, from left to right.
func (m *matcher) options(d Decision, rest []option, failed bool, then func(bool) Decision) Decision {
	for i := range rest {
		o := &rest[i]
		if o.wrong != "" {
			return d.deny(o.wrong)
		}
		value := o.value
		if o.expands() {
			var ok bool
			if value, ok = expand(value, m.q); !ok {
				return d.deny("the expanded value of option " + o.key + " is too long, which ends the process")
			}
		}
		switch o.key {
		case "allow":
			d.Allow = true
			return d
		case "deny":
			return d.deny("")
		case "twist":
			d = d.deny("another program answers in place of the service")
			d.Twist = value
			return d
		case "setenv":
			if !setenvOK(value) {
				return d.deny("setenv(3) does not take the name")
			}
		case "user", "group":
			if next, done := m.account(d, o); done {
				return next
			}
		case "aclexec":
			if m.w.Command != nil {
				failed = failed || !m.w.Command(value)
				continue
			}
			if failed {
				continue
			}
			return m.either(d, rest[i+1:], then)
		}
	}
	if failed {
		return then(true)
	}
	return d
}

// either decides on both ends of a command that nobody runs here.
func (m *matcher) either(d Decision, rest []option, then func(bool) Decision) Decision {
	good := m.options(d, rest, false, then)
	bad := m.options(d, rest, true, then)
	if bad.Allow == good.Allow && bad.Twist == good.Twist {
		return good
	}
	if !good.Allow {
		bad = good
	}
	bad.Unsure = true
	return bad
}

// account is what user and group come to: an unknown one denies, a known one changes
// nothing in Debian's libwrap.
func (m *matcher) account(d Decision, o *option) (Decision, bool) {
	user, group, both := o.value, "", false
	if o.key == "user" {
		user, group, both = cut(o.value, '.')
	} else {
		user, group, both = "", o.value, true
	}
	for _, a := range []struct {
		name string
		ask  bool
		is   func(string) bool
	}{{group, both, m.w.Group}, {user, o.key == "user", m.w.User}} {
		switch {
		case !a.ask:
		case a.is == nil:
			d = d.deny("whether the host has the account of option " + o.key + " is not known here")
			d.Unsure = true
			return d, true
		case !a.is(a.name):
			return d.deny("the host has no such account"), true
		}
	}
	return d, false
}

func (d Decision) deny(why string) Decision {
	d.Allow, d.Why = false, why
	return d
}
