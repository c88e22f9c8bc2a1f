package lang

import (
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A function computes a value of the range rng from its arguments, or returns
// what is wrong and one step that repairs it.
type function func(c *compiler, rng hcl.Range, args []value) (v value, wrong, next string)

// Function is what the language knows of one function beside what it does.
type Function struct {
	Name    string `json:"name"`
	Example string `json:"example"` // a call
	Doc     string `json:"doc"`     // one line
}

// functionTable is the whole library: pure, and none makes more than it is given.
var functionTable = []struct {
	Function
	call function
}{
	{Function{"cidrhost", `cidrhost("192.0.2.0/24", 66)`, "the address of that number in a prefix, here 192.0.2.66; the prefix's own is 0"}, cidrhost},
	{Function{"cidrsubnet", `cidrsubnet("2001:db8::/32", 16, 10)`, "the prefix of that number among those so many bits longer, here 2001:db8:a::/48"}, cidrsubnet},
	{Function{"concat", `concat(local.office, [".example.org"])`, "lists one after the other"}, concat},
	{Function{"distinct", `distinct(["a", "b", "a"])`, "a list without repetitions"}, distinct},
	{Function{"setintersection", "setintersection(local.staff, local.here)", "what all lists hold"}, setFunction("and")},
	{Function{"setsubtract", "setsubtract(local.all, local.few)", "what the first list holds and no other one"}, setFunction("not")},
	{Function{"setunion", "setunion(local.some, local.others)", "what one of the lists holds, once"}, setFunction("or")},
}

// Functions are all functions of the language, by name.
func Functions() []Function {
	var out []Function
	for _, f := range functionTable {
		out = append(out, f.Function)
	}
	return out
}

// functions are those of the table by name.
var functions = sync.OnceValue(func() map[string]function {
	out := map[string]function{}
	for _, f := range functionTable {
		out[f.Name] = f.call
	}
	return out
})

func setFunction(op string) function {
	return func(c *compiler, r hcl.Range, a []value) (value, string, string) { return sets(c, r, a, op) }
}

// call evaluates a function call. Arguments keep their own ranges.
func (c *compiler) call(e *hclsyntax.FunctionCallExpr) (value, bool) {
	f, ok := functions()[e.Name]
	if !ok && c.suite != nil {
		f, ok = testFunctions[e.Name]
	}
	if !ok {
		names := slices.Sorted(maps.Keys(functions()))
		if c.suite != nil {
			names = slices.Sorted(maps.Keys(testFunctions)) // longer, and those above are among them
			names = append(names, slices.Sorted(maps.Keys(functions()))...)
		}
		c.report(codeReference, e.NameRange, didYouMean(e.Name, names, ""), "there is no function %q", e.Name)
		return value{}, false
	}
	if e.ExpandFinal || !c.fits(e.Range(), len(e.Args)) {
		c.report(codeFeature, e.Range(), "write the arguments out", "expansion is not part of the policy language")
		return value{}, false
	}
	args, items := make([]value, len(e.Args)), 0
	for i, x := range e.Args {
		v, ok := c.eval(x)
		if !ok {
			return value{}, false
		}
		args[i], items = v, items+len(v.list)
	}
	// A call's work is what it reads: what it makes may be nothing.
	if !c.spend(e.Range(), workOfItem*items) {
		return value{}, false
	}
	v, wrong, next := f(c, e.Range(), args)
	switch {
	case wrong != "":
		c.report(codeCall, e.Range(), next, "%s: %s", e.Name, wrong)
		return value{}, false
	case v.kind == kindList && !c.fits(e.Range(), len(v.list)):
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
