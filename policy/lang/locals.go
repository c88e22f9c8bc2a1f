package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// traversal reads local.NAME, local.NAME.KEY and each.value.
func (c *compiler) traversal(e *hclsyntax.ScopeTraversalExpr) (value, bool) {
	root := e.Traversal.RootName()
	v, ok := value{}, true
	if c.suite != nil {
		if v, ok := c.suite.variable(root); ok {
			return c.steps(v, e.Traversal[1:])
		}
	}
	switch {
	case root == "each":
		if v, ok = c.eachValue(e); !ok {
			return value{}, false
		}
	case root != "local":
		c.strayReference(e, root)
		return value{}, false
	case len(e.Traversal) < 2:
		c.report(codeReference, e.SrcRange, "write local.NAME", "local alone is not a value")
		return value{}, false
	}
	for i, step := range e.Traversal[1:] {
		if i > 0 && c.suite != nil {
			return c.steps(v, e.Traversal[i+1:])
		}
		attr, isAttr := step.(hcl.TraverseAttr)
		switch {
		case !isAttr:
			c.report(codeFeature, step.SourceRange(), "write "+root+".NAME", "indexing is not part of the policy language")
			return value{}, false
		case i > 0:
			v, ok = c.member(v, attr)
		case root == "local":
			if l := c.locals[attr.Name]; l != nil {
				l.used = true
			}
			v, ok = c.localValue(attr.Name, afterDot(attr.SrcRange))
		}
		if !ok {
			return value{}, false
		}
	}
	return v, true
}

// strayReference explains a word that is not a value.
func (c *compiler) strayReference(e *hclsyntax.ScopeTraversalExpr, root string) {
	roots := []string{"acl", "limit", "local", "profile"}
	next := "write it in quotes: \"" + root + "\""
	switch {
	case c.inText > 0:
		next = fmt.Sprintf("write $${%s} for this text as it stands; the program's environment has the client's address", c.text(e.SrcRange))
	case truths[root] != "" && len(e.Traversal) == 1:
		next = "write " + truths[root]
	case slices.Contains(roots, root):
		next = "write it as the whole value of the attribute " + root + " (profiles also of base)"
		c.report(codeReference, e.SrcRange, next, "a reference to a block (%s) cannot be used as a value here", root)
		return
	case len(e.Traversal) > 1:
		next = didYouMean(root, roots, "")
	}
	c.report(codeReference, e.Traversal[0].SourceRange(), next, "%q is not known", root)
}

func (c *compiler) member(v value, attr hcl.TraverseAttr) (value, bool) {
	if v.kind != kindObject {
		c.report(codeType, attr.SrcRange, "leave "+attr.Name+" out", "%s has no members", v.kind)
		return value{}, false
	}
	var names []string
	for _, f := range v.obj {
		if f.name == attr.Name {
			return f.val, true
		}
		names = append(names, f.name)
	}
	c.report(codeReference, afterDot(attr.SrcRange), didYouMean(attr.Name, names, ""), "the object has no member %q", attr.Name)
	return value{}, false
}

// localValue evaluates a local when it is first needed; a local that is met
// again while it is being evaluated depends on itself.
func (c *compiler) localValue(name string, rng hcl.Range) (value, bool) {
	l := c.locals[name]
	if l == nil {
		next := "name a local that exists"
		if len(c.found) < maxDiagnostics { // the comparison is with every local
			next = didYouMean(name, c.localNames(), "local.")
		}
		c.report(codeReference, rng, next, "there is no local %q", name)
		return value{}, false
	}
	switch l.state {
	case 1:
		c.cycle(name)
		return value{}, false
	case 0:
		l.state = 1
		c.chain = append(c.chain, name)
		around := c.suite.without()
		v, ok := c.eval(l.attr.Expr)
		c.suite.with(around)
		c.chain = c.chain[:len(c.chain)-1]
		if l.val = v; ok {
			l.state = 2
		} else {
			l.state = 3
		}
	}
	return l.val, l.state == 2
}

// cycle reports the chain of locals from name back to name, at the first of
// them in the source, once.
func (c *compiler) cycle(name string) {
	chain := c.chain[slices.Index(c.chain, name):]
	first := slices.MinFunc(chain, func(a, b string) int { return compareRanges(c.locals[a].attr.NameRange, c.locals[b].attr.NameRange) })
	k := slices.Index(chain, first)
	var names []string
	for i := range chain {
		names = append(names, "local."+chain[(k+i)%len(chain)])
	}
	c.report(codeCycle, c.locals[first].attr.NameRange, "give one of them a value of its own",
		"locals depend on each other: %s -> %s", strings.Join(names, " -> "), names[0])
}

func (c *compiler) localNames() []string {
	names := make([]string, 0, len(c.locals))
	for name := range c.locals {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// afterDot narrows a step of a traversal (".office") to its name.
func afterDot(rng hcl.Range) hcl.Range {
	if rng.End.Byte-rng.Start.Byte > 1 {
		rng.Start.Byte++
		rng.Start.Column++
	}
	return rng
}
