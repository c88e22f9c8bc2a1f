package lang

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The bounds of evaluation. Templates and lists that refer to each other grow
// by powers: seven lines of HCL can ask for gigabytes.
const (
	maxString = 64 << 10 // bytes of one string
	maxList   = 4096     // items of one list or object
	maxLocals = 4096
	maxWork   = 16 << 20 // bytes and items made by the whole compilation
	// workOfItem is what a function spends on an item of its arguments.
	workOfItem = 8
)

// local is one local value and how far its evaluation got.
type local struct {
	attr  *hclsyntax.Attribute
	used  bool
	state uint8 // 0 not begun, 1 in progress, 2 done, 3 failed
	val   value
}

// spend takes n from the work budget and reports once when it is used up.
func (c *compiler) spend(rng hcl.Range, n int) bool {
	if c.work < 0 {
		return false
	}
	if c.work -= n + 1; c.work < 0 {
		c.report(codeBounds, rng, "shorten lists and templates that repeat each other", "the policy grows too large when it is evaluated")
		return false
	}
	return true
}

// eval computes an expression. false means that it is reported already.
func (c *compiler) eval(e hclsyntax.Expression) (value, bool) {
	rng := e.Range()
	if !c.spend(rng, 0) {
		return value{}, false
	}
	if c.suite != nil {
		if v, ok, is := c.condition(e); is {
			return v, ok
		}
	}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return c.literal(e)
	case *hclsyntax.ParenthesesExpr:
		return c.eval(e.Expression)
	case *hclsyntax.TemplateWrapExpr:
		return c.template(e.Range(), []hclsyntax.Expression{e.Wrapped})
	case *hclsyntax.TemplateExpr:
		return c.template(e.Range(), e.Parts)
	case *hclsyntax.TupleConsExpr:
		return c.tuple(e)
	case *hclsyntax.ObjectConsExpr:
		return c.object(e)
	case *hclsyntax.ScopeTraversalExpr:
		return c.traversal(e)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e)
	case *hclsyntax.ForExpr:
		c.report(codeFeature, rng, "write the items out, or use concat and setsubtract", "loops are not part of the policy language")
	default:
		c.report(codeFeature, rng, "write the value itself, or a local", "this expression is not part of the policy language")
	}
	return value{}, false
}

func (c *compiler) literal(e *hclsyntax.LiteralValueExpr) (value, bool) {
	v := value{rng: e.SrcRange}
	switch {
	case e.Val.IsNull():
		v.kind = kindNull
	case e.Val.Type() == cty.String:
		v.kind, v.s = kindString, e.Val.AsString()
	case e.Val.Type() == cty.Bool:
		v.kind, v.b = kindBool, e.Val.True()
	case e.Val.Type() == cty.Number:
		v.kind = kindNumber
		v.n, _ = e.Val.AsBigFloat().Int64() // exact: precheck admits only short whole numbers
	default:
		c.report(codeFeature, v.rng, "write the value itself", "this value is not part of the policy language")
		return value{}, false
	}
	return v, true
}

// template joins the parts of a quoted string.
func (c *compiler) template(rng hcl.Range, parts []hclsyntax.Expression) (value, bool) {
	var b strings.Builder
	c.inText++
	defer func() { c.inText-- }()
	for _, part := range parts {
		v, ok := c.eval(part)
		if !ok {
			return value{}, false
		}
		if !v.scalar() {
			c.report(codeType, part.Range(), "put strings and numbers into templates", "%s cannot be part of a string", v.describe())
			return value{}, false
		}
		text := v.text()
		if b.Len()+len(text) > maxString {
			c.report(codeBounds, rng, "shorten it", "the string is longer than %d bytes", maxString)
			return value{}, false
		}
		if !c.spend(rng, len(text)) {
			return value{}, false
		}
		b.WriteString(text)
	}
	return value{kind: kindString, s: b.String(), rng: rng}, true
}

func (c *compiler) tuple(e *hclsyntax.TupleConsExpr) (value, bool) {
	v := value{kind: kindList, rng: e.SrcRange}
	if !c.fits(e.SrcRange, len(e.Exprs)) {
		return value{}, false
	}
	all := true
	for _, x := range e.Exprs {
		item, ok := c.eval(x)
		all = all && ok
		v.list = append(v.list, item)
	}
	return v, all
}

// fits checks the length of a list before it is made.
func (c *compiler) fits(rng hcl.Range, n int) bool {
	if n > maxList {
		c.report(codeBounds, rng, "split it", "the list is longer than %d items", maxList)
		return false
	}
	return true
}

func (c *compiler) object(e *hclsyntax.ObjectConsExpr) (value, bool) {
	v := value{kind: kindObject, rng: e.SrcRange}
	if !c.fits(e.SrcRange, len(e.Items)) {
		return value{}, false
	}
	all, seen := true, map[string]hcl.Range{}
	for _, item := range e.Items {
		name, ok := c.objectKey(item.KeyExpr)
		val, ok2 := c.eval(item.ValueExpr)
		if !ok || !ok2 {
			all = false
			continue
		}
		rng := item.KeyExpr.Range()
		if first, twice := seen[name]; twice {
			c.report(codeDuplicate, rng, "remove one of them; the first is at "+place(first), "%q is set twice", clip(name))
			all = false
		}
		seen[name] = rng
		v.obj = append(v.obj, field{name: name, rng: rng, val: val})
	}
	return v, all
}

func (c *compiler) objectKey(e hclsyntax.Expression) (string, bool) {
	if word := hcl.ExprAsKeyword(e); word != "" {
		return word, true
	}
	if k, ok := e.(*hclsyntax.ObjectConsKeyExpr); ok {
		e = k.Wrapped
	}
	v, ok := c.eval(e)
	if ok && v.kind != kindString {
		c.report(codeType, e.Range(), "write the key as a word or a string", "%s cannot be a key", v.describe())
		return "", false
	}
	return v.s, ok
}
