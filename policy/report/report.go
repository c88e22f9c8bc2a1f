// Package report writes a policy down for people who review it: one page of HTML that says who can reach what, and of
// each service its listeners, acl, limits, sandbox, score and findings, and what a change does. It is pure: the same
// policy gives the same bytes, and the page loads nothing and runs nothing.
package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/score"
	"casemate/policy/valid"
)

// Input is what a page is made of.
type Input struct {
	Doc *policy.Document
	// Date is the day that the page is of, "" for none.
	Date string
	// Of are the paths of the policy, as they were named.
	Of       []string
	Findings []Finding
	// Unwaived says that the policy does not say what it waives, as no compiled one does.
	Unwaived bool
	// Against is what a change does, nil where nothing is compared.
	Against *Against
}

// Report is all that a page says, and all of it printable on a line.
type Report struct {
	FormatVersion int       `json:"format_version"`
	Digest        string    `json:"digest"`
	Date          string    `json:"date,omitempty"`
	Of            []string  `json:"of"`
	OnStop        string    `json:"on_stop"`
	OnBroken      string    `json:"on_broken"`
	OnNarrow      string    `json:"on_narrow,omitempty"`
	Services      []Service `json:"services"` // the most exposed first
	Disabled      []Place   `json:"disabled"`
	// Findings are those that are about no service that is here.
	Findings []Finding `json:"findings"`
	Open     int       `json:"open"`   // findings of all services and of none
	Waived   int       `json:"waived"` // likewise
	Unwaived bool      `json:"waivers_unknown"`
	Against  *Against  `json:"against,omitempty"`
	Picture  *Picture  `json:"picture,omitempty"` // nil without services
}

// Place is something with a name, and where it was written.
type Place struct {
	Name   string `json:"name"`
	Origin string `json:"origin"`
}

// Finding is what review asks about.
type Finding struct {
	Code     string  `json:"code"`
	Severity string  `json:"severity"`
	Summary  string  `json:"summary"`
	Detail   string  `json:"detail,omitempty"`
	Origin   string  `json:"origin,omitempty"` // file:line:column
	Service  string  `json:"service,omitempty"`
	Waived   *Waived `json:"waived,omitempty"` // nil of one that is open
}

// Waived is why a finding is accepted, until which day, and where that was written.
type Waived struct {
	Reason  string `json:"reason"`
	Expires string `json:"expires"`
	Origin  string `json:"origin"`
}

// Service is one service that is served.
type Service struct {
	Name     string            `json:"name"`
	Origin   string            `json:"origin"`
	Because  string            `json:"because,omitempty"`
	Listen   []string          `json:"listen"`
	Runs     string            `json:"runs"`
	User     string            `json:"user"`
	Written  []explain.Written `json:"written"`
	Reach    []Reached         `json:"reach"`
	ACL      ACL               `json:"acl"`
	Limit    string            `json:"limit"`
	Limits   []string          `json:"limits"`
	Notes    []string          `json:"notes"`
	Profile  string            `json:"profile"`
	Widens   []string          `json:"widens,omitempty"`
	Layers   []Layer           `json:"layers"`
	Score    score.Score       `json:"score"`
	Findings []Finding         `json:"findings"`
}

// Layer is what one layer of a sandbox comes to, in words.
type Layer struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// ACL is the rules of a service, in their order. Name is "" where it has none, and nobody gets in.
type ACL struct {
	Name    string `json:"name"`
	Origin  string `json:"origin,omitempty"`
	Rules   []Rule `json:"rules"`
	Default string `json:"default"`
	Zone    string `json:"zone,omitempty"`
}

// Rule is one rule. Its lists are the first of their patterns, and how many more there are.
type Rule struct {
	Number  int      `json:"number"` // from 1
	Name    string   `json:"name,omitempty"`
	Verdict string   `json:"verdict"`
	From    []string `json:"from"`
	Except  []string `json:"except,omitempty"`
	To      []string `json:"to,omitempty"`
	During  []string `json:"during,omitempty"`
	Command string   `json:"command,omitempty"`
	Origin  string   `json:"origin,omitempty"`
}

// mostPatterns is how many patterns of a list are written.
const mostPatterns = 12

