package main

import (
	"fmt"
	"slices"
	"strings"

	"casemate/policy/diff"

	"github.com/spf13/cobra"
)

// gate is --fail-on of a verb that compares: the words that it takes, and those that it is given.
type gate struct{ words, given []string }

// Words of gates.
const (
	onWidened = "widened" // something is more, or may be
	onChanged = "changed" // anything is other
	onRefused = "refused" // a reload would be refused
)

// gated gives a verb --fail-on with these words.
func (a *app) gated(cmd *cobra.Command, words ...string) *gate {
	if a.gates == nil {
		a.gates = map[*cobra.Command]*gate{}
	}
	g := &gate{words: words}
	a.gates[cmd] = g
	cmd.Flags().StringSliceVar(&g.given, "fail-on", nil, "exit with 3 when this is so: "+strings.Join(words, ", ")+" (repeatable)")
	return g
}

// settled is an error where a verb's gate is given what it does not know, or nothing: one that asks for nothing never shuts.
func (g *gate) settled(cmd *cobra.Command) error {
	if g == nil || !cmd.Flags().Changed("fail-on") {
		return nil
	}
	next := "write " + strings.Join(g.words, ", ")
	if n := len(g.words); n > 1 {
		next = "write " + strings.Join(g.words[:n-1], ", ") + " or " + g.words[n-1]
	}
	if len(g.given) == 0 {
		return fmt.Errorf("--fail-on is empty: %s", next)
	}
	for _, w := range g.given {
		if !slices.Contains(g.words, w) {
			return fmt.Errorf("--fail-on %q is not known: %s", w, next)
		}
	}
	return nil
}

// pass is a no where one of the words is so, of each of which it says why: "" is that it is not.
func (a *app) pass(g *gate, why map[string]string) (err error) {
	for _, w := range g.given {
		if why[w] != "" {
			a.shut(w, why[w])
			err = errNo
		}
	}
	return err
}

// shut says what a gate is shut by.
func (a *app) shut(word, why string) {
	fmt.Fprintf(a.err, "casemate: --fail-on %s: %s\n", word, oneLine(why))
}

// mostShut is how many findings a shut gate names.
const mostShut = 8

// more and other are what gates say of a difference: new and old are the names of what is compared.
func more(new, old string, findings []string) string {
	return fmt.Sprintf("%s grants more than %s, or may: %s", new, old, enumerate(findings))
}

func other(new, old string, findings []string) string {
	return fmt.Sprintf("%s is other than %s: %s", new, old, enumerate(findings))
}

func enumerate(findings []string) string {
	if n := len(findings); n > mostShut+1 {
		findings = append(findings[:mostShut:mostShut], fmt.Sprintf("%d more", n-mostShut))
	}
	return strings.Join(findings, ", ")
}

// shutBy are the findings about a difference of policies, by the words of a gate.
func shutBy(p *diff.Policies, new, old string) map[string]string {
	why := map[string]string{}
	if p.MayWiden() {
		why[onWidened] = more(new, old, grounds(p, diff.Verdict.MayWiden))
	}
	if !p.Same() {
		why[onChanged] = other(new, old, grounds(p, func(v diff.Verdict) bool { return v != diff.Unchanged }))
	}
	return why
}

// grounds are the services of whose verdict counts says so, the gravest first, with the dimensions of which it does, and the policy's own attributes.
func grounds(p *diff.Policies, counts func(diff.Verdict) bool) (out []string) {
	for _, v := range diff.Verdicts {
		for i := range p.Services {
			s := &p.Services[i]
			if s.Verdict != v || !counts(v) {
				continue
			}
			var in []string
			for _, d := range s.Dimensions {
				if counts(d.Verdict) && v != diff.Added && v != diff.Removed {
					in = append(in, d.Name)
				}
			}
			text := s.Name + " " + string(v)
			if len(in) > 0 {
				text += " (" + strings.Join(in, ", ") + ")"
			}
			out = append(out, text)
		}
	}
	if len(p.Policy) > 0 && counts(p.PolicyVerdict) {
		out = append(out, "the policy's own attributes "+string(p.PolicyVerdict))
	}
	return out
}

// shutByProfile are those about a difference of profiles: the layers.
func shutByProfile(r *diff.Report) map[string]string {
	layers := r.Widened()
	if len(layers) == 0 {
		return nil
	}
	return map[string]string{onWidened: more(r.B, r.A, layers)}
}
