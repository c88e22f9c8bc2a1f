package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A function computes a value of the range rng from its arguments, or returns
// what is wrong and one step that repairs it.
type function func(c *compiler, rng hcl.Range, args []value) (v value, wrong, next string)

// functions is the whole library: pure, and none makes more than it is given.
var functions = map[string]function{
	"concat":          concat,
	"contains":        contains,
	"distinct":        distinct,
	"flatten":         flatten,
	"format":          formatText,
	"length":          length,
	"setintersection": func(c *compiler, r hcl.Range, a []value) (value, string, string) { return sets(c, r, a, "and") },
	"setsubtract":     func(c *compiler, r hcl.Range, a []value) (value, string, string) { return sets(c, r, a, "not") },
	"setunion":        func(c *compiler, r hcl.Range, a []value) (value, string, string) { return sets(c, r, a, "or") },
}

// call evaluates a function call. Arguments keep their own ranges.
func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (value, bool) {
	f, ok := functions[e.Name]
	if !ok {
		names := slices.Sorted(maps.Keys(functions))
		c.report(codeReference, e.NameRange, didYouMean(e.Name, names, ""), "there is no function %q", e.Name)
		return value{}, false
	}
	if e.ExpandFinal || !c.fits(e.Range(), len(e.Args)) {
		c.report(codeFeature, e.Range(), "write the arguments out", "expansion is not part of the policy language")
		return value{}, false
	}
	args := make([]value, len(e.Args))
	for i, x := range e.Args {
		v, ok := c.eval(x)
		if !ok {
			return value{}, false
		}
		args[i] = v
	}
	v, wrong, next := f(c, e.Range(), args)
	switch {
	case wrong != "":
		c.report(codeCall, e.Range(), next, "%s: %s", e.Name, wrong)
		return value{}, false
	case v.kind == kindList && !c.fits(e.Range(), len(v.list)), !c.spend(e.Range(), len(v.list)+len(v.s)):
		return value{}, false
	}
	v.rng = e.Range()
	return v, true
}

// join appends the lists that args must be, stopping beyond maxList.
func join(args []value) (items []value, wrong string) {
	for _, a := range args {
		if a.kind != kindList {
			return nil, "takes lists, not " + a.describe()
		}
		if items = append(items, a.list...); len(items) > maxList {
			break
		}
	}
	return items, ""
}

func concat(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	items, wrong := join(args)
	return value{kind: kindList, list: items}, wrong, `write concat(["a"], ["b"])`
}

func flatten(c *compiler, rng hcl.Range, args []value) (value, string, string) {
	out := value{kind: kindList}
	if len(args) != 1 || args[0].kind != kindList {
		return out, "takes one list", "write flatten([[\"a\"], [\"b\"]])"
	}
	var walk func([]value) bool
	walk = func(list []value) bool {
		for _, v := range list {
			switch {
			case !c.spend(rng, 0) || len(out.list) > maxList:
				return false
			case v.kind != kindList:
				out.list = append(out.list, v)
			case !walk(v.list):
				return false
			}
		}
		return true
	}
	walk(args[0].list)
	return out, "", ""
}

func distinct(c *compiler, rng hcl.Range, args []value) (value, string, string) {
	if len(args) != 1 {
		return value{}, "takes one list", `write distinct(["a", "a"])`
	}
	return sets(c, rng, args, "or")
}

// sets joins, intersects or subtracts lists of scalars. Items stay in the order
// of the first list that holds them.
func sets(_ *compiler, _ hcl.Range, args []value, op string) (value, string, string) {
	const next = `write lists of strings, as setunion(["a"], ["b"])`
	if len(args) == 0 {
		return value{}, "takes lists", next
	}
	held := make([]map[string]bool, len(args))
	for i, a := range args {
		if a.kind != kindList {
			return value{}, "takes lists, not " + a.describe(), next
		}
		held[i] = make(map[string]bool, len(a.list))
		for _, v := range a.list {
			if !v.scalar() {
				return value{}, "takes lists of strings and numbers, not of " + v.describe(), next
			}
			held[i][v.key()] = true
		}
	}
	from := args
	if op != "or" {
		from = args[:1]
	}
	out, seen := value{kind: kindList}, map[string]bool{}
	for _, a := range from {
		for _, v := range a.list {
			k := v.key()
			others := func(m map[string]bool) bool { return m[k] == (op == "not") }
			if seen[k] || op != "or" && slices.ContainsFunc(held[1:], others) {
				continue
			}
			seen[k] = true
			out.list = append(out.list, v)
		}
	}
	return out, "", ""
}

func contains(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	if len(args) != 2 || args[0].kind != kindList || !args[1].scalar() {
		return value{}, "takes a list and a value", `write contains(local.names, "a")`
	}
	k := args[1].key()
	found := slices.ContainsFunc(args[0].list, func(v value) bool { return v.scalar() && v.key() == k })
	return value{kind: kindBool, b: found}, "", ""
}

func length(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	if len(args) == 1 {
		switch a := args[0]; a.kind {
		case kindList:
			return value{kind: kindNumber, n: int64(len(a.list))}, "", ""
		case kindObject:
			return value{kind: kindNumber, n: int64(len(a.obj))}, "", ""
		case kindString:
			return value{kind: kindNumber, n: int64(len([]rune(a.s)))}, "", ""
		}
	}
	return value{}, "takes one list, object or string", "write length(local.names)"
}

// formatText knows %s, %d, %v, %q and %%: no widths and no indexes, so the
// result is no longer than its arguments together.
func formatText(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	const next = `write format("%s-%d", "a", 1)`
	if len(args) == 0 || args[0].kind != kindString {
		return value{}, "takes a format and its values", next
	}
	var b strings.Builder
	spec, rest := args[0].s, args[1:]
	for i := 0; i < len(spec); i++ {
		if spec[i] != '%' {
			b.WriteByte(spec[i])
			continue
		}
		if i++; i == len(spec) || !strings.ContainsRune("sdvq%", rune(spec[i])) {
			return value{}, "knows %s, %d, %v, %q and %% only", next
		}
		if spec[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if len(rest) == 0 || !rest[0].scalar() || spec[i] == 'd' && rest[0].kind != kindNumber {
			return value{}, "the values do not fit the format", next
		}
		if spec[i] == 'q' {
			b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(rest[0].text()) + `"`)
		} else {
			b.WriteString(rest[0].text())
		}
		if rest = rest[1:]; b.Len() > maxString {
			return value{}, "the string is longer than 64 KiB", "shorten it"
		}
	}
	if len(rest) > 0 {
		return value{}, "there are more values than places for them", next
	}
	return value{kind: kindString, s: b.String()}, "", ""
}
