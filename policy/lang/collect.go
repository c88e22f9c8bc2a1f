package lang

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"casemate/policy/granted"
)

// collect sorts the top-level blocks by kind and name; nothing is evaluated.
func (c *compiler) collect(b *hclsyntax.Body) {
	kinds := []string{"policy", "locals", kindInetd, kindACL, kindLimit, kindProfile, kindService, kindWaiver}
	for _, a := range sortedAttrs(b) {
		next := "put it into a block: policy, locals, acl, limit, profile or service"
		if slices.Contains(kinds, a.Name) {
			next = fmt.Sprintf("%s is a block: write %s { ... } without =", a.Name, a.Name)
		}
		c.report(codeAttr, a.NameRange, next, "attribute %q stands outside of a block", a.Name)
	}
	for _, blk := range b.Blocks {
		switch blk.Type {
		case "policy":
			c.labels(blk, 0)
			if first := c.headOf(blk.DefRange().Filename); first != nil {
				c.twice(blk, first, "the policy block")
				continue
			}
			c.heads = append(c.heads, blk)
		case "locals":
			c.labels(blk, 0)
			c.collectLocals(blk)
		case kindInetd:
			c.labels(blk, 0)
			if i := slices.IndexFunc(c.inetds, func(b *hclsyntax.Block) bool { return b.DefRange().Filename == blk.DefRange().Filename }); i >= 0 {
				c.twice(blk, c.inetds[i], "the inetd block")
				continue
			}
			c.inetds = append(c.inetds, blk)
		case kindWaiver:
			c.collectWaiver(blk)
		case kindACL, kindLimit, kindProfile, kindService:
			c.collectNamed(blk)
		default:
			c.report(codeBlock, blk.TypeRange, unknownName(blk.Type, kinds), "there is no block %q", clip(blk.Type))
		}
	}
}

func (c *compiler) collectLocals(blk *hclsyntax.Block) {
	for _, b := range blk.Body.Blocks {
		c.report(codeBlock, b.TypeRange, "write "+b.Type+" = ...", "locals holds values, not blocks")
	}
	for _, a := range sortedAttrs(blk.Body) {
		if first := c.locals[a.Name]; first != nil {
			c.report(codeDuplicate, a.NameRange, "remove one of them; the first is at "+place(first.attr.NameRange), "local %q is set twice", a.Name)
			continue
		}
		if len(c.locals) == maxLocals {
			c.report(codeBounds, a.NameRange, "use fewer of them", "there are more than %d locals", maxLocals)
			return
		}
		c.locals[a.Name] = &local{attr: a}
	}
}

func (c *compiler) collectNamed(blk *hclsyntax.Block) {
	if !c.labels(blk, 1) {
		return
	}
	name, rng := blk.Labels[0], blk.LabelRanges[0]
	if !granted.ValidName(name) {
		c.report(codeLabel, rng, "use 1 to 63 lower-case letters, digits, _ and -, with a letter first", "%q is not a name", clip(name))
		return
	}
	if first := c.blocks[blk.Type][name]; first != nil {
		c.twice(blk, first, fmt.Sprintf("%s %q", blk.Type, name))
		return
	}
	if c.base != nil && c.base.blocks[blk.Type][name] != nil {
		c.report(codeDuplicate, rng, "choose another name, as "+blk.Type+" \"my_"+name+"\"", "%s %q is shipped with casemate", blk.Type, name)
		return
	}
	c.blocks[blk.Type][name] = blk
	c.order[blk.Type] = append(c.order[blk.Type], name)
}

// twice reports a block that is there already and shows both places.
func (c *compiler) twice(blk, first *hclsyntax.Block, what string) {
	c.report(codeDuplicate, blk.DefRange(), "remove one of them; the first is at "+place(first.DefRange())+":\n"+
		snippet(c.sources[first.DefRange().Filename], first.DefRange()), "%s is there twice", what)
}

// labels checks how many labels a block has.
func (c *compiler) labels(blk *hclsyntax.Block, want int) bool {
	if len(blk.Labels) == want {
		return true
	}
	next := fmt.Sprintf("write %s \"NAME\" { ... }", blk.Type)
	if want == 0 {
		next = fmt.Sprintf("write %s { ... }", blk.Type)
	}
	c.report(codeLabel, blk.DefRange(), next, "%s has %d names, expected %d", blk.Type, len(blk.Labels), want)
	return false
}
