package lang

import (
	"cmp"
	"slices"

	"casemate/acl/limit"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// limitBlock compiles limit "NAME" { concurrent, rate, burst, session,
// per_source { ... }, penalty { ... } }. A number that is not written is no
// limit of its kind; burst defaults to the number of the rate.
func (c *compiler) limitBlock(name string, syn *hclsyntax.Block) limit.Spec {
	b := c.open(syn, "limits."+name, []string{"concurrent", "rate", "burst", "session"}, "per_source", "penalty")
	c.put(b.path+".name", syn.LabelRanges[0])
	l := limit.Spec{Name: name, PerSource: limit.PerSource{Prefix4: 32, Prefix6: 64}}
	l.Concurrent = b.count("concurrent")
	l.Rate, l.Burst = b.rate()
	l.Session, _ = b.duration("session", "session_ns", "10m")
	if s := b.one("per_source", "per_source", []string{"concurrent", "rate", "burst", "ipv4_prefix", "ipv6_prefix"}); s != nil {
		l.PerSource.Concurrent = s.count("concurrent")
		l.PerSource.Rate, l.PerSource.Burst = s.rate()
		s.prefixes(&l.PerSource)
	}
	if p := b.one("penalty", "penalty", []string{"on", "first", "max"}); p != nil {
		p.penalty(&l.Penalty)
	}
	return l
}

// count reads a number of 1 or more: 0 would read like "none at all" and mean
// "no limit".
func (b *block) count(name string) int {
	n, ok := b.number(name, name)
	if ok && n == 0 {
		b.c.report(codeValue, b.syn.Body.Attributes[name].Expr.Range(), "leave "+name+" out for no limit, or write 1 or more", "%s = 0 is ambiguous", name)
	}
	return int(min(n, 1<<31-1))
}

func (b *block) rate() (limit.Rate, int) {
	r, ok := unit(b, "rate", "rate", "10/min", parseRate)
	burst := b.count("burst")
	if ok && b.syn.Body.Attributes["burst"] == nil {
		burst = r.Events
	}
	return r, burst
}

// prefixes reads ipv4_prefix and ipv6_prefix.
func (b *block) prefixes(s *limit.PerSource) {
	for _, f := range []struct {
		name, path string
		into       *int
	}{{"ipv4_prefix", "prefix4", &s.Prefix4}, {"ipv6_prefix", "prefix6", &s.Prefix6}} {
		if n, ok := b.number(f.name, f.path); ok {
			*f.into = int(min(n, 1<<31-1))
		}
	}
}

func (b *block) penalty(p *limit.Penalty) {
	if words, ok := b.words("on", "on"); ok {
		for _, w := range words {
			p.On = append(p.On, limit.Class(w))
		}
		slices.SortFunc(p.On, func(a, b limit.Class) int { return cmp.Compare(a, b) })
	}
	p.First, _ = b.duration("first", "first_ns", "10s")
	p.Max, _ = b.duration("max", "max_ns", "10m")
}
