package lang

import (
	"fmt"
	"slices"
	"strconv"

	"casemate/policy/explain"
	"casemate/sandbox"
	"casemate/sandbox/resource"
)

// units read and show a resource's number that is written with a unit.
var units = map[resource.Unit]struct {
	read func(string) (int64, error)
	show func(int64) string
}{
	resource.Count:   {nil, func(n int64) string { return strconv.FormatInt(n, 10) }},
	resource.Bytes:   {parseSize, explain.FormatSize},
	resource.Seconds: {parseSeconds, func(n int64) string { return fmt.Sprintf("%ds", n) }},
	resource.Share:   {parseCPU, func(n int64) string { return fmt.Sprintf("%d%%", n/10) }},
}

// resourceRows are the attributes of resources { }.
func resourceRows() []row[profile] {
	var out []row[profile]
	for i, r := range sandbox.ResourceRows {
		written := resource.Rows[i]
		u, example := units[written.Unit], written.Example
		if u.read != nil {
			example = strconv.Quote(example)
		}
		out = append(out, row[profile]{Attribute{Name: r.Name, Example: example, Layer: "resources", Doc: written.Doc, Bounds: u.show(r.Min) + " to " + u.show(r.Max)},
			readResource(sandbox.Resource(i), u.read, u.show)})
	}
	return out
}

// readResource reads one limit: a number, or a string with a unit, or "unlimited",
// which lifts a limit of the base.
func readResource(i sandbox.Resource, parse func(string) (int64, error), show func(int64) string) reader[profile] {
	return func(b *block, a *Attribute, p *profile) {
		v, ok := b.attr(a)
		if !ok {
			return
		}
		n, err := int64(0), error(nil)
		switch {
		case v.kind == kindString && v.s == "unlimited":
		case parse == nil && v.kind == kindNumber && v.n > 0:
			n = v.n
		case parse != nil && v.kind == kindString:
			if n, err = parse(v.s); err == nil && n == 0 {
				err = fmt.Errorf("0 is no limit")
			}
			if err != nil {
				b.c.report(codeValue, v.rng, instead(a, err)+`, or "unlimited"`, "%s: %v", a.Name, err)
				return
			}
		case parse != nil:
			b.c.report(codeType, v.rng, bareNumber(b.c, a, v, parse)+`, or "unlimited"`, "%s cannot be %s", a.Name, v.describe())
			return
		default:
			b.c.report(codeType, v.rng, "write "+a.Name+" = "+b.c.instead(v, kindNumber, a.Example)+`, or "unlimited"`, "%s cannot be %s", a.Name, v.describe())
			return
		}
		if had := p.Resources[i]; had != 0 && (n == 0 || n > had) {
			b.need(a.Layer, v, fmt.Sprintf("%s above %s", a.Name, show(had)))
		}
		p.Resources[i] = n
	}
}

// ownBounds takes cgroup out of what the base gives up where a profile names a
// bound that needs one: it means it, unless it says best_effort itself.
func ownBounds(b *block, p *profile) {
	named := false
	for i, r := range sandbox.ResourceRows {
		named = named || r.Group && p.Resources[i] > 0 && b.has(r.Name)
	}
	if named && b.c.base != nil && b.w.syn.Body.Attributes["best_effort"] == nil {
		p.BestEffort = slices.DeleteFunc(slices.Clone(p.BestEffort), func(s string) bool { return s == "cgroup" })
		p.items["best_effort"] = slices.DeleteFunc(slices.Clone(p.items["best_effort"]), func(v value) bool { return v.s == "cgroup" })
	}
}
