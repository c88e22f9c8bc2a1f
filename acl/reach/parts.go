package reach

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"casemate/acl"
	"casemate/acl/decide"
)

// Part is whom one rule of a list decides about.
type Part struct {
	Rule    int // its index, or decide.RuleDefault
	Verdict acl.Verdict
	// Clients are all of those, under some circumstances at least; Always are those about whom it
	// decides whatever their names, the address they come to and the time are.
	Clients, Always Set
	// Example is one of them.
	Example decide.Client
}

// won is a rule that decides about a row's clients, and where.
type won struct {
	rule    int
	verdict acl.Verdict
	always  bool
	example decide.Client
}

// rowOf is a row for clients of one kind.
type rowOf struct {
	row  nodeID
	kind Kind
}

// Parts tells of each rule, in their order, and of the default whom of a set it decides about. A rule that decides about
// none of them is not there: of Everybody, no client reaches it. The only error is ErrTooMany.
//
// Which part of a network a list admits, and by which rule, are the Parts of Set{OfPrefix(network)} that allow.
func (t *Table) Parts(of Set) ([]Part, error) {
	known := map[rowOf][]won{}
	parts := map[int]*Part{}
	left := allTries
	var failed error
	t.within(of, func(s Span, row nodeID) {
		key := rowOf{row, s.First.Kind}
		winners, ok := known[key]
		if !ok && failed == nil {
			winners, failed = t.winners(key, &left)
			known[key] = winners
		}
		for _, w := range winners {
			p := parts[w.rule]
			if p == nil {
				p = &Part{Rule: w.rule, Verdict: w.verdict, Example: at(w.example, nice(Set{s}))}
				parts[w.rule] = p
			}
			p.Clients = append(p.Clients, s)
			if w.always {
				p.Always = append(p.Always, s)
			}
		}
	})
	if failed != nil {
		return nil, failed
	}
	out := make([]Part, 0, len(parts))
	for _, p := range parts {
		p.Clients, p.Always = normal(p.Clients), normal(p.Always)
		out = append(out, *p)
	}
	order := func(p Part) int {
		if p.Rule == decide.RuleDefault {
			return math.MaxInt
		}
		return p.Rule
	}
	slices.SortFunc(out, func(a, b Part) int { return cmp.Compare(order(a), order(b)) })
	return out, nil
}

// winners are the rules of a row that decide about somebody.
func (t *Table) winners(of rowOf, left *int) ([]won, error) {
	row := t.space.row(of.row)
	if len(row) > 0 && row[0].always() {
		return []won{{rule: row[0].rule, verdict: row[0].verdict, always: true}}, nil
	}
	v, err := look(of.kind, row)
	if err != nil {
		return nil, err
	}
	if *left -= v.tries(len(row)); *left < 0 {
		return nil, ErrTooMany
	}
	var out []won
	index, all := map[int]int{}, 0
	counts := []int{}
	a := v.ask(row)
	v.each(func(name, local, time int) {
		w := won{rule: decide.RuleDefault, verdict: t.list.Default}
		if c := a.winner(name, local, time); c != nil {
			w.rule, w.verdict = c.rule, c.verdict
		}
		i, ok := index[w.rule]
		if !ok {
			i = len(out)
			index[w.rule] = i
			w.example = v.client(name, local, time)
			out, counts = append(out, w), append(counts, 0)
		}
		all++
		counts[i]++
	})
	for i := range out {
		out[i].always = counts[i] == all
	}
	return out, nil
}

// each calls do with each circumstance.
func (v *view) each(do func(name, local, time int)) {
	for n := range v.names {
		for l := range v.locals {
			for t := range v.times {
				do(n, l, t)
			}
		}
	}
}

// client is somebody under these circumstances, without an address yet.
func (v *view) client(name, local, time int) decide.Client {
	return decide.Client{Name: v.names[name].name, Local: v.locals[local].addr, At: v.times[time].at}
}

// at places a client.
func at(c decide.Client, p Point) decide.Client {
	if c.Peer = p.Peer(); c.Peer == "" {
		c.Addr = p.Addr()
	}
	return c
}

// shown are the addresses and numbers that examples have where they can (RFC 5737, RFC 3849).
var shown = []Point{AtAddr(netip.MustParseAddr("198.51.100.7")), AtAddr(netip.MustParseAddr("203.0.113.7")), AtAddr(netip.MustParseAddr("192.0.2.7")),
	AtAddr(netip.MustParseAddr("2001:db8::7")), {User, 0, 1000}, {Machine, 0, 7}}

// nice is a point of a set that is not empty: one that people know, or else one that looks like a client's.
func nice(s Set) Point {
	for _, p := range shown {
		if s.Contains(p) {
			return p
		}
	}
	if p := s[0].First; p != s[0].Last && p.Kind <= IPv6 && p.lo&0xff == 0 {
		return p.next()
	}
	return s[0].First
}

// Shadow is why nobody reaches a rule.
type Shadow struct {
	// By are rules before it, in their order, which together decide about each client that it matches, none of which could be
	// left out. There is none where its own except leaves nobody.
	By []int
	// Cut says that they are the first 32 of more.
	Cut bool
}

// mostShadows bounds how many rules a Shadow names.
const mostShadows = 32

// Shadow gives what keeps all clients from the rule of that index, nil if somebody reaches it. The only error is ErrTooMany.
func (t *Table) Shadow(rule int) (*Shadow, error) {
	var by []int
	for {
		c, reached, err := t.reaches(append(slices.Clone(by), rule))
		if err != nil {
			return nil, err
		}
		if !reached {
			break
		}
		if len(by) == mostShadows {
			return &Shadow{by, true}, nil
		}
		k := t.Rule(c)
		if k == rule {
			return nil, nil
		}
		i, _ := slices.BinarySearch(by, k)
		by = slices.Insert(by, i, k)
	}
	for i := 0; i < len(by); {
		without := slices.Delete(slices.Clone(by), i, i+1)
		if _, reached, err := t.reaches(append(without, rule)); err != nil || reached {
			i++
		} else {
			by = without
		}
	}
	return &Shadow{By: by}, nil
}

// reaches gives somebody about whom the last of some rules of the list decides where there are no others.
func (t *Table) reaches(rules []int) (c decide.Client, ok bool, err error) {
	l := &acl.List{Default: acl.Deny, Zone: t.list.Zone}
	for _, i := range rules {
		l.Rules = append(l.Rules, t.list.Rules[i])
	}
	sub, err := New(l)
	if err != nil {
		return c, false, err
	}
	parts, err := sub.Parts(Everybody())
	for _, p := range parts {
		if p.Rule == len(rules)-1 {
			if c = p.Example; c.Name.State == decide.NotAsked && c.Peer == "" {
				c.Name.State = decide.Unknown
			}
			if c.At.IsZero() {
				c.At = begin
			}
			return c, true, nil
		}
	}
	return c, false, err
}
