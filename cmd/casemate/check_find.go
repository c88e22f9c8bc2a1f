package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate/cmd/casemate/facts"
	"casemate/cmd/casemate/output"
	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/input"
	"casemate/policy/lang"
	"casemate/policy/lint"
	"casemate/policy/waiver"
)

// checkOptions are the flags of check.
type checkOptions struct {
	quiet, host, list bool
	failOn, facts     string
	trust             string   // the file of the keys that may sign
	rules             []string // codes; none is all
}

// settle checks the flags.
func (o *checkOptions) settle() error {
	if o.host && o.facts != "" {
		return errors.New("--host and --facts are two hosts: name one")
	}
	if !slices.Contains(codes.Severities, o.failOn) {
		return fmt.Errorf("--fail-on %q is not known: write error, warning or notice", o.failOn)
	}
	for i, code := range o.rules {
		r, err := codes.Find(code)
		if err != nil {
			return fmt.Errorf("--rule: %w", err)
		}
		o.rules[i] = r.Code
	}
	return nil
}

// looks tells whether a code is looked for in this run.
func (o *checkOptions) looks(code string) bool {
	return (len(o.rules) == 0 || slices.Contains(o.rules, code)) && (o.host || o.facts != "" || !strings.HasPrefix(code, "CM6"))
}

// hostFacts are those of the host that is asked about, nil for none.
func (o *checkOptions) hostFacts(n *facts.Net, paths []string) (*facts.Facts, error) {
	switch {
	case o.host:
		return gathered(n, paths), nil
	case o.facts != "":
		return readFacts(o.facts)
	}
	return nil, nil
}

// findings are all that is found: what compiling said, what lint says of a policy that is valid, and what its host does.
// Errors are among them whatever is looked for. Waivers are judged by now.
func (o *checkOptions) findings(l loaded, ds, host []policy.Diagnostic, now time.Time) []output.Finding {
	var all []waiver.Finding
	take := func(ds []policy.Diagnostic) {
		for _, d := range ds {
			all = append(all, waiver.Finding{Diagnostic: d, Service: l.review.Service(d.File, d.Line)})
		}
	}
	take(ds)
	take(host)
	if l.doc != nil {
		all = append(all, o.review(l)...)
	}
	for i := range all {
		lang.Underline(&all[i].Diagnostic, l.sources)
	}
	if l.review != nil {
		all = waiver.Apply(all, l.review.Waivers, now, o.looks)
	}
	slices.SortStableFunc(all, func(a, b waiver.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var out []output.Finding
	for _, f := range all {
		if f.Severity != policy.SeverityError && len(o.rules) > 0 && !slices.Contains(o.rules, f.Code) {
			continue
		}
		one := output.Finding{Diagnostic: f.Diagnostic, Service: f.Service}
		if w := f.Waived; w != nil {
			one.Waived = &output.Waived{Reason: w.Reason, Expires: w.Expires.Format(waiver.Day), Origin: fmt.Sprintf("%s:%d:%d", w.Place.File, w.Place.Line, w.Place.Column)}
		}
		out = append(out, one)
	}
	return out
}

// review is lint, within the bounds of compiling.
func (o *checkOptions) review(l loaded) []waiver.Finding {
	var unused []policy.Diagnostic
	if l.review != nil {
		unused = l.review.Unused
	}
	found, ds := bounded(input.CompileDeadline, input.CompileMemory, func() ([]waiver.Finding, []policy.Diagnostic) { return lint.Run(l.doc, unused), nil })
	for _, d := range ds {
		found = append(found, waiver.Finding{Diagnostic: d})
	}
	return found
}

// waived prints what waivers accept, one line for each.
func (a *app) waived(findings []output.Finding) {
	first := true
	for _, f := range findings {
		if f.Waived == nil {
			continue
		}
		if first {
			a.printf("\n")
			first = false
		}
		a.linef("waived until %s: %s: %s (%s)\n", f.Waived.Expires, f.Code, f.Summary, f.Waived.Reason)
	}
}

// outputRules are the codes for formats that list them.
func outputRules() (out []output.Rule) {
	for _, r := range codes.All() {
		out = append(out, output.Rule{Code: r.Code, Severity: r.Severity, Sentence: r.Sentence, Page: r.Page().Why})
	}
	return out
}
