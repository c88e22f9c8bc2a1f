package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"casemate/policy/diff"
)

// group is services of which the same is to be said.
type group struct {
	names []string
	of    *diff.Service
}

// alike puts the services of a difference together, what may be more first.
func alike(p *diff.Policies) (out []group) {
	by := map[string]int{}
	for i := range p.Services {
		s := &p.Services[i]
		key, _ := json.Marshal([]any{s.Verdict, s.Dimensions}) // of plain data: no error
		at, ok := by[string(key)]
		if !ok {
			at = len(out)
			by[string(key)] = at
			out = append(out, group{of: s})
		}
		out[at].names = append(out[at].names, s.Name)
	}
	slices.SortStableFunc(out, func(a, b group) int {
		return slices.Index(diff.Verdicts, a.of.Verdict) - slices.Index(diff.Verdicts, b.of.Verdict)
	})
	return out
}

// named are the first n names of a group, and how many more it has.
func (g *group) named(n int) ([]string, int) {
	if len(g.names) <= n+1 {
		return g.names, 0
	}
	return g.names[:n], len(g.names) - n
}

// again is the service of which the same has been said of a dimension before, "" for none: it need not be said twice.
func (t *told) again(s *diff.Service, d *diff.Dimension) string {
	key, _ := json.Marshal(d) // of plain data: no error
	if t.said == nil {
		t.said = map[string]string{}
	}
	first, ok := t.said[string(key)]
	if !ok {
		t.said[string(key)] = s.Name
	}
	return first
}

// remark is one line about a dimension: a sign (+, -, ~ or ., of what grants nothing), the text, and what shows that it is so.
type remark struct {
	sign, text string
	proof      []string // commands to paste, or calls with their answers
	why        string   // what decides about the witness
}

// mostClients is how many prefixes a line names, and mostProofs how many calls are shown.
const (
	mostClients = 8
	mostProofs  = 4
)

// lines are what is to be said of a dimension.
func (t *told) lines(s *diff.Service, d *diff.Dimension) (out []remark) {
	for i := range d.Reach {
		r := &d.Reach[i]
		line := remark{sign: "+", text: clients(r), proof: []string{t.paste(s.Name, s.Verdict, r)}, why: because(&r.Witness)}
		if r.Verdict == diff.Narrowed {
			line.sign = "-"
		}
		out = append(out, line)
	}
	for _, part := range []struct {
		sign  string
		lines []string
	}{{"+", d.More}, {"-", d.Less}, {"~", d.Differs}, {".", d.Changed}} {
		for _, text := range part.lines {
			out = append(out, remark{sign: part.sign, text: text})
		}
	}
	return out
}

// clients says who, how many, and when.
func clients(r *diff.Reach) string {
	var counts []string
	for _, k := range []struct{ key, one, more string }{{"ipv4", "IPv4 address", "IPv4 addresses"}, {"ipv6", "IPv6 address", "IPv6 addresses"}, {"uid", "user", "users"}, {"cid", "machine", "machines"}} {
		switch n := r.Counts[k.key]; n {
		case "":
		case "1":
			counts = append(counts, "1 "+k.one)
		default:
			counts = append(counts, diff.Number(n)+" "+k.more)
		}
	}
	text := strings.Join(counts, " and ") + ": " + strings.Join(r.Short(mostClients), ", ")
	if when := r.When.String(); when != "" {
		text += "; " + when
	}
	return text
}

// because says what decides about a witness, in both.
func because(w *diff.Witness) string {
	say := func(d *diff.Decided) string {
		text := string(d.Decision) + ": " + d.Rule
		if d.Origin != "" && d.Origin != "default" {
			text += " at " + d.Origin
		}
		return text
	}
	return say(&w.New) + "; was " + say(&w.Old)
}

// proofs are calls which show that a dimension is more.
func proofs(d *diff.Dimension) (out []string) {
	for i := range d.Calls {
		if i == mostProofs && len(d.Calls) > mostProofs+1 {
			return append(out, fmt.Sprintf("%d more calls", len(d.Calls)-mostProofs))
		}
		out = append(out, d.Calls[i].String())
	}
	return out
}
