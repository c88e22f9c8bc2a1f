package lang

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// whoConnects are the attributes of an inetd block that answer one question together.
var whoConnects = []string{"acl", "hosts_access", "hosts_access_for"}

// joinInetd makes one block of the inetd blocks: each file may have one, and what two of them
// say must be the same. One that yields says only what no other does. nil is none at all.
func (c *compiler) joinInetd() *hclsyntax.Block {
	var all *hclsyntax.Block
	for _, yielding := range []bool{false, true} {
		for _, blk := range c.inetds {
			if c.yields(blk) != yielding {
				continue
			}
			if all == nil {
				one, body := *blk, *blk.Body
				one.Body, body.Attributes, body.Blocks = &body, hclsyntax.Attributes{}, nil
				all = &one
			}
			c.joinBlock(all, blk, yielding)
		}
	}
	return all
}

// yields tells whether a block says that it does.
func (c *compiler) yields(blk *hclsyntax.Block) bool {
	a := blk.Body.Attributes[yieldsRow.Name]
	if a == nil {
		return false
	}
	v, ok := c.eval(a.Expr)
	return ok && v.kind == kindBool && v.b
}

// joinBlock adds to all what blk says.
func (c *compiler) joinBlock(all, blk *hclsyntax.Block, yielding bool) {
	to, before := all.Body, maps.Clone(all.Body.Attributes)
	for _, a := range sortedAttrs(blk.Body) {
		first := before[a.Name]
		switch {
		case yielding && answered(before, a.Name):
		case first == nil:
			to.Attributes[a.Name] = a
		case c.text(first.Expr.Range()) != c.text(a.Expr.Range()):
			c.report(codeDuplicate, a.Expr.Range(), "write it once; the first is at "+place(first.Expr.Range())+":\n"+
				snippet(c.sources[first.Expr.Range().Filename], first.Expr.Range()), "the inetd blocks disagree about %s", a.Name)
		}
	}
	for _, b := range blk.Body.Blocks {
		i := slices.IndexFunc(to.Blocks, func(o *hclsyntax.Block) bool { return o.Type == b.Type })
		if i < 0 || to.Blocks[i].DefRange().Filename == b.DefRange().Filename {
			to.Blocks = append(to.Blocks, b) // twice in one block is for its reader to report
		} else if !yielding {
			c.twice(b, to.Blocks[i], b.Type+" of inetd")
		}
	}
}

// answered tells whether attributes say already what name would.
func answered(attrs hclsyntax.Attributes, name string) bool {
	if !slices.Contains(whoConnects, name) {
		return attrs[name] != nil
	}
	return slices.ContainsFunc(whoConnects, func(n string) bool { return attrs[n] != nil })
}
