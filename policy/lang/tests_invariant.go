package lang

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"casemate/acl/pattern"
	"casemate/policy/policytest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// invariantTable is invariant "NAME" { ... }.
var invariantTable = table[policytest.Invariant]{{rows: []row[policytest.Invariant]{
	{Attribute{Name: "never", Example: `reach(service.*, "198.51.100.0/24")`, Doc: "no client of these networks is admitted by any of these services, whatever its name, the address it comes to and the time are"},
		reaches(func(v *policytest.Invariant) **policytest.Reach { return &v.Never })},
	{Attribute{Name: "always", Example: "reach(service.finger, local.office)", Instead: "never", Doc: "each client of these networks is admitted by all of these services, whatever those are"},
		reaches(func(v *policytest.Invariant) **policytest.Reach { return &v.Always })},
	{Attribute{Name: "condition", Example: "alltrue([for s in services : !s.root])", Instead: "never", Doc: "an expression over services, which is true"},
		func(b *block, a *Attribute, v *policytest.Invariant) { v.Condition = b.conditionOf(a) }},
	{Attribute{Name: "error_message", Example: `"no service runs as root here"`, Doc: "what is told where it does not hold"},
		word(func(v *policytest.Invariant) *string { return &v.Message })},
}}}

// invariantBlock reads one invariant.
func (c *compiler) invariantBlock(syn *hclsyntax.Block) {
	before := len(c.found)
	b := invariantTable.open(c, syn, "")
	v := policytest.Invariant{Name: syn.Labels[0], At: blockPlace(syn)}
	invariantTable.read(b, &v)
	n := 0
	for _, name := range []string{"never", "always", "condition"} {
		if b.has(name) {
			n++
		}
	}
	if n != 1 {
		c.report(codeMissing, syn.DefRange(), `write one of: never = reach(service.*, "198.51.100.0/24"), always = reach(...), condition = ...`, "%s has %d of never, always and condition", b.title(), n)
	}
	if !c.failed(before) {
		c.suite.out.Invariants = append(c.suite.out.Invariants, v)
	}
}

// reaches reads reach(SERVICES, NETWORKS).
func reaches(at func(*policytest.Invariant) **policytest.Reach) reader[policytest.Invariant] {
	return func(b *block, a *Attribute, v *policytest.Invariant) {
		attr := b.syn.Body.Attributes[a.Name]
		call, ok := attr.Expr.(*hclsyntax.FunctionCallExpr)
		if !ok || call.Name != "reach" || len(call.Args) < 2 || call.ExpandFinal {
			b.c.report(codeType, attr.Expr.Range(), "write "+a.write(), "%s must be reach(SERVICES, NETWORKS)", a.Name)
			return
		}
		services, ok := b.c.servicesOf(call.Args[0])
		if !ok {
			return
		}
		r := &policytest.Reach{At: testPlace(attr.SrcRange), Services: services}
		for _, e := range call.Args[1:] {
			got, ok := b.c.eval(e)
			if !ok {
				return
			}
			networks, ok := b.c.networks(got, e.Range())
			if !ok {
				return
			}
			r.Networks = append(r.Networks, networks...)
		}
		*at(v) = r
	}
}

// networks reads addresses and prefixes, one or a list of them.
func (c *compiler) networks(v value, at hcl.Range) (out []netip.Prefix, ok bool) {
	const next = `write "198.51.100.0/24", "2001:db8::1", "any" or a list of those`
	items := v.list
	if v.kind != kindList {
		items = []value{v}
	}
	if !c.spend(at, 64*len(items)) {
		return nil, false
	}
	for _, item := range items {
		if item.kind != kindString {
			c.report(codeType, at, next, "a network must be a string, not %s", item.describe())
			return nil, false
		}
		found, err := network(item.s)
		if err != nil {
			c.report(codeValue, at, next, "%v", err)
			return nil, false
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		c.report(codeValue, at, next, "there is no network, so this says nothing")
	}
	return out, len(out) > 0
}

// network reads an address or a prefix in its one spelling; any is all of both families.
func network(text string) ([]netip.Prefix, error) {
	if text == "any" {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		if _, perr := pattern.Parse(text); perr == nil {
			return nil, fmt.Errorf("%q is not about addresses, which reach is about", clip(text))
		}
		return nil, fmt.Errorf("%q is not a network", clip(text))
	}
	if p != p.Masked() {
		return nil, fmt.Errorf("%q has bits set behind its prefix: the network is %s", clip(text), p.Masked())
	}
	return []netip.Prefix{p}, nil
}

// conditionOf takes an expression that is evaluated when its test runs, so that what goes wrong with it is that
// test's failure. The names in it are known before.
func (b *block) conditionOf(a *Attribute) *policytest.Condition {
	attr := b.syn.Body.Attributes[a.Name]
	c := b.c
	if !c.knownNames(attr.Expr) {
		return nil
	}
	return &policytest.Condition{At: testPlace(attr.SrcRange), Holds: func() (bool, string, error) {
		c.work, c.found, c.suite.vars, c.suite.blame = c.suite.budget, nil, nil, nil
		v, ok := c.eval(attr.Expr)
		switch {
		case !ok:
			return false, "", c.firstError()
		case v.kind != kindBool:
			return false, "", fmt.Errorf("%s: condition must be true or false, not %s", place(attr.Expr.Range()), v.describe())
		case !v.b && len(c.suite.blame) > 0:
			return false, "false for " + strings.Join(c.suite.blame, ", "), nil
		case !v.b:
			return false, "false", nil
		}
		return true, "", nil
	}}
}

// firstError is the first finding of an evaluation, with its place.
func (c *compiler) firstError() error {
	for _, d := range c.diagnostics() {
		return fmt.Errorf("%s:%d:%d: %s: %s", d.File, d.Line, d.Column, d.Summary, d.Detail)
	}
	return errors.New("it cannot be evaluated")
}
