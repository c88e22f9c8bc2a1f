// Package score says how much a service exposes, from 0.0 to 10.0, over the compiled policy alone: who can reach it
// times what somebody who takes it over has got. It ranks services for review, and no low number proves anything.
//
// Each item of a table measures one thing from 0 to 1 and has a weight in points. The points add up, and what
// they come to for those who reach the service is bent into 0 to 10: Weights.Half points are 5.0, twice as many 7.5.
//
// What is narrower in the order of policy/diff never scores higher: every measure is of what is granted as a set, and
// grows with it alone; none is of how a policy is written, nor of lists of what is denied.
package score

import (
	"fmt"
	"math"
	"slices"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/policy"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/filter"
)

// Score is what one service comes to.
type Score struct {
	Service string `json:"service"`
	// Score is from 0.0 to 10.0, with one digit; Band a word for it.
	Score float64 `json:"score"`
	Band  string  `json:"band"`
	// Reach is who can come, of which all points are a part; Points are what the items add up to.
	Reach  Reach   `json:"reach"`
	Points float64 `json:"points"`
	Items  []Item  `json:"items"`
	// Best is the one change that helps most, nil where none would lower the score.
	Best *Best `json:"best,omitempty"`

	exposure float64 // what is bent into Score
}

// Item is one row of a service's table.
type Item struct {
	ID        string  `json:"id"`
	Dimension string  `json:"dimension"` // of policy/diff
	What      string  `json:"what"`      // what the service has
	Weight    float64 `json:"weight"`    // points for a Value of 1
	Value     float64 `json:"value"`     // 0 to 1
	Points    float64 `json:"points"`
	Fix       string  `json:"fix,omitempty"` // "" where there is nothing to do
	// Origin is where the policy says it: file:line:column or default, "" where several places do.
	Origin string `json:"origin,omitempty"`
}

// Best is the change of one item, or of who can reach the service, that lowers the score most.
type Best struct {
	ID    string  `json:"id"`
	Fix   string  `json:"fix"`
	Score float64 `json:"score"` // with that change
}

// Bands are words for scores, each for what is below its bound.
var Bands = []struct {
	Below float64
	Name  string
}{{2.5, "low"}, {5, "moderate"}, {7.5, "high"}, {math.Inf(1), "severe"}}

func band(score float64) string {
	i := slices.IndexFunc(Bands, func(b struct {
		Below float64
		Name  string
	}) bool {
		return score < b.Below
	})
	return Bands[i].Name
}

// bend is the score that points come to: no sum of them reaches 10.0 but by rounding.
func bend(points, half float64) float64 {
	return math.Round(100*(1-math.Exp2(-points/half))) / 10
}

// subject is a service with what its items look at.
type subject struct {
	doc     *policy.Document
	service *policy.Service
	limit   *limit.Spec
	profile *sandbox.Profile
	rules   []seccomp.Rule
	lost    string // what the host does without, as words behind others
}

// Scorer scores the services of one document. It is for one goroutine.
type Scorer struct {
	doc     *policy.Document
	weights *Weights
	rules   map[string][]seccomp.Rule // by the name of the filter
	host    *Host                     // nil is any that enforces all
	lists   map[*acl.List]*admitted
}

// New makes ready to score services of doc with weights, nil for Default.
func New(doc *policy.Document, w *Weights) *Scorer {
	if w == nil {
		w = Default()
	}
	return &Scorer{doc: doc, weights: w, rules: map[string][]seccomp.Rule{}, lists: map[*acl.List]*admitted{}}
}

// All scores every service that is served, the most exposed first.
func (r *Scorer) All() ([]Score, error) {
	out := []Score{}
	for i := range r.doc.Policy.Services {
		s, err := r.Service(&r.doc.Policy.Services[i])
		if err != nil {
			return nil, err
		}
		out = append(out, *s)
	}
	slices.SortStableFunc(out, func(a, b Score) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return out, nil
}

// Service scores one service of the document. An error is that of a document that means nothing.
func (r *Scorer) Service(s *policy.Service) (*Score, error) {
	p := r.doc.Policy
	f, l := p.Profile(s.Profile), p.Limit(s.Limit)
	if f == nil || l == nil {
		return nil, fmt.Errorf("score: service %q: its limit or its profile is not in the policy", s.Name)
	}
	rules, err := r.filter(p, f)
	if err != nil {
		return nil, fmt.Errorf("score: profile %q: %w", f.Name, err)
	}
	reach, err := r.reach(s)
	if err != nil {
		return nil, fmt.Errorf("score: service %q: %w", s.Name, err)
	}
	f, lost := r.host.enforced(f, rules)
	sub := &subject{r.doc, s, held(s, *l), f, rules, lostOn(r.host, lost)}
	out := &Score{Service: s.Name, Reach: reach, Items: []Item{}}
	for i := range Items {
		it := &Items[i]
		m := it.measure(sub)
		w := r.weights.Weights[it.ID]
		row := Item{ID: it.ID, Dimension: it.Dimension, What: m.what, Weight: w, Value: round(m.value), Points: m.value * w}
		if m.value > it.after && !(s.Ours() && slices.Contains(workers, it.Dimension)) {
			row.Fix = it.Fix
		}
		if it.at != nil {
			row.Origin = r.doc.Origins.Lookup(it.at(s))
		}
		out.Points += row.Points
		out.Items = append(out.Items, row)
	}
	out.exposure = reach.Value * out.Points
	out.Score = bend(out.exposure, r.weights.Half)
	out.Band = band(out.Score)
	out.Best = r.best(out)
	for i := range out.Items {
		out.Items[i].Points = round(out.Items[i].Points)
	}
	out.Reach.Value, out.Points = round(reach.Value), round(out.Points)
	return out, nil
}

// workers are the dimensions in which there is nothing to do about what casemate-worker serves: its profile is shipped.
var workers = []string{"seccomp", "files", "network", "resources", "namespaces", "best effort", "command"}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }

// filter are the rules of a profile, which many have together.
func (r *Scorer) filter(p *policy.Policy, f *sandbox.Profile) ([]seccomp.Rule, error) {
	if rules, ok := r.rules[f.Syscalls.Filter]; ok {
		return rules, nil
	}
	words, err := filter.Decode(p.Filters[f.Syscalls.Filter])
	if err != nil {
		return nil, err
	}
	rules := seccomp.Named(words)
	r.rules[f.Syscalls.Filter] = rules
	return rules, nil
}

// best tries each item at what its fix would make of it.
func (r *Scorer) best(s *Score) *Best {
	best := Best{Score: s.Score}
	least := s.exposure
	try := func(id, fix string, product float64) {
		if product < least && fix != "" {
			least = product
			best = Best{ID: id, Fix: fix, Score: bend(product, r.weights.Half)}
		}
	}
	for i := range s.Items {
		it := &s.Items[i]
		try(it.ID, it.Fix, s.Reach.Value*(s.Points-it.Points+math.Min(Items[i].after*it.Weight, it.Points)))
	}
	try("reach", s.Reach.Fix, math.Min(s.Reach.Value, s.Reach.after)*s.Points)
	if best.Score == s.Score {
		return nil
	}
	return &best
}
