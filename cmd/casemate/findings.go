package main

import (
	"fmt"
	"strings"

	"casemate/cmd/casemate/commit"
	"casemate/cmd/casemate/output"
	"casemate/cmd/version"
	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/diff"
)

// ids are the rules of what verbs other than check find: they have no page, and are no codes of the policy language.
var ids = []output.Rule{
	{Code: "diff-widened", Severity: policy.SeverityWarning, Sentence: "A service grants more than before, or may."},
	{Code: "diff-narrowed", Severity: codes.Notice, Sentence: "A service grants less than before."},
	{Code: "diff-changed", Severity: codes.Notice, Sentence: "Something is other that grants nothing."},
	{Code: "plan-refused", Severity: policy.SeverityError, Sentence: "casemated would refuse the policy on this host."},
	{Code: "score", Severity: codes.Notice, Sentence: "How much a service exposes."},
	{Code: "score-above", Severity: policy.SeverityError, Sentence: "A service exposes more than the threshold."},
	{Code: "test-case", Severity: policy.SeverityError, Sentence: "A case of the policy's tests has failed."},
	{Code: "test-invariant", Severity: policy.SeverityError, Sentence: "An invariant of the policy's tests does not hold."},
}

// found is a finding of a rule of ids at an origin, file:line:column.
func found(id, service, origin, summary, detail string) output.Finding {
	f := output.Finding{Service: service, Diagnostic: policy.Diagnostic{Code: id, Summary: summary, Detail: detail}}
	for _, r := range ids {
		if r.Code == id {
			f.Severity = r.Severity
		}
	}
	f.File, f.Line, f.Column = place(origin)
	return f
}

// place is policy.Written; of a file of a commit the path in the repository is left.
func place(origin string) (file string, line, column int) {
	file, line, column = policy.Written(origin)
	if rest, ok := strings.CutPrefix(file, commit.Prefix); ok {
		_, file, _ = strings.Cut(rest, ":")
	}
	return file, line, column
}

// findingsOf is a report of a verb, which fails where something is as grave as an error.
func findingsOf(verb string, list []output.Finding) *output.Report {
	return &output.Report{Verb: verb, Version: version.Word(), Findings: list, Rules: ids, FailOn: policy.SeverityError, Place: output.Here()}
}

// findings are a difference, one for each service and one for what is of no service.
func (t *told) findings() (out []output.Finding) {
	id := func(v diff.Verdict) string {
		switch {
		case v.MayWiden():
			return "diff-widened"
		case v == diff.Changed:
			return "diff-changed"
		}
		return "diff-narrowed"
	}
	for i := range t.p.Services {
		s := &t.p.Services[i]
		var lines []string
		for k := range s.Dimensions {
			d := &s.Dimensions[k]
			for _, l := range t.lines(s, d) {
				lines = append(lines, fmt.Sprintf("%s: %s %s", d.Name, l.sign, l.text))
				lines = append(lines, l.proof...)
			}
			lines = append(lines, proofs(d)...)
		}
		at := s.NewOrigin
		if s.Verdict == diff.Removed {
			at = s.OldOrigin
		}
		out = append(out, found(id(s.Verdict), s.Name, at, fmt.Sprintf("service %s is %s", s.Name, s.Verdict), shortened(lines)))
	}
	if len(t.p.Policy) > 0 {
		out = append(out, found(id(t.p.PolicyVerdict), "", "", "the policy's own attributes are "+string(t.p.PolicyVerdict), strings.Join(t.p.Policy, "\n")))
	}
	return out
}

// shortened is as many lines as somebody reads beside a source.
func shortened(lines []string) string {
	const most = 40
	if n := len(lines); n > most {
		lines = append(lines[:most:most], fmt.Sprintf("%d more lines: casemate diff has them all", n-most))
	}
	return strings.Join(lines, "\n")
}

// findings are what a plan would change, and why casemated would refuse it.
func (r *planReport) findings(t *told) []output.Finding {
	out := append(t.findings(), r.Diagnostics...)
	for _, why := range r.Refused {
		out = append(out, found("plan-refused", "", "", why, ""))
	}
	return out
}

// findings are the scores, those above the threshold as errors. of tells where a service is.
func (r *scoreReport) findings(of func(service string) string) (out []output.Finding) {
	for i := range r.Services {
		s := &r.Services[i]
		id, best := "score", ""
		if r.Threshold != nil && s.Score > *r.Threshold {
			id = "score-above"
		}
		if s.Best != nil {
			best = fmt.Sprintf("what helps most: %s: %.1f", s.Best.Fix, s.Best.Score)
		}
		out = append(out, found(id, s.Service, of(s.Service), fmt.Sprintf("service %s exposes %.1f of 10 (%s): %s", s.Service, s.Score, s.Band, s.Reach.What), best))
	}
	return out
}
