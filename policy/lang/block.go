package lang

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// block reads the attributes of one HCL block. Its readers take the name of the
// attribute and the path of the value in the canonical JSON below the block's
// own; they return false when the attribute is absent or was reported.
type block struct {
	c    *compiler
	syn  *hclsyntax.Block
	path string
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
func (b *block) one(kind, path string, attrs []string, blocks ...string) *block {
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
	return b.c.open(first, b.join(path), attrs, blocks...)
}

func (b *block) join(path string) string { return strings.TrimPrefix(b.path+"."+path, ".") }

// missing reports an attribute that must be there and is not. An attribute that
// is there was reported by its reader.
func (b *block) missing(name, next string) {
	if b.syn.Body.Attributes[name] == nil {
		b.c.report(codeMissing, b.syn.DefRange(), next, "%s has no %s", b.title(), name)
	}
}

func (b *block) title() string {
	if len(b.syn.Labels) > 0 {
		return fmt.Sprintf("%s %q", b.syn.Type, b.syn.Labels[0])
	}
	return b.syn.Type
}

// attr evaluates an attribute and records its place.
func (b *block) attr(name, path string) (value, bool) {
	a := b.syn.Body.Attributes[name]
	if a == nil {
		return value{}, false
	}
	b.c.put(b.join(path), a.Expr.Range())
	v, ok := b.c.eval(a.Expr)
	if ok {
		v.rng = a.Expr.Range() // a local's value is reported where it is used
	}
	return v, ok
}

func (b *block) typed(name, path string, want kind, example string) (value, bool) {
	v, ok := b.attr(name, path)
	if ok && v.kind != want {
		b.c.report(codeType, v.rng, "write "+name+" = "+b.c.instead(v, want, example), "%s must be %s, not %s", name, want, v.describe())
		return value{}, false
	}
	return v, ok
}

func (b *block) str(name, path string) (string, bool) {
	v, ok := b.typed(name, path, kindString, `"..."`)
	return v.s, ok
}

func (b *block) number(name, path string) (int64, bool) {
	v, ok := b.typed(name, path, kindNumber, "1")
	return v.n, ok
}

func (b *block) boolean(name, path string) (bool, bool) {
	v, ok := b.typed(name, path, kindBool, "true")
	return v.b, ok
}

// unit reads a string with a unit through parse.
func unit[T any](b *block, name, path, example string, parse func(string) (T, error)) (T, bool) {
	var zero T
	v, ok := b.typed(name, path, kindString, `"`+example+`"`)
	if !ok {
		return zero, false
	}
	t, err := parse(v.s)
	if err != nil {
		next := fmt.Sprintf("write it as %s = %q", name, example)
		var better *badValue
		if errors.As(err, &better) {
			next = better.next
		}
		b.c.report(codeValue, v.rng, next, "%s: %v", name, err)
		return zero, false
	}
	return t, true
}

func (b *block) duration(name, path, example string) (time.Duration, bool) {
	return unit(b, name, path, example, parseDuration)
}

func (b *block) size(name, path, example string) (int64, bool) {
	return unit(b, name, path, example, parseSize)
}

// items reads a list; each item keeps its own range and place.
func (b *block) items(name, path string) ([]value, bool) {
	v, ok := b.typed(name, path, kindList, `["..."]`)
	if !ok || !b.c.spend(v.rng, 64*len(v.list)) {
		return nil, false
	}
	b.c.placeItems(b.join(path), v.list)
	return v.list, true
}

func (c *compiler) placeItems(path string, list []value) {
	for i, item := range list {
		c.put(path+"."+strconv.Itoa(i), item.rng)
	}
}

// strs reads a list of strings in their order.
func (b *block) strs(name, path string) ([]value, bool) {
	items, ok := b.items(name, path)
	for _, v := range items {
		if v.kind != kindString {
			b.c.report(codeType, v.rng, "write it in quotes", "%s holds strings, not %s", name, v.describe())
			ok = false
		}
	}
	return items, ok
}

// words reads a list of strings that has no order: sorted, none twice.
func (b *block) words(name, path string) ([]string, bool) {
	items, ok := b.strs(name, path)
	if !ok {
		return nil, false
	}
	return b.c.sortWords(b.join(path), items), true
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

// reference reads an attribute that names a block: acl = acl.office. "" and
// false mean absent or reported.
func (b *block) reference(name, kind, path string) (string, hcl.Range, bool) {
	a := b.syn.Body.Attributes[name]
	if a == nil {
		return "", hcl.Range{}, false
	}
	rng := a.Expr.Range()
	b.c.put(b.join(path), rng)
	t, ds := hcl.AbsTraversalForExpr(a.Expr)
	if ds.HasErrors() || len(t) != 2 || t.RootName() != kind {
		next := fmt.Sprintf("write %s = %s.NAME without quotes", name, kind)
		if v, ok := a.Expr.(*hclsyntax.TemplateExpr); ok && v.IsStringLiteral() {
			if s, _ := b.c.eval(v); policy.ValidName(s.s) {
				next = fmt.Sprintf("write %s = %s.%s without quotes", name, kind, s.s)
			}
		} else if len(t) == 1 {
			next = fmt.Sprintf("write %s = %s.%s", name, kind, t.RootName())
		}
		b.c.report(codeReference, rng, next, "%s must name a block: %s.NAME", name, kind)
		return "", rng, false
	}
	step, ok := t[1].(hcl.TraverseAttr)
	if !ok {
		b.c.report(codeReference, rng, fmt.Sprintf("write %s = %s.NAME", name, kind), "%s must name a block: %s.NAME", name, kind)
		return "", rng, false
	}
	if !b.c.knows(kind, step.Name) {
		b.c.report(codeReference, afterDot(step.SrcRange), b.c.hint(step.Name, kind), "there is no %s %q", kind, clip(step.Name))
		return "", rng, false
	}
	return step.Name, rng, true
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
