package lang

import (
	"maps"
	"slices"

	"casemate/policy"
	"casemate/policy/inetd"
)

// maxSkips bounds how often a policy is compiled again without entries that cannot be served:
// one time finds nearly all of them.
const maxSkips = 4

// skippable are the errors of an entry that concern nobody but it.
var skippable = []string{codeEntry, codeValue, codeMeaning}

// unservable are the entries that errors are about, beside those of earlier compilations, where
// unreadable = "skip" and no block extends them: what a block says of an entry was reviewed
// with it. nil is none.
func (c *compiler) unservable() map[inetd.Range]finding {
	if c.entryRules.unreadable != skipUnreadable {
		return nil
	}
	skip := maps.Clone(c.skip)
	if skip == nil {
		skip = map[inetd.Range]finding{}
	}
	for _, f := range c.found {
		if f.Severity != policy.SeverityError || !slices.Contains(skippable, f.Code) {
			continue
		}
		for _, e := range c.entries {
			at := hclRange(e.At)
			if e.extended == "" && at.Filename == f.rng.Filename && at.Start.Byte <= f.rng.Start.Byte && f.rng.Start.Byte < at.End.Byte {
				skip[e.At] = f
			}
		}
	}
	if len(skip) == len(c.skip) {
		return nil
	}
	return skip
}
