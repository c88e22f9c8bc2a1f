package hostsaccess

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/pattern"
)

// Daemons are the names that the tables name one by one, sorted: each has a list of its own.
func (r *Rules) Daemons() (names []string) {
	for _, t := range r.Rules {
		if t.Rule == nil {
			continue
		}
		for l := &t.Rule.Daemons; l != nil; l = l.Except {
			for _, p := range l.Patterns {
				name, _, _ := cutAt(p)
				if literal(name) && !slices.Contains(names, pattern.Lower(name)) {
					names = append(names, pattern.Lower(name))
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// literal tells whether a daemon pattern stands for one name.
func literal(p string) bool {
	_, port := portOf(p)
	return !port && !strings.ContainsAny(p, "*?") && p[0] != '.' && !strings.HasSuffix(p, ".") && p[0] != '[' &&
		!equal(p, "ALL") && !equal(p, "KNOWN")
}

func portOf(p string) (int, bool) {
	n, ok := scanned(p, 10, false)
	return int(n), ok && n <= 0xffff
}

// Origin is where a rule of a List was written.
type Origin struct {
	Table *Table
	Rule  *Rule // nil for a hosts.deny that cannot be read to its end
}

// Doubts are the daemon patterns of which nobody can say whether they stand for a daemon
// that the tables do not name: its List has them where they deny, and not where they admit.
func (r *Rules) Doubts() (out []Fault) {
	for _, t := range r.Rules {
		if t.Rule == nil {
			continue
		}
		for l := &t.Rule.Daemons; l != nil; l = l.Except {
			for _, p := range l.Patterns {
				name, _, _ := cutAt(p)
				if literal(name) || equal(name, "ALL") || equal(name, "KNOWN") {
					continue
				}
				what := fmt.Sprintf("which daemons %q stands for is known of those alone that the tables name", name)
				if _, port := portOf(name); port {
					what = fmt.Sprintf("which daemon is at port %s is not known", name)
				}
				f := Fault{t.Table.Name, t.Rule.Line, Lost, what + ": for others the rule holds where it denies, and not where it admits", "write the names of the daemons"}
				if !slices.Contains(out, f) {
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// List is the acl of one daemon at one port: its rules in their order, then everybody. ""
// is a daemon that the tables do not name, and port 0 one that is not known: what patterns
// stand for is not known then either. origins has one entry for each rule.
func (r *Rules) List(daemon string, port int) (l acl.List, origins []Origin) {
	l.Default = acl.Allow
	for _, t := range r.Rules {
		hit, to := true, []netip.Prefix(nil)
		if t.Rule != nil {
			hit, to = t.daemon(&t.Rule.Daemons, daemon, port)
		}
		if !hit {
			continue
		}
		for _, c := range t.Clients {
			c.To = to
			l.Rules, origins = append(l.Rules, c), append(origins, Origin{t.Table, t.Rule})
		}
	}
	return l, origins
}

// daemon tells whether a rule is about a daemon, and for which addresses of the server.
func (t *Translated) daemon(l *List, daemon string, port int) (hit bool, to []netip.Prefix) {
	everywhere := false
	for _, p := range l.Patterns {
		name, host, at := cutAt(p)
		if !t.names(name, daemon, port, t.deny) {
			continue
		}
		server, ok := serverPattern(host)
		switch {
		case !at || ok && server == (netip.Prefix{}):
			everywhere = true
		case ok:
			to = append(to, server)
		case t.deny:
			everywhere = true
		}
	}
	hit = everywhere || len(to) > 0
	if everywhere {
		to = nil
	}
	if !hit || l.Except == nil {
		return hit, to
	}
	excepted := Translated{deny: !t.deny}
	if out, only := excepted.daemon(l.Except, daemon, port); out && (only == nil || !t.deny) {
		return false, nil
	}
	return hit, to
}

// names matches a daemon pattern; doubt is what holds where it cannot be known.
func (t *Translated) names(p, daemon string, port int, doubt bool) bool {
	n, isPort := portOf(p)
	switch {
	case equal(p, "ALL") || equal(p, "KNOWN"):
		return true
	case isPort && port == 0:
		return doubt
	case isPort:
		return n == port
	case daemon == "":
		return doubt && !literal(p)
	}
	m := &matcher{q: &Request{Daemon: daemon}, w: &World{}}
	return m.text(p, daemon) == yes
}

// serverPattern is an address or network of the server; the zero Prefix is all of them.
func serverPattern(w string) (netip.Prefix, bool) {
	p, _, what, _ := clientPattern(w)
	if what != "" || w == "" {
		return netip.Prefix{}, false
	}
	if p == acl.Any {
		return netip.Prefix{}, true
	}
	return prefixOf(p)
}

// daemons finds daemon patterns that a policy cannot say.
func (t *translator) daemons(l *List) {
	for e := l; e != nil; e = e.Except {
		for _, p := range e.Patterns {
			name, host, at := cutAt(p)
			if equal(name, "KNOWN") || equal(name, "LOCAL") {
				t.fault(Quirk, "write ALL, or the names", "%q is no wildcard for daemons: KNOWN is every one, LOCAL one of that name", name)
			} else if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*?+") != "" {
				t.fault(Quirk, "write the name of the program", "%q is the name of no daemon", name)
			}
			if !at {
				continue
			}
			if _, ok := serverPattern(host); !ok {
				t.fault(Lost, "write daemon@address or daemon@network", "where the server is asked for, %q is no address", host)
			} else if e != l {
				t.fault(Lost, "write the addresses that the rule is for", "an EXCEPT with an address of the server")
			}
		}
	}
}

// Client is the request as acl's rules see it. A name that libwrap would cut, and one that
// no host can have, count as names that nobody could look up.
func (q Request) Client() (c decide.Client) {
	c.Addr, c.Local = plainAddr(q.Addr), plainAddr(q.ServerAddr)
	host := pattern.Lower(strings.TrimSuffix(q.Name, "."))
	switch {
	case q.Name == "" || equal(q.Name, unknown):
		c.Name.State = decide.Unknown
	case equal(q.Name, paranoid):
		c.Name.State = decide.Paranoid
	case len(q.Name) > nameRoom || pattern.CheckHost(host) != nil:
		c.Name.State = decide.NoAnswer
	default:
		c.Name = decide.Name{State: decide.Known, Host: host}
	}
	return c
}

// plainAddr is an address in its one spelling, or none.
func plainAddr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
