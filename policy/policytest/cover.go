package policytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit/admission"
	"casemate/policy"
	"casemate/policy/explain"
)

// Coverage is which rules and limits of the policy a case has reached.
type Coverage struct {
	// Percent of Items that are reached, rounded down; 100 where there is none.
	Percent int       `json:"percent"`
	Reached int       `json:"reached"`
	Items   []Covered `json:"items"`
}

// Covered is one rule, default or limit. A rule is reached by a client about whom it decides, a limit by one whom it refuses.
type Covered struct {
	Name    string `json:"name"` // as "acl.office.staff", "acl.office.2", "limit.public.per_source.rate"
	Origin  string `json:"origin"`
	Reached bool   `json:"reached"`
}

// cover collects what cases reach.
type cover struct {
	items []Covered
	index map[string]int
}

// newCover lists what can be reached of what the policy says: the rules of acls and the limits that a service has.
func newCover(doc *policy.Document) *cover {
	c := &cover{index: map[string]int{}}
	for i := range doc.Policy.ACLs {
		l := &doc.Policy.ACLs[i]
		if slices.ContainsFunc(doc.Policy.Services, func(s policy.Service) bool { return s.ACL == l.Name }) {
			c.addList(doc, l)
		}
	}
	for i := range doc.Policy.Services {
		c.addLimit(doc, &doc.Policy.Services[i])
	}
	return c
}

// add lists what the policy says; what is shipped is as it is everywhere.
func (c *cover) add(doc *policy.Document, name, path string) {
	at := doc.Origins.Lookup(path)
	if at == "default" { // of the block
		at = doc.Origins.Lookup(path[:strings.LastIndexByte(path, '.')])
	}
	if _, twice := c.index[name]; !twice && !strings.HasPrefix(at, shipped) {
		c.index[name] = len(c.items)
		c.items = append(c.items, Covered{Name: name, Origin: at})
	}
}

// shipped is how the origins of blocks begin that come with casemate.
const shipped = "shipped/base.cm.hcl:"

func (c *cover) addList(doc *policy.Document, l *acl.List) {
	for i := range l.Rules {
		c.add(doc, ruleText(l, i), fmt.Sprintf("acls.%s.rules.%d", l.Name, i))
		if at, ok := c.index[ruleText(l, i)]; ok {
			c.index[fmt.Sprintf("acl.%s.%d", l.Name, i+1)] = at
		}
		if r := &l.Rules[i]; slices.Contains(r.From, acl.Any) && len(r.Except)+len(r.To)+len(r.During) == 0 {
			return // nobody gets past it
		}
	}
	c.add(doc, ruleText(l, decide.RuleDefault), "acls."+l.Name+".default")
}

// limitParts are what can refuse of a limit, by the word of the log.
var limitParts = map[string]string{
	string(admission.ByPenalty): "penalty", string(admission.ByRate): "rate", string(admission.ByConcurrency): "concurrent",
	string(admission.BySourceConcurrency): "per_source.concurrent", string(admission.BySourceRate): "per_source.rate",
	string(admission.ByWiderConcurrency): "per_source.wider", string(admission.ByWiderRate): "per_source.wider",
	string(admission.ByEarlyDrop): "early_drop", reasonLoad: "max_load", reasonQueue: "queue", reasonAnswers: "responses",
}

func (c *cover) addLimit(doc *policy.Document, s *policy.Service) {
	l := doc.Policy.Limit(s.Limit)
	if l == nil || TakesClients(s) {
		return
	}
	streams := len(s.Mux) > 0
	for _, at := range s.Listen {
		streams = streams || !at.Datagram()
	}
	ours := s.Builtin != ""
	for _, p := range []struct {
		part string
		has  bool
	}{
		{"concurrent", l.Concurrent > 0 && (streams || !ours)}, {"early_drop", l.EarlyDrop.Start > 0 && (streams || !ours)}, {"rate", l.Rate.Events > 0}, {"queue", l.Queue > 0 && !ours}, {"max_load", l.MaxLoad > 0 && !ours},
		{"per_source.concurrent", l.PerSource.Concurrent > 0 && (streams || !ours)}, {"per_source.rate", l.PerSource.Rate.Events > 0}, {"per_source.wider", len(l.PerSource.Wider) > 0},
		{"penalty", len(l.Penalty.On) > 0 && streams},
		{"responses", l.Responses.Events+l.ResponsesTotal.Events > 0 && explain.Held(s, *l).Responses.Events > 0},
	} {
		if p.has {
			c.add(doc, "limit."+l.Name+"."+p.part, "limits."+l.Name+"."+map[string]string{"queue": "queue_ns"}[p.part]+map[bool]string{true: p.part}[p.part != "queue"])
		}
	}
}

func (c *cover) reach(name string) {
	if i, ok := c.index[name]; ok {
		c.items[i].Reached = true
	}
}

// rule marks the rule of an acl that has decided.
func (c *cover) rule(list string, rule int) {
	switch {
	case rule == decide.RuleDefault:
		c.reach("acl." + list + ".default")
	case rule >= 0:
		c.reach("acl." + list + "." + strconv.Itoa(rule+1))
	}
}

// limits marks what of a service's limit has refused, or had somebody wait.
func (c *cover) limits(s *policy.Service, all []*result) {
	for _, got := range all {
		if part := limitParts[got.Reason]; part != "" {
			c.reach("limit." + s.Limit + "." + part)
		}
		if got.Waited {
			c.reach("limit." + s.Limit + ".concurrent")
		}
	}
}

func (c *cover) report() *Coverage {
	out := &Coverage{Items: c.items, Percent: 100}
	for i := range c.items {
		if c.items[i].Reached {
			out.Reached++
		}
	}
	if len(c.items) > 0 {
		out.Percent = 100 * out.Reached / len(c.items)
	}
	return out
}
