package lang

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/valid"

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
	since    int    // findings that were there before its block was read
	next     string // in place of a word in widens, which would not be all of it
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
	w.c.report(codeWidens, rng, cmp.Or(w.next, fmt.Sprintf(`write widens = ["%s"] if that is meant`, strings.Join(list, `", "`))),
		"profile %q grants more than profile.%s: %s", w.name, w.base.Name, what)
}

// finish sets Widens: the profile's own entries and its base's. The shipped
// profiles are what widens counts from, so their own entries end with them.
func (w *widening) finish(b *block, p *profile) {
	unread := slices.ContainsFunc(w.c.found[w.since:], func(f finding) bool { return f.Severity == policy.SeverityError && f.Code != codeWidens })
	for i, layer := range w.declared {
		rng := w.c.places[fmt.Sprintf("%s.widens.%d", b.path, i)]
		if words := valid.Widenable; !slices.Contains(words, layer) {
			w.c.report(codeValue, rng, didYouMean(layer, words, ""), "%q is not a layer that widens", clip(layer))
		} else if !w.used[layer] && !unread { // what could not be read may be what widens
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
