package lang

import (
	"fmt"
	"math"
	"slices"

	"casemate/policy/suggest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// variable is what a loop calls its item.
type variable struct {
	name string
	val  value
}

// variable is the value of a name: of the innermost loop that has it, or services.
func (s *suite) variable(name string) (value, bool) {
	for i := len(s.vars) - 1; i >= 0; i-- {
		if s.vars[i].name == name {
			return s.vars[i].val, true
		}
	}
	if name == "services" {
		return s.services(), true
	}
	return value{}, false
}

// without takes the variables of loops away, which a local does not see, and with gives them back.
func (s *suite) without() (around []variable) {
	if s != nil {
		around, s.vars = s.vars, nil
	}
	return around
}

func (s *suite) with(around []variable) {
	if s != nil {
		s.vars = around
	}
}

// condition evaluates what the language of tests has beyond that of policies; is false of other expressions.
func (c *compiler) condition(e hclsyntax.Expression) (v value, ok, is bool) {
	switch e := e.(type) {
	case *hclsyntax.BinaryOpExpr:
		v, ok = c.binary(e)
	case *hclsyntax.UnaryOpExpr:
		v, ok = c.unary(e)
	case *hclsyntax.ConditionalExpr:
		var cond value
		if cond, ok = c.truth(e.Condition); !ok {
			return v, false, true
		}
		if branch := e.FalseResult; cond.b {
			v, ok = c.eval(e.TrueResult)
		} else {
			v, ok = c.eval(branch)
		}
	case *hclsyntax.ForExpr:
		v, ok = c.loop(e)
	case *hclsyntax.IndexExpr:
		var key value
		if v, ok = c.eval(e.Collection); ok {
			if key, ok = c.eval(e.Key); ok {
				v, ok = c.index(v, key, e.SrcRange)
			}
		}
	case *hclsyntax.RelativeTraversalExpr:
		if v, ok = c.eval(e.Source); ok {
			v, ok = c.steps(v, e.Traversal)
		}
	default:
		return v, false, false
	}
	v.rng = e.Range()
	return v, ok, true
}

// steps follows a traversal from a value.
func (c *compiler) steps(v value, t hcl.Traversal) (value, bool) {
	ok := true
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseAttr:
			v, ok = c.member(v, s)
		case hcl.TraverseIndex:
			key := value{kind: kindString}
			if s.Key.Type().FriendlyName() == "number" {
				key.kind = kindNumber
				key.n, _ = s.Key.AsBigFloat().Int64()
			} else if s.Key.Type().FriendlyName() == "string" {
				key.s = s.Key.AsString()
			}
			v, ok = c.index(v, key, s.SrcRange)
		default:
			c.report(codeFeature, step.SourceRange(), "write [for x in ... : x.NAME]", "this is not part of the language of tests")
			return v, false
		}
		if !ok {
			return v, false
		}
	}
	return v, true
}

// index is one item of a list, or a member of an object.
func (c *compiler) index(v, key value, at hcl.Range) (value, bool) {
	switch {
	case v.kind == kindList && key.kind == kindNumber:
		if key.n < 0 || key.n >= int64(len(v.list)) {
			c.report(codeCall, at, "ask for its length first", "the list has %d items, and no item %d", len(v.list), key.n)
			return value{}, false
		}
		return v.list[key.n], true
	case v.kind == kindObject && key.kind == kindString:
		for _, f := range v.obj {
			if f.name == key.s {
				return f.val, true
			}
		}
		c.report(codeCall, at, `ask contains(keys(x), "NAME") first`, "the object has no member %q", clip(key.s))
		return value{}, false
	}
	c.report(codeType, at, "write x[0] of a list, or x[\"NAME\"] of an object", "%s is not a place in %s", key.describe(), v.describe())
	return value{}, false
}

// truth evaluates to true or false.
func (c *compiler) truth(e hclsyntax.Expression) (value, bool) {
	v, ok := c.eval(e)
	if ok && v.kind != kindBool {
		c.report(codeType, e.Range(), "write a comparison", "this must be true or false, not %s", v.describe())
		return v, false
	}
	return v, ok
}

// whole evaluates to a number.
func (c *compiler) whole(e hclsyntax.Expression) (value, bool) {
	v, ok := c.eval(e)
	if ok && v.kind != kindNumber {
		next := "write a number"
		if v.kind == kindString {
			next = `write duration("10m"), size("64MiB") or length(...) for a number`
		}
		c.report(codeType, e.Range(), next, "this must be a number, not %s", v.describe())
		return v, false
	}
	return v, ok
}

