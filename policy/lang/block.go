package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"casemate/policy/granted"
)

// block reads the attributes of one HCL block. Its methods return false when
// what is wrong was reported.
type block struct {
	c    *compiler
	syn  *hclsyntax.Block
	path string    // in the canonical JSON
	w    *widening // of a profile's blocks
}

// open checks that a block holds only the attributes and blocks named and
// records its place.
func (c *compiler) open(syn *hclsyntax.Block, path string, attrs []string, blocks ...string) *block {
	b := &block{c: c, syn: syn, path: path}
	if path != "" {
		c.put(path, syn.DefRange())
		c.inner[path] = true
	}
	for _, a := range sortedAttrs(syn.Body) {
		switch {
		case slices.Contains(attrs, a.Name):
		case slices.Contains(blocks, a.Name):
			c.report(codeAttr, a.NameRange, fmt.Sprintf("write %s { ... } without =", a.Name), "%q is a block", a.Name)
		default:
			c.report(codeAttr, a.NameRange, unknownName(a.Name, append(slices.Clone(attrs), blocks...)), "%s has no attribute %q", syn.Type, clip(a.Name))
		}
	}
	for _, inner := range syn.Body.Blocks {
		switch {
		case slices.Contains(blocks, inner.Type):
		case slices.Contains(attrs, inner.Type):
			c.report(codeBlock, inner.TypeRange, fmt.Sprintf("write %s = ...", inner.Type), "%q is an attribute", inner.Type)
		default:
			c.report(codeBlock, inner.TypeRange, unknownName(inner.Type, append(slices.Clone(blocks), attrs...)), "%s has no block %q", syn.Type, clip(inner.Type))
		}
	}
	return b
}

// one returns the only block of a type, opened, or nil; a second is an error.
func (b *block) one(kind string, attrs []string, blocks ...string) *block {
	var first *hclsyntax.Block
	for _, inner := range b.syn.Body.Blocks {
		switch {
		case inner.Type != kind:
		case first != nil:
			b.c.twice(inner, first, "block "+kind)
		default:
			first = inner
		}
	}
	if first == nil {
		return nil
	}
	b.c.labels(first, 0)
	inner := b.c.open(first, b.join(kind), attrs, blocks...)
	inner.w = b.w
	return inner
}

func (b *block) join(path string) string { return strings.TrimPrefix(b.path+"."+path, ".") }

// has tells whether an attribute is written.
func (b *block) has(name string) bool { return b.syn.Body.Attributes[name] != nil }

// missing reports an attribute that must be there and is not. One that is there
// was reported by its reader.
func (b *block) missing(name, next string) {
	if !b.has(name) {
		b.c.report(codeMissing, b.syn.DefRange(), next, "%s has no %s", b.title(), name)
	}
}

func (b *block) title() string {
	if len(b.syn.Labels) > 0 {
		return fmt.Sprintf("%s %q", b.syn.Type, b.syn.Labels[0])
	}
	return b.syn.Type
}

// need records that a profile grants more than its base, and must say so.
func (b *block) need(layer string, v value, what string) {
	if b.w != nil && layer != "" {
		b.w.need(layer, v.rng, what)
	}
}

// attr evaluates an attribute that is written and records its place.
func (b *block) attr(a *Attribute) (value, bool) {
	e := b.syn.Body.Attributes[a.Name].Expr
	b.c.put(b.join(a.At()), e.Range())
	v, ok := b.c.eval(e)
	v.rng = e.Range() // a local's value is reported where it is used
	return v, ok
}

func (b *block) typed(a *Attribute, want kind) (value, bool) {
	v, ok := b.attr(a)
	if ok && v.kind != want {
		b.c.report(codeType, v.rng, "write "+a.Name+" = "+b.c.instead(v, want, a.Example), "%s must be %s, not %s", a.Name, want, v.describe())
		return value{}, false
	}
	return v, ok
}

// items reads a list; each item keeps its own range and place.
func (b *block) items(a *Attribute) ([]value, bool) {
	v, ok := b.typed(a, kindList)
	if !ok || !b.c.spend(v.rng, 64*len(v.list)) {
		return nil, false
	}
	b.c.placeItems(b.join(a.At()), v.list)
	return v.list, true
}

func (c *compiler) placeItems(path string, list []value) {
	for i, item := range list {
		c.put(path+"."+strconv.Itoa(i), item.rng)
	}
}

// strs reads a list of strings in their order.
func (b *block) strs(a *Attribute) ([]value, bool) {
	items, ok := b.items(a)
	for _, v := range items {
		if v.kind != kindString {
			b.c.report(codeType, v.rng, "write it in quotes", "%s holds strings, not %s", a.Name, v.describe())
			ok = false
		}
	}
	return items, ok
}

// sortWords sorts items and drops repetitions, and moves their places along.
func (c *compiler) sortWords(path string, items []value) []string {
	for i := range items {
		delete(c.places, path+"."+strconv.Itoa(i))
	}
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b value) int { return strings.Compare(a.s, b.s) })
	items = slices.CompactFunc(items, func(a, b value) bool { return a.s == b.s })
	c.placeItems(path, items)
	return texts(items)
}

func texts(items []value) []string {
	out := make([]string, len(items))
	for i, v := range items {
		out[i] = v.s
	}
	return out
}

// reference reads an attribute that names a block: acl = acl.office. false
// means that it was reported.
func (b *block) reference(a *Attribute, kind string) (string, bool) {
	e := b.syn.Body.Attributes[a.Name].Expr
	rng := e.Range()
	b.c.put(b.join(a.At()), rng)
	t, ds := hcl.AbsTraversalForExpr(e)
	next := fmt.Sprintf("write %s = %s.NAME without quotes", a.Name, kind)
	if !ds.HasErrors() && len(t) == 2 && t.RootName() == kind {
		if step, ok := t[1].(hcl.TraverseAttr); ok {
			known := b.c.knows(kind, step.Name)
			if !known {
				b.c.report(codeReference, afterDot(step.SrcRange), b.c.hint(step.Name, kind), "there is no %s %q", kind, clip(step.Name))
			}
			return step.Name, known
		}
	} else if v, ok := e.(*hclsyntax.TemplateExpr); ok && v.IsStringLiteral() {
		if s, _ := b.c.eval(v); granted.ValidName(s.s) {
			next = fmt.Sprintf("write %s = %s.%s without quotes", a.Name, kind, s.s)
		}
	} else if len(t) == 1 {
		next = fmt.Sprintf("write %s = %s.%s", a.Name, kind, t.RootName())
	}
	b.c.report(codeReference, rng, next, "%s must name a block: %s.NAME", a.Name, kind)
	return "", false
}

// knows tells whether there is a block of that kind and name, also shipped.
func (c *compiler) knows(kind, name string) bool {
	return c.blocks[kind][name] != nil || c.base != nil && c.base.blocks[kind][name] != nil
}

// hint suggests a block. It compares with every name there is, which a report
// that is full already is not worth.
func (c *compiler) hint(name, kind string) string {
	if len(c.found) >= maxDiagnostics {
		return "name a block that exists"
	}
	return didYouMean(name, c.names(kind), kind+".")
}

// names are the blocks of a kind that may be referred to.
func (c *compiler) names(kind string) []string {
	names := sortedKeys(c.blocks[kind])
	if c.base != nil {
		names = append(names, sortedKeys(c.base.blocks[kind])...)
	}
	return names
}
