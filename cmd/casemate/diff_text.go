package main

import (
	"strings"

	"casemate/cmd/casemate/output"
	"casemate/policy/diff"
)

// diffText prints a difference for a terminal.
func (a *app) diffText(t told) {
	a.printf("%s\n", t.summary())
	for i := range t.groups {
		g := &t.groups[i]
		names, more := g.named(mostNames)
		a.printf("\n%s  %s", a.paint(verdictColor(g.of.Verdict))(string(g.of.Verdict)), a.paint("1")(output.OneLine(strings.Join(names, ", "))))
		if more > 0 {
			a.printf(" and %d more", more)
		}
		if at := g.of.NewOrigin; at != "" && len(g.names) == 1 {
			a.printf("  %s", output.OneLine(at))
		}
		a.printf("\n")
		for k := range g.of.Dimensions {
			a.dimension(&t, g.of, &g.of.Dimensions[k])
		}
	}
	for i, line := range t.p.Policy {
		if i == 0 {
			a.printf("\n%s  the policy\n", a.paint(verdictColor(t.p.PolicyVerdict))(string(t.p.PolicyVerdict)))
		}
		a.printf("  . %s\n", output.OneLine(line))
	}
}

func verdictColor(v diff.Verdict) string {
	switch {
	case v == diff.Incomparable:
		return "33"
	case v.MayWiden():
		return "31"
	}
	return "32"
}

func (a *app) dimension(t *told, s *diff.Service, d *diff.Dimension) {
	a.printf("  %s", d.Name)
	if d.By != "" {
		a.printf(" (%s)", output.OneLine(d.By))
	}
	if first := t.again(s, d); first != "" {
		a.printf(": as of %s\n", output.OneLine(first))
		return
	}
	a.printf("\n")
	colors := map[string]string{"+": "31", "-": "32", "~": "33", ".": "0"}
	words := map[string][]string{}
	for _, l := range t.lines(s, d) {
		if l.proof == nil {
			words[l.sign] = append(words[l.sign], output.OneLine(l.text))
			continue
		}
		a.printf("    %s %s\n", a.paint(colors[l.sign])(l.sign), output.OneLine(l.text))
		for _, p := range l.proof {
			a.printf("        %s\n", output.OneLine(p))
		}
		a.printf("        %s\n", output.OneLine(l.why))
	}
	for _, sign := range []string{"+", "-", "~", "."} {
		a.signed("  "+a.paint(colors[sign])(sign), words[sign])
	}
	for _, p := range proofs(d) {
		a.printf("        %s\n", output.OneLine(p))
	}
}