func yesNo(b bool) value { return value{kind: kindBool, b: b} }

func (c *compiler) unary(e *hclsyntax.UnaryOpExpr) (value, bool) {
	if e.Op == hclsyntax.OpLogicalNot {
		v, ok := c.truth(e.Val)
		return yesNo(!v.b), ok
	}
	v, ok := c.whole(e.Val)
	return value{kind: kindNumber, n: -v.n}, ok
}

// binary evaluates an operator; && and || stop where the answer is known.
func (c *compiler) binary(e *hclsyntax.BinaryOpExpr) (value, bool) {
	switch e.Op {
	case hclsyntax.OpLogicalAnd, hclsyntax.OpLogicalOr:
		v, ok := c.truth(e.LHS)
		if !ok || v.b == (e.Op == hclsyntax.OpLogicalOr) {
			return v, ok
		}
		return c.truth(e.RHS)
	case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
		a, ok := c.eval(e.LHS)
		if !ok {
			return a, false
		}
		b, ok := c.eval(e.RHS)
		if !ok {
			return b, false
		}
		if a.kind != b.kind && a.kind != kindNull && b.kind != kindNull {
			c.report(codeType, e.SrcRange, "compare like with like", "%s is never equal to %s", a.describe(), b.describe())
			return a, false
		}
		same, ok := c.same(&a, &b, e.SrcRange)
		return yesNo(same == (e.Op == hclsyntax.OpEqual)), ok
	}
	a, ok := c.whole(e.LHS)
	if !ok {
		return a, false
	}
	b, ok := c.whole(e.RHS)
	if !ok {
		return b, false
	}
	return c.arithmetic(e, a.n, b.n)
}

func (c *compiler) arithmetic(e *hclsyntax.BinaryOpExpr, a, b int64) (value, bool) {
	n, exact := int64(0), true
	switch e.Op {
	case hclsyntax.OpLessThan:
		return yesNo(a < b), true
	case hclsyntax.OpLessThanOrEqual:
		return yesNo(a <= b), true
	case hclsyntax.OpGreaterThan:
		return yesNo(a > b), true
	case hclsyntax.OpGreaterThanOrEqual:
		return yesNo(a >= b), true
	case hclsyntax.OpAdd:
		n = a + b
		exact = (n > a) == (b > 0)
	case hclsyntax.OpSubtract:
		n = a - b
		exact = (n < a) == (b > 0)
	case hclsyntax.OpMultiply:
		n = a * b
		exact = a == 0 || n/a == b && !(a == -1 && b == math.MinInt64)
	case hclsyntax.OpDivide, hclsyntax.OpModulo:
		if b == 0 {
			c.report(codeCall, e.SrcRange, "compare with 0 first", "division by zero")
			return value{}, false
		}
		if exact = !(a == math.MinInt64 && b == -1); e.Op == hclsyntax.OpDivide && exact {
			n = a / b
		} else if exact {
			n = a % b
		}
	}
	if !exact {
		c.report(codeBounds, e.SrcRange, "compare smaller numbers", "the number is too large")
	}
	return value{kind: kindNumber, n: n}, exact
}

// same compares two values, member by member.
func (c *compiler) same(a, b *value, at hcl.Range) (bool, bool) {
	if !c.spend(at, len(a.s)/16) {
		return false, false
	}
	if a.kind != b.kind || len(a.list) != len(b.list) || len(a.obj) != len(b.obj) {
		return false, true
	}
	for i := range a.list {
		if is, ok := c.same(&a.list[i], &b.list[i], at); !is || !ok {
			return false, ok
		}
	}
	for i := range a.obj {
		k := slices.IndexFunc(b.obj, func(f field) bool { return f.name == a.obj[i].name })
		if k < 0 {
			return false, true
		}
		if is, ok := c.same(&a.obj[i].val, &b.obj[k].val, at); !is || !ok {
			return false, ok
		}
	}
	return a.s == b.s && a.n == b.n && a.b == b.b, true
}

