package acl

import "fmt"

// Outcome is how one step of a Trace ended.
type Outcome string

// The outcomes. Matched and Default decide; so does Refused, which stands
// alone: there was no list, or no client, to go by.
const (
	Matched   Outcome = "matched"
	NotFrom   Outcome = "not-from"   // no From pattern matches
	Excepted  Outcome = "excepted"   // an Except pattern matches
	NotTo     Outcome = "not-to"     // the local address is not in To
	NeedsName Outcome = "needs-name" // only the client's name would tell
	Default   Outcome = "default"    // no rule matched
	Refused   Outcome = "refused"
)

// Step is one rule of a Trace and what became of it.
type Step struct {
	// Rule is the rule's index, or RuleDefault, RuleNoACL or RuleNoAddress.
	Rule    int     `json:"rule"`
	Verdict Verdict `json:"verdict"`
	Outcome Outcome `json:"outcome"`
	// Pattern is the pattern that decided the step, where one did.
	Pattern Pattern `json:"pattern,omitempty"`
	// Why is the step in words, for a person.
	Why string `json:"why"`
}

// Trace walks the list as Decide does and tells of each rule why it matched or
// did not. It ends with the step that decides; with a name nobody has asked for
// it goes on past rules of outcome NeedsName, so that its last step is what
// would decide without them.
func (m *Matcher) Trace(c Client) []Step {
	if m == nil || m.none {
		return []Step{{Rule: RuleNoACL, Verdict: Deny, Outcome: Refused, Why: "the service has no acl, so nobody is admitted"}}
	}
	c = c.normal()
	if !c.Unix && !c.Addr.IsValid() {
		return []Step{{Rule: RuleNoAddress, Verdict: Deny, Outcome: Refused, Why: "the client has no address"}}
	}
	steps := make([]Step, 0, len(m.rules)+1)
	for i := range m.rules {
		s := m.rules[i].step(&m.list.Rules[i], &c)
		s.Rule, s.Verdict = i, m.rules[i].verdict
		steps = append(steps, s)
		if s.Outcome == Matched {
			return steps
		}
	}
	return append(steps, Step{Rule: RuleDefault, Verdict: m.def, Outcome: Default, Why: "no rule matched"})
}

// step tells of one rule. It asks match for the result and looks for the
// patterns behind it only afterwards, so it cannot disagree with Decide.
func (r *rule) step(src *Rule, c *Client) Step {
	from, fromPattern := r.from.match(c), firstOf(src.From, c, yes)
	if !r.matchLocal(c) {
		return Step{Outcome: NotTo, Why: notTo(c)}
	}
	if from == no {
		return Step{Outcome: NotFrom, Why: "no from pattern matches " + describe(c)}
	}
	if r.except.match(c) == yes {
		p := firstOf(src.Except, c, yes)
		return Step{Outcome: Excepted, Pattern: p, Why: fmt.Sprintf("excepted: %s matches %s", p, describe(c))}
	}
	if r.match(c) == yes {
		return Step{Outcome: Matched, Pattern: fromPattern, Why: fmt.Sprintf("%s matches %s", fromPattern, describe(c))}
	}
	p := firstOf(src.From, c, open)
	if from == yes {
		p = firstOf(src.Except, c, open)
	}
	switch {
	case c.Name.State == NotAsked:
		return Step{Outcome: NeedsName, Pattern: p, Why: fmt.Sprintf("%s depends on the client's name, which was not asked", p)}
	case r.verdict == Deny:
		return Step{Outcome: Matched, Pattern: p, Why: fmt.Sprintf("%s needs a name and there was no answer: a deny rule then matches", p)}
	}
	return Step{Outcome: NotFrom, Pattern: p, Why: fmt.Sprintf("%s needs a name and there was no answer: an allow rule then does not match", p)}
}

// firstOf is the first pattern that answers want for c, or "".
func firstOf(patterns []Pattern, c *Client, want answer) Pattern {
	for _, text := range patterns {
		p, err := parse(string(text))
		if err != nil {
			continue // cannot be: Compile has parsed every one
		}
		var one set
		one.addOne(p)
		if one.match(c) == want {
			return text
		}
	}
	return ""
}

func describe(c *Client) string {
	switch {
	case c.Unix:
		return "the unix peer"
	case c.Name.State == Known:
		return fmt.Sprintf("%v (%s)", c.Addr, c.Name.Host)
	case c.Name.State == NotAsked:
		return c.Addr.String()
	}
	return fmt.Sprintf("%v (name %v)", c.Addr, c.Name.State)
}

func notTo(c *Client) string {
	switch {
	case c.Unix:
		return "a unix socket has no local address for to"
	case !c.Local.IsValid():
		return "the local address is not known"
	}
	return fmt.Sprintf("the local address %v is not in to", c.Local)
}
