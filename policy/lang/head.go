package lang

import (
	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// headOf is the policy block of one file, or nil.
func (c *compiler) headOf(file string) *hclsyntax.Block {
	for _, h := range c.heads {
		if h.DefRange().Filename == file {
			return h
		}
	}
	return nil
}

// policyBlock reads the policy blocks: each file may have one, so that it can be
// checked alone, and what two of them say must be the same.
func (c *compiler) policyBlock(p *policy.Policy) {
	p.OnStop = "end"
	said := map[string]value{}
	for _, head := range c.heads {
		b := c.open(head, "", []string{"edition", "on_stop"})
		b.missing("edition", "write edition = 1")
		if n, ok := b.number("edition", "edition"); ok {
			p.Edition = int(n)
			c.agree(said, "edition", value{kind: kindNumber, n: n, rng: b.c.places["edition"]})
		}
		if s, ok := b.str("on_stop", "on_stop"); ok {
			p.OnStop = s
			c.agree(said, "on_stop", value{kind: kindString, s: s, rng: b.c.places["on_stop"]})
		}
	}
}

// agree reports a policy block that says something else than one before it.
func (c *compiler) agree(said map[string]value, name string, v value) {
	first, ok := said[name]
	if !ok {
		said[name] = v
		return
	}
	if first.key() != v.key() {
		c.report(codeDuplicate, v.rng, "write "+name+" the same in every file, or in one; the first is at "+place(first.rng)+":\n"+
			snippet(c.sources[first.rng.Filename], first.rng), "the policy blocks disagree about %s", name)
	}
}

// start is where a policy begins, for what has no place of its own.
func (c *compiler) start() hcl.Range { return c.heads[0].DefRange() }
