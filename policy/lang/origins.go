package lang

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// place writes a range as Origins do.
func place(rng hcl.Range) string {
	return rng.Filename + ":" + strconv.Itoa(rng.Start.Line) + ":" + strconv.Itoa(rng.Start.Column)
}

func compareRanges(a, b hcl.Range) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Start.Byte, b.Start.Byte))
}

// put records the place of a value.
func (c *compiler) put(path string, rng hcl.Range) {
	if rest, ok := strings.CutPrefix(path, "profiles."); ok && c.places[path].Filename == "" {
		name, _, _ := strings.Cut(rest, ".")
		owner := path[:len("profiles.")+len(name)]
		c.within[owner] = append(c.within[owner], path)
	}
	c.places[path] = rng
}

// drop forgets the places of a value and of all in it.
func (c *compiler) drop(path string) {
	delete(c.places, path)
	for i := 0; ; i++ {
		item := path + "." + strconv.Itoa(i)
		if _, ok := c.places[item]; !ok {
			break
		}
		delete(c.places, item)
	}
	for _, name := range []string{"mode", "owner", "group"} {
		delete(c.places, path+"."+name)
	}
}

// origins turns the places into Origins and says "default" for every value of
// the policy that nobody wrote. It looks at one block at a time: the JSON of a
// whole policy, taken apart, is a multiple of the policy.
func (c *compiler) origins(p *policy.Policy) policy.Origins {
	o := make(policy.Origins, len(c.places))
	type spot struct {
		file string
		at   int
	}
	known := make(map[spot]string, len(c.places)) // what was inherited has one place in many profiles
	for path, rng := range c.places {
		key := spot{rng.Filename, rng.Start.Byte}
		at, ok := known[key]
		if !ok {
			at = place(rng)
			known[key] = at
		}
		o[path] = at
	}
	c.fillBlock(o, "edition", p.Edition)
	c.fillBlock(o, "on_stop", p.OnStop)
	c.fillBlock(o, "on_broken", p.OnBroken)
	if p.OnNarrow != "" {
		c.fillBlock(o, "on_narrow", p.OnNarrow)
	}
	for i := range p.ACLs {
		c.fillBlock(o, "acls."+p.ACLs[i].Name, &p.ACLs[i])
	}
	for i := range p.Limits {
		c.fillBlock(o, "limits."+p.Limits[i].Name, &p.Limits[i])
	}
	for i := range p.Profiles {
		c.fillBlock(o, "profiles."+p.Profiles[i].Name, &p.Profiles[i])
	}
	for _, list := range [][]policy.Service{p.Services, p.Disabled} {
		for i := range list {
			c.fillBlock(o, "services."+list[i].Name, &list[i])
		}
	}
	return o
}

func (c *compiler) fillBlock(o policy.Origins, path string, block any) {
	var tree any
	if b, err := json.Marshal(block); err == nil && json.Unmarshal(b, &tree) == nil {
		c.fill(o, path, tree)
	}
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
