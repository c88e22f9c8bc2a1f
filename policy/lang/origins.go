package lang

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// place writes a range as Origins do.
func place(rng hcl.Range) string {
	return fmt.Sprintf("%s:%d:%d", rng.Filename, rng.Start.Line, rng.Start.Column)
}

func compareRanges(a, b hcl.Range) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Start.Byte, b.Start.Byte))
}

// origins turns the places into Origins and says "default" for every value of
// the policy that nobody wrote.
func (c *compiler) origins(p *policy.Policy) policy.Origins {
	o := make(policy.Origins, len(c.places))
	for path, rng := range c.places {
		o[path] = place(rng)
	}
	var tree map[string]any
	b, err := policy.Encode(p)
	if err != nil || json.Unmarshal(b, &tree) != nil {
		return o // Encode's error is reported by the caller, who encodes again
	}
	for key, v := range tree {
		c.fill(o, key, v)
	}
	return o
}

// fill walks the canonical JSON. A path that is not a block and has an origin
// covers all below it; a value inside a block without one is a default.
func (c *compiler) fill(o policy.Origins, path string, v any) {
	if _, ok := o[path]; ok && !c.inner[path] {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			c.fill(o, path+"."+key, child)
		}
	case []any:
		if len(v) == 0 {
			o[path] = "default"
		}
		for i, child := range v {
			key := strconv.Itoa(i)
			if m, ok := child.(map[string]any); ok {
				if name, ok := m["name"].(string); ok && c.inner[path+"."+name] {
					key = name
				}
			}
			c.fill(o, path+"."+key, child)
		}
	default:
		o[path] = "default"
	}
}

func sortedAttrs(b *hclsyntax.Body) []*hclsyntax.Attribute {
	attrs := slices.Collect(maps.Values(b.Attributes))
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int { return compareRanges(a.NameRange, b.NameRange) })
	return attrs
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
