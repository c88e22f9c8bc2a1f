package lang

import (
	"fmt"
	"strings"

	"casemate/policy/granted"
	"casemate/policy/valid"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxEach is how many services one block makes at most.
const maxEach = 1024

// forEachRow is read before the block is compiled, once for each of its values.
var forEachRow = Attribute{Name: "for_each", Example: "{ red = 7001, blue = 7002 }", Instead: "several blocks", Bounds: fmt.Sprintf("at most %d", maxEach),
	Doc: "one service for each, called NAME-red and NAME-blue; each.key and each.value are known in the block. A list is its own keys"}

// each is what an instance of a block has of its for_each.
type each struct {
	key string
	val value
}

// instance is a service block and the name of the service that it makes, or of one of them.
type instance struct {
	name string
	syn  *hclsyntax.Block
	each *each // nil of a block without for_each
}

// instances are the services that the blocks make, by whose names the blocks are known from here on.
func (c *compiler) instances() (all []instance) {
	blocks := c.blocks[kindService]
	for _, name := range c.order[kindService] {
		if syn := blocks[name]; syn.Body.Attributes[forEachRow.Name] == nil {
			all = append(all, instance{name: name, syn: syn})
		}
	}
	var made []instance
	for _, name := range c.order[kindService] {
		syn := blocks[name]
		a := syn.Body.Attributes[forEachRow.Name]
		if a == nil {
			continue
		}
		delete(blocks, name)
		some := c.eachOf(name, syn, a.Expr)
		if len(all)+len(made)+len(some) > valid.MaxServices {
			c.report(codeBounds, a.Expr.Range(), "serve fewer", "they are more than the %d services that a policy may have", valid.MaxServices)
			break
		}
		made = append(made, some...)
	}
	for _, i := range made {
		if other := blocks[i.name]; other != nil {
			c.report(codeDuplicate, i.each.val.rng, "choose another key or name; the other is at "+place(other.DefRange()), "service %q is there twice", i.name)
			continue
		}
		blocks[i.name] = i.syn
		all = append(all, i)
	}
	return all
}

// eachOf reads for_each of a block. What is wrong with one value leaves the others.
func (c *compiler) eachOf(name string, syn *hclsyntax.Block, e hclsyntax.Expression) (out []instance) {
	v, ok := c.eval(e)
	if !ok {
		return nil
	}
	n := len(v.list) + len(v.obj)
	switch {
	case v.kind != kindList && v.kind != kindObject:
		c.report(codeType, e.Range(), "write for_each = "+forEachRow.Example+" or a list of names or ports", "for_each must be a list or an object, not %s", v.describe())
		return nil
	case n == 0:
		c.report(codeValue, e.Range(), "name something, or remove the block", "for_each has nothing in it, so service %q would be none", name)
		return nil
	case n > maxEach:
		c.report(codeBounds, e.Range(), "make several blocks of it", "for_each has %d values, at most %d make one block's services", n, maxEach)
		return nil
	}
	seen := make(map[string]hcl.Range, n)
	add := func(key string, at hcl.Range, val value) {
		full := name + "-" + key
		first, twice := seen[key]
		switch {
		case key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
			c.report(codeValue, at, `use lower-case letters, digits, _ and -; an object has keys of its own: { web = `+asWritten(val)+` }`, "for_each: %q cannot be part of a name", clip(key))
		case !granted.ValidName(full):
			c.report(codeValue, at, "shorten the key or the name of the block", "%q is not a name: it is longer than 63 characters", clip(full))
		case twice:
			c.report(codeDuplicate, at, "remove one of them; the first is at "+place(first), "for_each has %q twice", key)
		default:
			seen[key] = at
			val.rng = at
			out = append(out, instance{full, syn, &each{key, val}})
		}
	}
	for _, item := range v.list {
		if item.kind != kindString && item.kind != kindNumber {
			c.report(codeType, item.rng, "write an object, whose keys are part of the names: { web = ... }", "for_each: %s cannot be part of a name", item.describe())
			continue
		}
		add(item.text(), item.rng, item)
	}
	for _, f := range v.obj {
		add(f.name, f.rng, f.val)
	}
	return out
}

// asWritten is a scalar as it is written.
func asWritten(v value) string {
	if v.kind == kindString {
		return clip(fmt.Sprintf("%q", v.s))
	}
	return v.text()
}

// eachValue reads each.key or each.value, as the first step of a traversal says.
func (c *compiler) eachValue(e *hclsyntax.ScopeTraversalExpr) (value, bool) {
	word := ""
	if len(e.Traversal) > 1 {
		if step, ok := e.Traversal[1].(hcl.TraverseAttr); ok {
			word = step.Name
		}
	}
	switch {
	case c.each == nil:
		c.report(codeReference, e.SrcRange, "write for_each = [...] in the service block, or the value itself", "each is known only in a service block with for_each")
	case word == "key":
		return value{kind: kindString, s: c.each.key, rng: c.each.val.rng}, true
	case word == "value":
		return c.each.val, true
	default:
		c.report(codeReference, e.SrcRange, "write each.key or each.value", "each has a key and a value")
	}
	return value{}, false
}

// ofInstance says which of a block's services a value at path belongs to, "" where it makes but one.
func (c *compiler) ofInstance(path string) string {
	rest, _ := strings.CutPrefix(path, "services.")
	name, _, _ := strings.Cut(rest, ".")
	if syn := c.blocks[kindService][name]; syn == nil || syn.Body.Attributes[forEachRow.Name] == nil {
		return ""
	}
	return fmt.Sprintf("service %q: ", name)
}
