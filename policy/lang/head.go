package lang

import (
	"casemate/policy"
	"casemate/sandbox/machine"

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

// headTable is policy { ... }.
var headTable = table[policy.Policy]{{rows: []row[policy.Policy]{
	{Attribute{Name: "edition", Example: "1", Doc: "of the language"},
		number(func(p *policy.Policy) *int { return &p.Edition })},
	{Attribute{Name: "on_stop", Example: `"leave"`, Unset: `"end"`, Words: spelled(policy.StopModes), Doc: "what a stopping casemated does with sessions; those of wait programs end in any case"},
		word(func(p *policy.Policy) *policy.StopMode { return &p.OnStop })},
	{Attribute{Name: "on_broken", Example: `"refuse"`, Unset: `"retry"`, Words: spelled(policy.BrokenModes), Doc: "what casemated does at its start with a service that it cannot prepare: serve the others and try again, or end"},
		word(func(p *policy.Policy) *policy.BrokenMode { return &p.OnBroken })},
	{Attribute{Name: "on_narrow", Example: `"end"`, Words: spelled(policy.NarrowModes), Doc: "what a load does with sessions whose client the new policy does not admit, by its address, the name that was asked and the time: keep them, or end them as casemate kill does; absent: keep"},
		word(func(p *policy.Policy) *policy.NarrowMode { return &p.OnNarrow })},
}}}

// policyBlock reads the policy blocks: each file may have one, so that it can be
// checked alone, and what two of them say must be the same.
func (c *compiler) policyBlock(p *policy.Policy) {
	*p = headBlank()
	p.Machine = machine.Compiled
	said := map[string]value{}
	for _, head := range c.heads {
		b := headTable.open(c, head, "")
		b.missing("edition", "write edition = 1")
		headTable.read(b, p)
		for _, name := range headTable[0].names() {
			if a := head.Body.Attributes[name]; a != nil {
				c.agree(said, a)
			}
		}
	}
}

// agree reports a policy block that says something else than one before it.
func (c *compiler) agree(said map[string]value, a *hclsyntax.Attribute) {
	v, ok := c.eval(a.Expr)
	first, twice := said[a.Name]
	switch {
	case !ok: // reported by its reader
	case !twice:
		said[a.Name] = v
	case first.key() != v.key():
		c.report(codeDuplicate, v.rng, "write "+a.Name+" the same in every file, or in one; the first is at "+place(first.rng)+":\n"+
			snippet(c.sources[first.rng.Filename], first.rng), "the policy blocks disagree about %s", a.Name)
	}
}

// start is where a policy begins, for what has no place of its own.
func (c *compiler) start() hcl.Range { return c.heads[0].DefRange() }
