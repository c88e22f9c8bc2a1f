package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/listener/address"
	"casemate/listener/address/spell"
	"casemate/listener/endpoint"
	"casemate/policy/lang"
)

// claim is an address that a table gives to a service.
type claim struct {
	u   *unit
	l   address.Listen
	end endpoint.Endpoint
}

// key is what overlapping endpoints have in common.
func (c *claim) key() string {
	return cmp.Or(c.end.Path, fmt.Sprint(c.end.Network, c.end.Addr.Port()))
}

// contested settles who is served where several services claim one address, and nothing here
// tells which of them ran: one that provably admits no client whom another one denies, or
// nobody. Of those that admit the same clients the first is served.
func (p *page) contested() {
	claims := map[string][]claim{}
	for _, u := range p.units {
		if u.service == nil || u.service.disabled != "" {
			continue
		}
		for _, s := range u.service.listen {
			l, err := spell.Parse(s, lang.Port)
			if err != nil {
				continue // the compiler says so, and the service is not served
			}
			for _, e := range l.Endpoints() {
				for _, a := range u.service.socket {
					if name, ok := strings.CutPrefix(a, "interface = "); ok && !l.Unix() {
						e.Interface = name
					}
				}
				c := claim{u, l, e}
				claims[c.key()] = append(claims[c.key()], c)
			}
		}
	}
	lost := map[*unit]func(){} // after all are compared: who is not served has claims as well
	for _, key := range slices.Sorted(maps.Keys(claims)) {
		list := claims[key]
		for i := range list {
			for k := range list {
				a, b := &list[i], &list[k]
				if a.u == b.u || lost[a.u] != nil || len(a.u.service.off) > 0 || !address.Overlap(a.end, b.end) {
					continue
				}
				if why := a.yields(b, i > k); why != "" {
					lost[a.u] = func() { p.yield(a, b, why) }
				}
			}
		}
	}
	for _, u := range p.units {
		if yield := lost[u]; yield != nil {
			yield()
		}
	}
}

// yields says why c is not served where other claims its address, or "".
func (c *claim) yields(other *claim, behind bool) string {
	admits, others := c.u.service.admits(), other.u.service.admits()
	narrower, wider := within(&admits, &others), within(&others, &admits)
	if c.end.Unix() && !slices.Equal(c.u.service.socket, other.u.service.socket) {
		narrower, wider = false, false // the file's mode and owner decide as well
	}
	switch {
	case narrower && wider && behind && len(other.u.service.off) == 0:
		return "which admits the same clients, and is served"
	case narrower:
		return ""
	case wider:
		return "which admits fewer clients"
	}
	return "and neither of the two admits only whom the other one does, so neither is served"
}

// yield makes a comment of a service for the sake of another one.
func (p *page) yield(c, other *claim, why string) {
	p.lost(c.u.file, c.u.line, c.u.what, "this host has both: which one ran? serve that one, and remove the other",
		"it stands in a comment, for %s is claimed by %s:%d as well, %s", c.l, other.u.file, other.u.line, why)
	c.u.demote(fmt.Sprintf("%s is claimed by %s:%d as well, %s", c.l, other.u.file, other.u.line, why))
}

// admits is whom the service lets in, as it is written.
func (s *service) admits() acl.List {
	switch {
	case len(s.closed) > 0:
		return acl.List{Default: acl.Deny}
	case s.anyone:
		return acl.List{Default: acl.Allow}
	}
	return s.acl
}

// demote makes a comment of the unit.
func (u *unit) demote(why string) {
	u.off = true
	lines := strings.Split(string(u.text), "\n")
	for k, l := range lines {
		lines[k] = strings.TrimRight("# "+strings.TrimPrefix(l, "# "), " ")
	}
	u.text = []byte(strings.Join(append([]string{"# Not served: " + printable(why) + "."}, lines...), "\n"))
}