// New works out what a page says. It fails for a document that means nothing.
func New(in *Input) (*Report, error) {
	p := in.Doc.Policy
	r := &Report{
		FormatVersion: 1, Digest: in.Doc.Digest, Date: in.Date, Of: slices.Clone(in.Of), OnStop: string(p.OnStop), OnBroken: string(p.OnBroken), OnNarrow: string(p.OnNarrow),
		Services: []Service{}, Disabled: []Place{}, Findings: []Finding{}, Unwaived: in.Unwaived, Against: in.Against,
	}
	scorer := score.New(in.Doc, nil)
	scores, err := scorer.All()
	if err != nil {
		return nil, err
	}
	findings := map[string][]Finding{}
	for _, f := range in.Findings {
		if f.Waived != nil {
			r.Waived++
		} else {
			r.Open++
		}
		if p.Service(f.Service) == nil {
			r.Findings = append(r.Findings, f)
			continue
		}
		findings[f.Service] = append(findings[f.Service], f)
	}
	names := newNetworks()
	for i := range scores {
		s := p.Service(scores[i].Service)
		one := described(in.Doc, s)
		one.Score, one.Findings = scores[i], append(one.Findings, findings[s.Name]...)
		slices.SortStableFunc(one.Score.Items, func(a, b score.Item) int { return cmp.Compare(b.Points, a.Points) })
		sometimes, always, err := scorer.Whom(s)
		if err != nil {
			return nil, err
		}
		one.Reach = names.of(sometimes, always)
		r.Services = append(r.Services, one)
	}
	for i := range p.Disabled {
		name := p.Disabled[i].Name
		r.Disabled = append(r.Disabled, Place{name, explain.Line(in.Doc.Origins.Lookup(explain.OffAt(name)))})
	}
	if len(r.Services) > 0 {
		r.Picture = picture(r.Services, names)
	}
	printable(r)
	return r, nil
}

// described is a service without its score and who reaches it.
func described(doc *policy.Document, s *policy.Service) Service {
	p := doc.Policy
	one := Service{
		Name: s.Name, Origin: explain.Line(doc.Origins.Lookup("services." + s.Name)), Because: valid.Reason(p, s), User: string(s.User),
		Limit: s.Limit, Profile: s.Profile, ACL: rules(doc, s.ACL), Limits: []string{}, Notes: append([]string{}, explain.Notes(doc.Policy, s)...), Findings: []Finding{},
	}
	for _, l := range s.Listen {
		one.Listen = append(one.Listen, l.String())
	}
	for _, name := range s.Mux {
		one.Listen = append(one.Listen, "tcpmux:"+strings.TrimPrefix(name, "+"))
	}
	switch {
	case s.Builtin != "":
		one.Runs = "built-in " + s.Builtin
	case s.Redirects():
		one.Runs = "carried to " + explain.Target(s)
	default:
		one.Runs = strings.Join(s.Command, " ")
	}
	for _, w := range explain.Origins(doc, s) {
		one.Written = append(one.Written, explain.Written{Name: w.Name, Value: w.Value, Origin: explain.Line(w.Origin)})
	}
	if l := p.Limit(s.Limit); l != nil {
		one.Limits = append(one.Limits, explain.LimitLines(explain.Held(s, *l))...)
	}
	if f := p.Profile(s.Profile); f != nil {
		one.Widens = slices.Clone(f.Widens)
		for _, line := range explain.Around(p, s) {
			name, text, _ := strings.Cut(line, ": ")
			one.Layers = append(one.Layers, Layer{name, text})
		}
	}
	return one
}

// rules are those of the acl of that name.
func rules(doc *policy.Document, name string) ACL {
	out := ACL{Name: name, Rules: []Rule{}, Default: string(acl.Deny)}
	l := doc.Policy.ACL(name)
	if l == nil {
		return out
	}
	out.Default, out.Origin = string(l.Default), explain.Line(doc.Origins.Lookup("acls."+name))
	if l.Zone != nil {
		out.Zone = l.Zone.Name
	}
	origins := doc.RuleOrigins(name)
	for i := range l.Rules {
		rule := &l.Rules[i]
		one := Rule{
			Number: i + 1, Name: rule.Name, Verdict: string(rule.Verdict), From: first(rule.From), Except: first(rule.Except),
			During: civil.Write(rule.During), Command: strings.Join(rule.Command, " "), Origin: explain.Line(origins[i]),
		}
		for _, to := range rule.To {
			one.To = append(one.To, to.String())
		}
		one.To = first(one.To)
		out.Rules = append(out.Rules, one)
	}
	return out
}

// first are the first of a list, and how many more there are.
func first[T ~string](list []T) (out []string) {
	for i, word := range list {
		if i == mostPatterns && len(list) > mostPatterns+1 {
			return append(out, "and "+strconv.Itoa(len(list)-mostPatterns)+" more")
		}
		out = append(out, string(word))
	}
	return out
}