// loop evaluates [for x in list : ...] and { for k, v in object : ... }.
func (c *compiler) loop(e *hclsyntax.ForExpr) (value, bool) {
	from, ok := c.eval(e.CollExpr)
	if !ok {
		return from, false
	}
	var keys, vals []value
	switch from.kind {
	case kindList:
		for i := range from.list {
			keys, vals = append(keys, value{kind: kindNumber, n: int64(i)}), append(vals, from.list[i])
		}
	case kindObject:
		for _, f := range from.obj {
			keys, vals = append(keys, value{kind: kindString, s: f.name}), append(vals, f.val)
		}
	default:
		c.report(codeType, e.CollExpr.Range(), "write a list or an object", "a loop goes over a list or an object, not over %s", from.describe())
		return value{}, false
	}
	out := value{kind: kindList}
	if e.KeyExpr != nil {
		out.kind = kindObject
	}
	before := len(c.suite.vars)
	defer func() { c.suite.vars = c.suite.vars[:before] }()
	var blame []string
	for i := range vals {
		c.suite.vars = append(c.suite.vars[:before], variable{e.ValVar, vals[i]})
		if e.KeyVar != "" {
			c.suite.vars = append(c.suite.vars, variable{e.KeyVar, keys[i]})
		}
		if e.CondExpr != nil {
			if is, ok := c.truth(e.CondExpr); !ok {
				return value{}, false
			} else if !is.b {
				continue
			}
		}
		item, ok := c.eval(e.ValExpr)
		if !ok || !c.spend(e.SrcRange, workOfItem+len(out.obj)) {
			return value{}, false
		}
		if e.KeyExpr == nil {
			out.list, blame = append(out.list, item), append(blame, itemName(&vals[i], keys[i]))
			continue
		}
		key, ok := c.eval(e.KeyExpr)
		if !ok {
			return value{}, false
		}
		if key.kind != kindString || slices.ContainsFunc(out.obj, func(f field) bool { return f.name == key.s }) {
			c.report(codeCall, e.KeyExpr.Range(), "write a key that is one item's alone", "%s cannot be a key here", key.describe())
			return value{}, false
		}
		out.obj = append(out.obj, field{name: key.s, val: item})
	}
	c.suite.blame = blame
	return out, true
}

// itemName is what to call an item of a loop whose condition is false.
func itemName(v *value, key value) string {
	if v.kind == kindObject {
		for _, f := range v.obj {
			if f.name == "name" {
				return f.val.text()
			}
		}
	}
	if v.scalar() {
		return clip(v.text())
	}
	return "item " + key.text()
}

// knownNames reports names in an expression that nothing has, before any test runs.
func (c *compiler) knownNames(e hclsyntax.Expression) bool {
	before := len(c.found)
	_ = hclsyntax.Walk(e, &nameWalk{c: c}) // what it finds is in c
	return !c.failed(before)
}

// nameWalk looks for functions, locals and variables that there are not.
type nameWalk struct {
	c     *compiler
	known []string // variables of the loops around
}

// Enter is of hclsyntax.Walker.
func (w *nameWalk) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch e := n.(type) {
	case *hclsyntax.ForExpr:
		w.known = append(w.known, e.ValVar, e.KeyVar)
	case *hclsyntax.FunctionCallExpr:
		_, ok := functions()[e.Name]
		if _, test := testFunctions[e.Name]; !ok && !test {
			w.c.report(codeReference, e.NameRange, didYouMean(e.Name, append(sortedKeys(testFunctions), sortedKeys(functions())...), ""), "there is no function %q", clip(e.Name))
		}
	case *hclsyntax.ScopeTraversalExpr:
		root := e.Traversal.RootName()
		switch {
		case root == "local" && len(e.Traversal) > 1:
			if step, ok := e.Traversal[1].(hcl.TraverseAttr); ok && w.c.locals[step.Name] == nil {
				w.c.report(codeReference, afterDot(step.SrcRange), didYouMean(step.Name, w.c.localNames(), "local."), "there is no local %q", clip(step.Name))
			}
		case root == "services" || slices.Contains(w.known, root):
		case root == kindService:
			w.c.report(codeReference, e.SrcRange, `write [for s in services : s if s.name == "NAME"]`, "a condition is about services; service.NAME is for never and always")
		default:
			next := "write services, local.NAME, or a variable of a loop around it"
			if near := suggest.Word(root, append(w.known, "services", "local")); near != "" {
				next = "did you mean " + near + "?"
			}
			w.c.report(codeReference, e.Traversal[0].SourceRange(), next, "%q is not known", clip(root))
		}
	}
	return nil
}

// Exit is of hclsyntax.Walker.
func (w *nameWalk) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if _, ok := n.(*hclsyntax.ForExpr); ok {
		w.known = w.known[:len(w.known)-2]
	}
	return nil
}

// blamed keeps of the items of the last loop those of which bad says so, at most a few.
func (s *suite) blamed(bad func(i int) bool) {
	const most = 8
	var out []string
	n := 0
	for i, name := range s.blame {
		if bad(i) {
			if n++; n <= most {
				out = append(out, name)
			}
		}
	}
	if n > most {
		out = append(out, fmt.Sprintf("%d others", n-most))
	}
	s.blame = out
}
