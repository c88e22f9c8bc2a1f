package lang

import (
	_ "embed"
	"fmt"
	"slices"
	"sync"

	"casemate/policy"
	"casemate/sandbox"
)

//go:embed base.cm.hcl
var baseSource []byte

// shippedName is the file name that origins of shipped values show.
const shippedName = "shipped/base.cm.hcl"

// shipped compiles the blocks of base.cm.hcl once.
var shipped = sync.OnceValue(func() *compiler {
	c := newCompiler(nil)
	if bodies, ok := c.parse([]policy.SourceFile{{Name: shippedName, Data: baseText()}}); ok {
		for _, b := range bodies {
			c.collect(b)
		}
		c.definitions()
	}
	if len(c.found) > 0 {
		// The file is part of the binary and tested; a broken one cannot be used safely.
		panic(fmt.Sprintf("policy/lang: base.cm.hcl: %+v", c.diagnostics()))
	}
	return c
})

// Shipped returns the source of the blocks that casemate ships, as the policy
// language writes them.
func Shipped() []byte { return slices.Clone(baseSource) }

// ShippedBlock returns the source of one shipped block with the comment above
// it, or nil. kind is acl, limit or profile.
func ShippedBlock(kind, name string) []byte {
	blk := shipped().blocks[kind][name]
	if blk == nil {
		return nil
	}
	start, end := blk.Range().Start.Byte, blk.Body.EndRange.End.Byte
	for start > 1 {
		line := lineStart(baseSource, start-1)
		if baseSource[line] != '#' {
			break
		}
		start = line
	}
	return append(slices.Clone(baseSource[start:end]), '\n')
}

// lineStart is the offset of the first byte of the line that holds offset i.
func lineStart(b []byte, i int) int {
	for i > 0 && b[i-1] != '\n' {
		i--
	}
	return i
}

// ShippedProfiles returns the shipped profiles, resolved, in the order of the
// file: the general ones from the narrowest to the widest, then those of kinds of program.
func ShippedProfiles() []sandbox.Profile {
	c := shipped()
	var out []sandbox.Profile
	for _, name := range c.order[kindProfile] {
		out = append(out, c.profiles[name].Profile)
	}
	return out
}
