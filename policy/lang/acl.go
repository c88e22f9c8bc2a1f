package lang

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/limit"
	"casemate/acl/pattern"
	"casemate/policy/suggest"
	"casemate/policy/valid"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// aclTable is acl "NAME" { ... }, whose rules are compiled in their order.
var aclTable = table[acl.List]{{more: []string{string(acl.Allow), string(acl.Deny)}, rows: []row[acl.List]{
	{Attribute{Name: "default", Example: `"allow"`, Unset: `"deny"`, Words: spelled(valid.Verdicts), Doc: "what holds where no rule matches"},
		word(func(l *acl.List) *acl.Verdict { return &l.Default })},
	{Attribute{Name: "zone", Path: "zone.name", Example: `"Europe/Berlin"`, Unset: `"UTC"`, Doc: "the place whose clocks during is about, by the tz database's name"},
		zone},
}}}

// ruleTable is allow ["NAME"] { ... } and deny ["NAME"] { ... }.
var ruleTable = table[acl.Rule]{{rows: []row[acl.Rule]{
	{Attribute{Name: "from", Example: `concat(local.office, [".example.org"])`, Doc: "the clients"},
		patterns(func(r *acl.Rule) *[]acl.Pattern { return &r.From })},
	{Attribute{Name: "except", Example: `["192.0.2.77"]`, Doc: "of them; belongs to this rule only"},
		patterns(func(r *acl.Rule) *[]acl.Pattern { return &r.Except })},
	{Attribute{Name: "to", Example: `["192.0.2.1"]`, Doc: "only for connections to these local addresses"},
		localPrefixes},
	{Attribute{Name: "during", Example: `["mon-fri 08:00-18:00", "sat,sun"]`, Doc: "only then: what begins in it goes on; 22:00-06:00 ends on the next day; of what the clocks skip or repeat none or both counts"},
		during},
	{Attribute{Name: "env", Example: `{ ROLE = "staff" }`, Doc: "what the programs of these clients find in their environment; of an allow rule. What the service's env has, the client's address and what programs take code from (LD_PRELOAD, PATH and others) are not set this way"},
		environment(func(r *acl.Rule) *map[string]string { return &r.Env })},
	{Attribute{Name: "command", Example: `["/usr/sbin/in.fingerd", "-l"]`, Doc: "the program of these clients, in place of their service's own; of an allow rule, and for services that start a program for each client. User, profile, limits and the rest are the service's, but for argv0: it is called by its path's base name. A profile's memory, processes and cpu are each program's own"},
		ruleCommand},
}}}

func (c *compiler) aclBlock(name string, syn *hclsyntax.Block) acl.List {
	b := aclTable.open(c, syn, "acls."+name)
	c.put(b.path+".name", syn.LabelRanges[0])
	l := aclBlank()
	l.Name = name
	aclTable.read(b, &l)
	named := map[string]*hclsyntax.Block{}
	for _, inner := range syn.Body.Blocks {
		if v := acl.Verdict(inner.Type); v != acl.Allow && v != acl.Deny {
			continue
		}
		r := c.rule(inner, fmt.Sprintf("%s.rules.%d", b.path, len(l.Rules)))
		if first := named[r.Name]; r.Name != "" && first != nil {
			c.twice(inner, first, fmt.Sprintf("rule %q", r.Name))
		}
		named[r.Name] = inner
		l.Rules = append(l.Rules, r)
	}
	if l.Zone != nil && !slices.ContainsFunc(l.Rules, func(r acl.Rule) bool { return len(r.During) > 0 }) {
		c.warn(codeHabit, c.near(b.path+".zone.name"), `add during = ["mon-fri 08:00-18:00"] to a rule, or remove zone`, "no rule of acl %q has during, so its zone means nothing", name)
	}
	return l
}

// ruleCommand reads the program of a rule.
func ruleCommand(b *block, a *Attribute, r *acl.Rule) {
	items, ok := b.strs(a)
	if ok && len(items) == 0 {
		b.c.report(codeValue, b.syn.Body.Attributes[a.Name].Expr.Range(), "leave it out for the service's own, or write "+a.write(), "%s is empty", a.Name)
	}
	if ok {
		r.Command = texts(items)
	}
}

// zone reads the name of a zone into what its clocks show.
func zone(b *block, a *Attribute, l *acl.List) {
	v, ok := b.typed(a, kindString)
	if !ok {
		return
	}
	if l.Zone, ok = civil.Zone(v.s); !ok {
		next := `write "UTC", or a name of the tz database, as ` + a.Example
		if w := suggest.Word(v.s, civil.Names()); w != "" {
			next = fmt.Sprintf("did you mean %q?", w)
		}
		b.c.report(codeValue, v.rng, next, "%s: %q is not known", a.Name, clip(v.s))
	}
}

