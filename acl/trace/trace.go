// Package trace tells of a list's rules, one by one, why they matched a client
// or did not. It decides nothing: it asks acl's Matcher about one rule, or one
// pattern, at a time. What runs as root does not link it.
package trace

import (
	"fmt"
	"strings"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/decide"
)

// Outcome is how one step of a trace ended.
type Outcome string

// The outcomes. Matched and Default decide; so does Refused, which stands
// alone: there was no list, or no client, to go by.
const (
	Matched   Outcome = "matched"
	NotFrom   Outcome = "not-from"   // no From pattern matches
	Excepted  Outcome = "excepted"   // an Except pattern matches
	NotTo     Outcome = "not-to"     // the local address is not in To
	NotDuring Outcome = "not-during" // it is not the time of During
	NeedsName Outcome = "needs-name" // only the client's name would tell
	Default   Outcome = "default"    // no rule matched
	Refused   Outcome = "refused"
)

// Step is one rule and what became of it.
type Step struct {
	// Rule is the rule's index, or decide.RuleDefault, decide.RuleNoACL or decide.RuleNoAddress.
	Rule    int         `json:"rule"`
	Verdict acl.Verdict `json:"verdict"`
	Outcome Outcome     `json:"outcome"`
	// Pattern is the pattern that decided the step, where one did.
	Pattern acl.Pattern `json:"pattern,omitempty"`
	// Why is the step in words, for a person.
	Why string `json:"why"`
}

// Decided reports whether the step's rule matched, or stands for the list.
func (s *Step) Decided() bool {
	return s.Outcome == Matched || s.Outcome == Default || s.Outcome == Refused
}

// Steps walks a list that decide.Compile takes, as its Matcher does, and tells of
// each rule why it matched or did not. It ends with the step that decides; with
// a name nobody has asked for it goes on past rules of outcome NeedsName, so
// that its last step is what would decide without them.
func Steps(l *acl.List, c decide.Client) []Step {
	if l == nil {
		return []Step{{Rule: decide.RuleNoACL, Verdict: acl.Deny, Outcome: Refused, Why: "the service has no acl, so nobody is admitted"}}
	}
	plain := c.Normal() // of the name, acl takes off what it does itself, once
	c.Addr, c.Local = plain.Addr, plain.Local
	if c.Peer == "" && !c.Addr.IsValid() {
		return []Step{{Rule: decide.RuleNoAddress, Verdict: acl.Deny, Outcome: Refused, Why: "the client has no address"}}
	}
	steps := make([]Step, 0, len(l.Rules)+1)
	for i := range l.Rules {
		s := Step{Outcome: NotDuring}
		if s.Why = notDuring(l, i, &c); s.Why == "" {
			if s = step(&l.Rules[i], &c); s.Outcome == Matched && len(l.Rules[i].During) > 0 && c.At.Unix() > 0 {
				s.Why += fmt.Sprintf(", and it is %s, within %s", civil.Now(l.Zone, c.At), strings.Join(civil.Write(l.Rules[i].During), ", "))
			}
		}
		s.Rule, s.Verdict = i, l.Rules[i].Verdict
		steps = append(steps, s)
		if s.Outcome == Matched {
			return steps
		}
	}
	return append(steps, Step{Rule: decide.RuleDefault, Verdict: l.Default, Outcome: Default, Why: "no rule matched"})
}

// answer is what a part of a rule says of a client; open is what only a name would tell.
type answer uint8

const (
	no answer = iota
	yes
	open
)

// ask has acl decide about one rule alone. With no answer for the name, acl
// takes its deny rules for matched and its allow rules not: that is open too.
func ask(r acl.Rule, c *decide.Client) answer {
	says := func(v, other acl.Verdict) answer {
		r.Verdict = v
		m, err := decide.Compile(&acl.List{Rules: []acl.Rule{r}, Default: other})
		if err != nil {
			return no // cannot be: the whole list was compiled before
		}
		d := m.Decide(*c)
		switch {
		case d.NeedName:
			return open
		case d.Rule == 0:
			return yes
		}
		return no
	}
	a := says(acl.Allow, acl.Deny)
	if a == no && c.Normal().Name.State == decide.NoAnswer && says(acl.Deny, acl.Allow) == yes {
		return open
	}
	return a
}

