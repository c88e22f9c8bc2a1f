package lang

import (
	"slices"
	"time"

	"casemate/policy"
	"casemate/policy/waiver"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const kindWaiver = "waiver"

// waiverTable is waiver "CODE" { ... }.
var waiverTable = table[waiver.Waiver]{{rows: []row[waiver.Waiver]{
	{Attribute{Name: "service", Example: `"finger"`, Doc: "the service that the finding is about, or a list of them; absent: a finding about none"},
		waivedServices},
	{Attribute{Name: "reason", Example: `"two customers still need it"`, Doc: "for who reviews the policy; must be there"},
		word(func(w *waiver.Waiver) *string { return &w.Reason })},
	{Attribute{Name: "expires", Example: `"2027-01-31"`, Doc: "the last day (UTC) on which the finding is accepted; must be there"},
		measure(parseDay, func(w *waiver.Waiver) *time.Time { return &w.Expires })},
}}}

func waivedServices(b *block, a *Attribute, w *waiver.Waiver) {
	if v, ok := b.c.eval(b.syn.Body.Attributes[a.Name].Expr); ok && v.kind == kindString {
		w.Services = []string{v.s}
	} else if ok {
		if items, ok := b.strs(a); ok {
			w.Services = texts(items)
		}
	}
}

func parseDay(s string) (time.Time, error) {
	t, err := time.Parse(waiver.Day, s)
	if err != nil {
		return t, &badValue{"it is no day", `write year, month and day, as "2027-01-31"`}
	}
	return t, nil
}

// waivers reads the waiver blocks. Of the policy they only take names of services.
func (c *compiler) waivers(services []policy.Service) (out []waiver.Waiver) {
	places := c.places
	c.places = map[string]hcl.Range{} // of the document these have none
	defer func() { c.places = places }()
	for _, syn := range c.waiverBlocks {
		before := len(c.found)
		b := waiverTable.open(c, syn, "")
		w := waiver.Waiver{Code: syn.Labels[0]}
		waiverTable.read(b, &w)
		b.missing("reason", `write reason = "..."`)
		b.missing("expires", `write the last day, as expires = "2027-01-31"`)
		if err := waiver.Accepts(w.Code); err != nil {
			c.report(codeReference, syn.LabelRanges[0], "name a warning or a notice, as they are shown: casemate explain-rule", "%v", err)
		}
		for _, name := range w.Services {
			if !slices.ContainsFunc(services, func(s policy.Service) bool { return s.Name == name }) {
				names := make([]string, len(services))
				for i, s := range services {
					names[i] = s.Name
				}
				c.report(codeReference, syn.Body.Attributes["service"].Expr.Range(), didYouMean(name, names, ""), "there is no service %q", clip(name))
			}
		}
		if w.Reason == "" && !c.failed(before) {
			c.report(codeMissing, syn.Body.Attributes["reason"].Expr.Range(), "say why the finding is accepted", "the reason is empty")
		}
		w.Place = c.placed(finding{rng: syn.DefRange()})
		out = append(out, w)
	}
	return out
}

// collectWaiver notes a waiver block. Several may be for one code.
func (c *compiler) collectWaiver(blk *hclsyntax.Block) {
	if c.labels(blk, 1) {
		c.waiverBlocks = append(c.waiverBlocks, blk)
	}
}

// Review is what the text of a policy says to who reviews it, and its document does not.
type Review struct {
	Waivers []waiver.Waiver
	// Unused are the locals that nothing uses: their places, and as Summary their names.
	Unused []policy.Diagnostic
	Text   []byte // the canonical bytes of the compiled policy
	blocks []serviceText
}

// serviceText is the lines of a service block, and the services that it is.
type serviceText struct {
	file     string
	from, to int
	names    []string
}

// Service is the service whose block has a line, "" where that is none, or the block is several.
func (r *Review) Service(file string, line int) string {
	if r == nil {
		return ""
	}
	for _, b := range r.blocks {
		if b.file == file && b.from <= line && line <= b.to && len(b.names) == 1 {
			return b.names[0]
		}
	}
	return ""
}

// review gathers it, before the syntax trees are let go.
func (c *compiler) review(services []policy.Service) *Review {
	r := &Review{Waivers: c.waivers(services)}
	for _, name := range c.localNames() {
		if l := c.locals[name]; !l.used {
			d := c.placed(finding{rng: l.attr.NameRange})
			d.Summary = name
			r.Unused = append(r.Unused, d)
		}
	}
	at := map[*hclsyntax.Block]int{}
	for _, name := range sortedKeys(c.blocks[kindService]) {
		syn := c.blocks[kindService][name]
		k, ok := at[syn]
		if !ok {
			k, at[syn] = len(r.blocks), len(r.blocks)
			rng := hcl.RangeBetween(syn.DefRange(), syn.CloseBraceRange)
			r.blocks = append(r.blocks, serviceText{file: rng.Filename, from: rng.Start.Line, to: rng.End.Line})
		}
		r.blocks[k].names = append(r.blocks[k].names, name)
	}
	return r
}
