package reach

import (
	"net/netip"
	"slices"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
)

// byName tells whether the clause matches as far as names go: where one is not known, what would admit does not match, and
// what would deny does.
func (c *clause) byName(n decide.Name) bool {
	open := false
	if !c.sure {
		match, known := c.from.matches(n)
		if known && !match {
			return false
		}
		open = !known
	}
	if c.except != nil {
		match, known := c.except.matches(n)
		if known && match {
			return false
		}
		open = open || !known
	}
	return !open || c.verdict == acl.Deny
}

// byLocal and byTime are likewise.
func (c *clause) byLocal(a netip.Addr) bool {
	switch {
	case c.to == nil:
		return true
	case !a.IsValid():
		return c.verdict == acl.Deny
	}
	return c.to.Contains(AtAddr(a))
}

func (c *clause) byTime(t time.Time) bool {
	if len(c.during) == 0 {
		return true
	}
	m := decide.Minute(c.zone, t)
	return slices.ContainsFunc(c.during, func(s acl.Span) bool { return s[0] <= m && m < s[1] })
}

// answers are what the clauses of a row say of each circumstance of a view.
type answers struct {
	clauses             []*clause
	name, local, during [][]bool
}

func (v *view) ask(clauses []*clause) *answers {
	a := &answers{clauses: clauses}
	for _, c := range clauses {
		name, local, during := make([]bool, len(v.names)), make([]bool, len(v.locals)), make([]bool, len(v.times))
		for i := range v.names {
			name[i] = c.byName(v.names[i].name)
		}
		for i := range v.locals {
			local[i] = c.byLocal(v.locals[i].addr)
		}
		for i := range v.times {
			during[i] = c.byTime(v.times[i].at)
		}
		a.name, a.local, a.during = append(a.name, name), append(a.local, local), append(a.during, during)
	}
	return a
}

// winner is the first clause that matches, nil for none.
func (a *answers) winner(name, local, at int) *clause {
	for i := range a.clauses {
		if a.name[i][name] && a.local[i][local] && a.during[i][at] {
			return a.clauses[i]
		}
	}
	return nil
}

// Rule is the rule of the list that decides about a client who is in one of the spellings that count, whose name
// has been asked for and whose time is known; decide.RuleDefault where none does.
func (t *Table) Rule(c decide.Client) int {
	p := Point{}
	if c.Peer != "" {
		s, _ := Of(c.Peer)
		p = s.First
	} else {
		p = AtAddr(c.Addr)
	}
	for _, cl := range t.space.row(t.at(p)) {
		if cl.byName(c.Name) && cl.byLocal(c.Local) && cl.byTime(c.At) {
			return cl.rule
		}
	}
	return decide.RuleDefault
}