// first is the first of the patterns that answers want, or "".
func first(patterns []acl.Pattern, c *decide.Client, want answer) acl.Pattern {
	for _, p := range patterns {
		if ask(acl.Rule{From: []acl.Pattern{p}}, c) == want {
			return p
		}
	}
	return ""
}

// matchesTo asks about the local address alone; not knowing it cannot free a
// client from a deny rule.
func matchesTo(r *acl.Rule, c *decide.Client) bool {
	if len(r.To) == 0 || c.Peer == "" && !c.Local.IsValid() {
		return len(r.To) == 0 || r.Verdict == acl.Deny
	}
	return ask(acl.Rule{From: []acl.Pattern{acl.Any}, To: r.To}, c) == yes
}

// notDuring says why it is not the time of rule i of l, "" if it is.
func notDuring(l *acl.List, i int, c *decide.Client) string {
	r := acl.Rule{Verdict: l.Rules[i].Verdict, From: []acl.Pattern{acl.Any}, During: l.Rules[i].During}
	other := acl.Allow
	if r.Verdict == acl.Allow {
		other = acl.Deny
	}
	m, err := decide.Compile(&acl.List{Rules: []acl.Rule{r}, Default: other, Zone: l.Zone})
	switch {
	case err != nil || m.Decide(*c).Rule == 0:
		return ""
	case c.At.Unix() <= 0:
		return "the time is not known"
	}
	return fmt.Sprintf("it is %s, outside %s", civil.Now(l.Zone, c.At), strings.Join(civil.Write(r.During), ", "))
}

// step tells of one rule.
func step(r *acl.Rule, c *decide.Client) Step {
	if !matchesTo(r, c) {
		return Step{Outcome: NotTo, Why: notTo(c)}
	}
	from := ask(acl.Rule{From: r.From}, c)
	if from == no {
		return Step{Outcome: NotFrom, Why: "no from pattern matches " + describe(c)}
	}
	if p := first(r.Except, c, yes); p != "" {
		return Step{Outcome: Excepted, Pattern: p, Why: fmt.Sprintf("excepted: %s matches %s", p, describe(c))}
	}
	p := first(r.Except, c, open)
	if from == open {
		p = first(r.From, c, open)
	}
	switch {
	case p == "":
		p = first(r.From, c, yes)
		return Step{Outcome: Matched, Pattern: p, Why: fmt.Sprintf("%s matches %s", p, describe(c))}
	case c.Name.State == decide.NotAsked:
		return Step{Outcome: NeedsName, Pattern: p, Why: fmt.Sprintf("%s depends on the client's name, which was not asked", p)}
	case r.Verdict == acl.Deny:
		return Step{Outcome: Matched, Pattern: p, Why: fmt.Sprintf("%s needs a name and there was no answer: a deny rule then matches", p)}
	}
	return Step{Outcome: NotFrom, Pattern: p, Why: fmt.Sprintf("%s needs a name and there was no answer: an allow rule then does not match", p)}
}

func describe(client *decide.Client) string {
	c := client.Normal()
	switch {
	case c.Peer != "":
		return "the client " + string(c.Peer)
	case c.Name.State == decide.Known:
		return fmt.Sprintf("%v (%s)", c.Addr, c.Name.Host)
	case c.Name.State == decide.NotAsked:
		return c.Addr.String()
	}
	return fmt.Sprintf("%v (name %v)", c.Addr, stateWords[c.Normal().Name.State])
}

func notTo(c *decide.Client) string {
	switch {
	case c.Peer != "":
		return "this client's socket has no local address for to"
	case !c.Local.IsValid():
		return "the local address is not known"
	}
	return fmt.Sprintf("the local address %v is not in to", c.Local)
}