// during reads windows of the week into the spans that they come to.
func during(b *block, a *Attribute, r *acl.Rule) {
	items, ok := b.strs(a)
	for i := range items {
		delete(b.c.places, b.join(fmt.Sprintf("%s.%d", a.Name, i))) // a window is many spans, or half of one
	}
	for _, v := range items {
		if _, err := civil.Parse(v.s); err != nil {
			summary, next, _ := strings.Cut(err.Error(), ": write ")
			b.c.report(codeValue, v.rng, "write "+next, "%s: %s", a.Name, summary)
			ok = false
		}
	}
	if !ok {
		return
	}
	if len(items) == 0 {
		b.c.report(codeValue, b.syn.Body.Attributes[a.Name].Expr.Range(), "leave it out for always, or write "+a.write(), "%s is empty: the rule would never match", a.Name)
	}
	r.During, _ = civil.Parse(texts(items)...)
}

func (c *compiler) rule(syn *hclsyntax.Block, path string) acl.Rule {
	b := ruleTable.open(c, syn, path)
	r := acl.Rule{Verdict: acl.Verdict(syn.Type)}
	c.put(path+".verdict", syn.TypeRange)
	switch {
	case len(syn.Labels) > 1:
		c.report(codeLabel, syn.DefRange(), fmt.Sprintf("write %s { ... } or %s \"NAME\" { ... }", syn.Type, syn.Type), "the rule has %d names", len(syn.Labels))
	case len(syn.Labels) == 1:
		r.Name = syn.Labels[0]
		c.put(path+".name", syn.LabelRanges[0])
	}
	b.missing("from", `write from = ["any"] or name the clients`)
	ruleTable.read(b, &r)
	return r
}

// patterns reads a list of client patterns in their canonical spelling.
func patterns(at func(*acl.Rule) *[]acl.Pattern) reader[acl.Rule] {
	return func(b *block, a *Attribute, r *acl.Rule) {
		items, ok := b.strs(a)
		if !ok {
			return
		}
		out := make([]acl.Pattern, 0, len(items))
		for _, v := range items {
			p, err := pattern.Parse(v.s)
			if err != nil {
				summary, next := err.Error(), "write an address, a prefix, a host name, .domain, uid=NUMBER, any, known, unknown or paranoid"
				if i := strings.LastIndex(summary, ": write "); i >= 0 {
					summary, next = summary[:i], summary[i+2:]
				}
				b.c.report(codeValue, v.rng, next, "%s", summary)
				continue
			}
			out = append(out, p)
		}
		*at(r) = out
	}
}

func localPrefixes(b *block, a *Attribute, r *acl.Rule) {
	items, _ := b.strs(a)
	for _, v := range items {
		if p, err := plainPrefix(v.s); err != nil {
			b.c.report(codeValue, v.rng, err.Error(), "%q is not a local address or prefix", clip(v.s))
		} else {
			r.To = append(r.To, p)
		}
	}
}

// exempted reads addresses and prefixes that have no order.
func exempted(b *block, a *Attribute, l *limit.Spec) {
	items, _ := b.strs(a)
	if len(items) > limit.MaxExempt {
		b.c.report(codeBounds, items[limit.MaxExempt].rng, fmt.Sprintf("write %d or fewer, of larger networks", limit.MaxExempt), "%s: %d prefixes are too many", a.Name, len(items))
		return
	}
	for i, v := range items {
		p, err := plainPrefix(v.s)
		if err != nil {
			b.c.report(codeValue, v.rng, err.Error(), "%q is not an address or a prefix", clip(v.s))
			return
		}
		items[i].s = p.String()
	}
	for _, text := range b.c.sortWords(b.join(a.At()), items) {
		l.Exempt = append(l.Exempt, netip.MustParsePrefix(text))
	}
}

// plainPrefix reads an address or a prefix. The error is the next step.
func plainPrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		switch {
		case a.Zone() != "":
			return netip.Prefix{}, fmt.Errorf("write it without the zone")
		case a.Is4In6():
			return netip.Prefix{}, fmt.Errorf("write %q", a.Unmap())
		}
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf(`write an address or a prefix, as "192.0.2.1" or "2001:db8::/32"`)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("write the IPv4 prefix")
	case p != p.Masked():
		return p, fmt.Errorf("host bits are set: write %q", p.Masked())
	}
	return p, nil
}
