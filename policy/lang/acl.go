package lang

import (
	"fmt"
	"net/netip"
	"strings"

	"casemate/acl"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// aclBlock compiles acl "NAME" { allow ["NAME"] { from, except, to }  deny ... default }:
// the rules in their order.
func (c *compiler) aclBlock(name string, syn *hclsyntax.Block) acl.List {
	b := c.open(syn, "acls."+name, []string{"default"}, string(acl.Allow), string(acl.Deny))
	c.put(b.path+".name", syn.LabelRanges[0])
	l := acl.List{Name: name, Default: acl.Deny}
	if s, ok := b.str("default", "default"); ok {
		l.Default = acl.Verdict(s)
	}
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
	return l
}

func (c *compiler) rule(syn *hclsyntax.Block, path string) acl.Rule {
	b := c.open(syn, path, []string{"from", "except", "to"})
	r := acl.Rule{Verdict: acl.Verdict(syn.Type)}
	c.put(path+".verdict", syn.TypeRange)
	switch {
	case len(syn.Labels) > 1:
		c.report(codeLabel, syn.DefRange(), fmt.Sprintf("write %s { ... } or %s \"NAME\" { ... }", syn.Type, syn.Type), "the rule has %d names", len(syn.Labels))
	case len(syn.Labels) == 1:
		r.Name = syn.Labels[0]
		c.put(path+".name", syn.LabelRanges[0])
	}
	if b.syn.Body.Attributes["from"] == nil {
		b.missing("from", `write from = ["any"] or name the clients`)
	}
	r.From = b.patterns("from")
	r.Except = b.patterns("except")
	if items, ok := b.strs("to", "to"); ok {
		for _, v := range items {
			if p, err := localPrefix(v.s); err != nil {
				c.report(codeValue, v.rng, err.Error(), "%q is not a local address or prefix", clip(v.s))
			} else {
				r.To = append(r.To, p)
			}
		}
	}
	return r
}

// patterns reads a list of client patterns in their canonical spelling.
func (b *block) patterns(name string) []acl.Pattern {
	items, ok := b.strs(name, name)
	if !ok {
		return nil
	}
	out := make([]acl.Pattern, 0, len(items))
	for _, v := range items {
		p, err := acl.ParsePattern(v.s)
		if err != nil {
			summary, next := err.Error(), "write an address, a prefix, a host name, .domain, any, known, unknown or paranoid"
			if i := strings.LastIndex(summary, ": write "); i >= 0 {
				summary, next = summary[:i], summary[i+2:]
			}
			b.c.report(codeValue, v.rng, next, "%s", summary)
			continue
		}
		out = append(out, p)
	}
	return out
}

// localPrefix reads an address or a prefix of this host. The error is the next
// step.
func localPrefix(s string) (netip.Prefix, error) {
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
