package lang

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/policy"
	"casemate/sandbox"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// widening watches what a profile grants beyond its base.
type widening struct {
	c        *compiler
	base     *profile
	name     string
	syn      *hclsyntax.Block
	declared []string
	used     map[string]bool
}

// need records that the profile grants what in a layer and reports it when
// widens does not announce the layer.
func (w *widening) need(layer string, rng hcl.Range, what string) {
	w.used[layer] = true
	if w.base.Name == "" || slices.Contains(w.declared, layer) {
		return
	}
	list := append(slices.Clone(w.declared), layer)
	slices.Sort(list)
	w.c.report(codeWidens, rng, fmt.Sprintf(`write widens = ["%s"] if that is meant`, strings.Join(list, `", "`)),
		"profile %q grants more than profile.%s: %s", w.name, w.base.Name, what)
}

// finish sets Widens: the profile's own entries and its base's. The shipped
// profiles are what widens counts from, so their own entries end with them.
func (w *widening) finish(b *block, p *profile) {
	for i, layer := range w.declared {
		rng := w.c.places[fmt.Sprintf("%s.widens.%d", b.path, i)]
		if words := sandbox.Widenable(); !slices.Contains(words, layer) {
			w.c.report(codeValue, rng, didYouMean(layer, words, ""), "%q is not a layer that widens", clip(layer))
		} else if !w.used[layer] {
			w.c.warn(codeSpare, rng, fmt.Sprintf("remove %q", layer), "profile %q widens nothing in %s", w.name, layer)
		}
	}
	if w.c.base == nil {
		p.Widens = nil
		return
	}
	p.Widens = append(p.Widens, w.declared...)
	slices.Sort(p.Widens)
	p.Widens = slices.Compact(p.Widens)
}

// units read a limit that is written with one.
var units = map[sandbox.Unit]func(string) (int64, error){
	sandbox.Bytes: parseSize, sandbox.Seconds: parseSeconds, sandbox.Share: parseCPU,
}

// resources reads resources { ... }; "unlimited" lifts a limit of the base.
func (p *profile) resources(b *block, w *widening) {
	names := make([]string, len(sandbox.ResourceRows))
	for i, row := range sandbox.ResourceRows {
		names[i] = row.Name
	}
	s := b.one("resources", "resources", names)
	if s == nil {
		return
	}
	meant := false
	for i, row := range sandbox.ResourceRows {
		n, rng, ok := s.amount(row.Name, row.Example, units[row.Unit])
		if !ok {
			continue
		}
		had := p.Resources[i]
		if had != 0 && (n == 0 || n > had) {
			w.need("resources", rng, fmt.Sprintf("%s above %s", row.Name, amountText(had, row.Unit)))
		}
		p.Resources[i] = n
		meant = meant || n > 0 && row.Group
	}
	if meant && b.c.base != nil && b.syn.Body.Attributes["best_effort"] == nil {
		p.require("cgroup")
	}
}

// require takes a layer out of what the base gives up: a profile that names a
// bound itself means it, unless it says best_effort itself.
func (p *profile) require(layer string) {
	p.BestEffort = slices.DeleteFunc(slices.Clone(p.BestEffort), func(s string) bool { return s == layer })
	p.items["best_effort"] = slices.DeleteFunc(slices.Clone(p.items["best_effort"]), func(v value) bool { return v.s == layer })
}

// amount reads one limit: a number, or a string with a unit, or "unlimited".
func (b *block) amount(name, example string, parse func(string) (int64, error)) (int64, hcl.Range, bool) {
	v, ok := b.attr(name, name)
	if !ok {
		return 0, v.rng, false
	}
	write := name + " = " + example
	if parse != nil {
		write = fmt.Sprintf("%s = %q", name, example)
	}
	switch {
	case v.kind == kindString && v.s == "unlimited":
		return 0, v.rng, true
	case parse == nil && v.kind == kindNumber && v.n > 0:
		return v.n, v.rng, true
	case parse != nil && v.kind == kindString:
		n, err := parse(v.s)
		if err == nil && n > 0 {
			return n, v.rng, true
		}
		if err == nil {
			err = fmt.Errorf("0 is no limit")
		}
		b.c.report(codeValue, v.rng, "write "+write+`, or "unlimited"`, "%s: %v", name, err)
	default:
		b.c.report(codeType, v.rng, "write "+write+`, or "unlimited"`, "%s cannot be %s", name, v.describe())
	}
	return 0, v.rng, false
}

func amountText(n int64, unit sandbox.Unit) string {
	if unit == sandbox.Bytes {
		return policy.FormatSize(n)
	}
	return strconv.FormatInt(n, 10)
}

// word32 reads a 32-bit number: 5, or "0x05" in any base of Go's syntax.
func (b *block) word32(v value) uint32 {
	n, err := uint64(v.n), error(nil)
	if v.kind == kindString {
		n, err = strconv.ParseUint(v.s, 0, 32)
	}
	if v.kind > kindNumber || err != nil || n > 1<<32-1 {
		b.c.report(codeValue, v.rng, `write 1 or "0x1"`, "%s is not a 32-bit number", v.describe())
		return 0
	}
	return uint32(n)
}
