package lang

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/policytest"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// caseTable is case "NAME" { ... }, arriveTable the arrive { ... } in it.
var (
	caseTable = table[policytest.Case]{{more: []string{kindArrive}, rows: slices.Concat([]row[policytest.Case]{
		{Attribute{Name: "service", Example: "service.finger", Doc: "or service.* for all that are served, or a list: [service.a, service.b]"},
			func(b *block, a *Attribute, t *policytest.Case) {
				if names, ok := b.c.servicesOf(b.syn.Body.Attributes[a.Name].Expr); ok {
					t.Services = names
				}
			}},
	}, visitorRows(func(t *policytest.Case) *policytest.Visitor { return &t.Visitor }), wantRows(func(t *policytest.Case) *policytest.Want { return &t.Want }))}}

	arriveTable = table[policytest.Arrival]{{rows: slices.Concat([]row[policytest.Arrival]{
		{Attribute{Name: "count", Example: "10", Unset: "1", Bounds: counts(1, policytest.MaxCount), Doc: "connections, by its clients in turn"},
			number(func(t *policytest.Arrival) *int { return &t.Count })},
		{Attribute{Name: "within", Example: `"1s"`, Doc: "evenly over so long; absent: all at once"},
			measure(parseDuration, func(t *policytest.Arrival) *time.Duration { return &t.Within })},
		{Attribute{Name: "after", Example: `"90s"`, Doc: "so long after the arrive before it was over"},
			measure(parseDuration, func(t *policytest.Arrival) *time.Duration { return &t.After })},
		{Attribute{Name: "hold", Example: `"5s"`, Doc: "how long each admitted session keeps its place; absent: it is over before the next client comes"},
			measure(parseDuration, func(t *policytest.Arrival) *time.Duration { return &t.Hold })},
		{Attribute{Name: "ends", Example: `"crash"`, Unset: `"exit"`, Words: append([]string{policytest.EndsExit}, spelled(limit.Classes)...), Doc: "how the sessions end, as the penalty of a limit has it; timeout: they stay until the session of the limit is over; slow: first_byte or min_rate ends them, after hold"},
			word(func(t *policytest.Arrival) *string { return &t.Ends })},
	}, visitorRows(func(t *policytest.Arrival) *policytest.Visitor { return &t.Visitor }), wantRows(func(t *policytest.Arrival) *policytest.Want { return &t.Want }))}}
)

// TestReference is the blocks of a file of tests with their attributes.
func TestReference() []Block {
	c := caseTable.shape(`case "NAME"`)
	c.Blocks = []Block{arriveTable.shape(kindArrive)}
	return []Block{c, invariantTable.shape(`invariant "NAME"`)}
}

// caseBlock reads one case, and what cannot be of it.
func (c *compiler) caseBlock(syn *hclsyntax.Block) {
	before := len(c.found)
	b := caseTable.open(c, syn, "")
	t := policytest.Case{Name: syn.Labels[0], At: blockPlace(syn)}
	caseTable.read(b, &t)
	b.missing("service", "write service = service.NAME")
	for _, inner := range syn.Body.Blocks {
		if inner.Type == kindArrive {
			t.Arrivals = append(t.Arrivals, c.arriveBlock(inner, &t))
		}
	}
	bursts := len(t.Arrivals) > 0
	if len(t.Clients) == 0 && !bursts {
		b.missing("client", `write client = "192.0.2.1", or several: ["192.0.2.1", "2001:db8::1"]`)
	}
	if w := t.Want; !c.failed(before) && w == (policytest.Want{}) && !slices.ContainsFunc(t.Arrivals, func(a policytest.Arrival) bool { return a.Want != policytest.Want{} }) {
		c.report(codeMissing, syn.DefRange(), `write expect = "deny" and reason = "acl", or another of: `+strings.Join(wantNames(), ", "), "%s asserts nothing, so it cannot fail", b.title())
	}
	for _, said := range []*policytest.Said[int]{t.Want.Allowed, t.Want.Waited} {
		if said != nil && !bursts {
			c.report(codeValue, c.suite.rangeOf(said.At), "write arrive { count = 10 }, or expect = \"allow\"", "allowed and waited count clients of arrive blocks, and there is none")
		}
	}
	if c.failed(before) {
		return
	}
	for i, name := range t.Services {
		if i == 0 || c.suite.visits <= policytest.MaxVisits {
			c.fitCase(b, &t, c.suite.service(name))
		}
	}
	if c.suite.visits > policytest.MaxVisits {
		c.report(codeBounds, syn.DefRange(), "let fewer arrive", "all tests together have more than %d clients", policytest.MaxVisits)
		return
	}
	if !c.failed(before) {
		c.suite.out.Cases = append(c.suite.out.Cases, t)
	}
}

// arriveBlock reads one arrive, which has what it does not say of its case.
func (c *compiler) arriveBlock(syn *hclsyntax.Block, of *policytest.Case) policytest.Arrival {
	c.labels(syn, 0)
	b := arriveTable.open(c, syn, "")
	a := policytest.Arrival{At: blockPlace(syn), Visitor: of.Visitor, Count: 1, Ends: policytest.EndsExit}
	arriveTable.read(b, &a)
	if len(a.Clients) == 0 {
		b.missing("client", `write client = "192.0.2.1", here or in the case`)
	}
	words := append([]string{policytest.EndsExit}, spelled(limit.Classes)...)
	if !slices.Contains(words, a.Ends) {
		c.report(codeValue, syn.Body.Attributes["ends"].Expr.Range(), didYouMean(a.Ends, words, ""), "ends: %q is not known", clip(a.Ends))
	}
	if a.Count < 1 || a.Count > policytest.MaxCount {
		c.report(codeValue, syn.Body.Attributes["count"].Expr.Range(), "write "+counts(1, policytest.MaxCount), "count is out of range")
		a.Count = 1
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"within", a.Within}, {"after", a.After}, {"hold", a.Hold}} {
		if d.is > policytest.MaxPause {
			c.report(codeValue, syn.Body.Attributes[d.name].Expr.Range(), "write at most "+explain.FormatDuration(policytest.MaxPause), "%s is too long", d.name)
		}
	}
	return a
}

// fitCase reports what a case says that cannot be of one of its services.
func (c *compiler) fitCase(b *block, t *policytest.Case, s *policy.Service) {
	list := c.suite.doc.Policy.ACL(s.ACL)
	c.fitVisitor(b.syn, &t.Visitor, s, list)
	c.fitWant(&t.Want, s, list)
	c.suite.visits += max(len(t.Clients), 1)
	if len(t.Arrivals) > 0 && policytest.TakesClients(s) {
		c.report(codeMeaning, b.syn.DefRange(), "test its rules with client alone, or a service without wait", "service %q hands its socket over (wait = true): its program takes the clients, and limits do not count them", s.Name)
		return
	}
	inner := slices.DeleteFunc(slices.Clone(b.syn.Body.Blocks), func(x *hclsyntax.Block) bool { return x.Type != kindArrive })
	for i := range t.Arrivals {
		a, syn := &t.Arrivals[i], inner[i]
		c.fitVisitor(syn, &a.Visitor, s, list)
		c.fitWant(&a.Want, s, list)
		c.fitEnds(syn, a, s)
		c.suite.visits += a.Count
	}
}

// fitEnds reports an end that no session of the service has.
func (c *compiler) fitEnds(syn *hclsyntax.Block, a *policytest.Arrival, s *policy.Service) {
	attr := syn.Body.Attributes["ends"]
	if attr == nil || a.Ends == policytest.EndsExit {
		return
	}
	l := c.suite.doc.Policy.Limit(s.Limit)
	switch at := attr.Expr.Range(); {
	case policytest.Datagrams(s, a.Network):
		c.report(codeMeaning, at, "remove ends", "service %q: nothing that the sender of a datagram does earns a penalty, for anybody can send in its name", s.Name)
	case s.Builtin != "" && a.Ends != string(limit.Timeout) && a.Ends != string(limit.Slow):
		c.report(codeMeaning, at, `write ends = "timeout" or "slow", or remove it`, "service %q is a built-in: no client ends it so", s.Name)
	case a.Ends == string(limit.Timeout) && (l == nil || l.Session == 0):
		c.report(codeMeaning, at, `write session = "10m" in the limit of the service, or another end`, "limit %q has no session, so none of service %q ever times out", s.Limit, s.Name)
	case a.Ends == string(limit.Slow) && (l == nil || l.FirstByte == 0 && l.MinRate == 0):
		c.report(codeMeaning, at, `write min_rate = "100B/s" or first_byte = "10s" in the limit of the service, or another end`, "limit %q has neither first_byte nor min_rate, so no client of service %q is ended as slow", s.Limit, s.Name)
	case a.Ends == string(limit.Slow) && policytest.Comes(s, a.Network) != "tcp" && len(s.Listen) > 0:
		c.report(codeMeaning, at, "remove ends, or come by tcp", "service %q: nobody sees how slow a client of %s is", s.Name, policytest.Comes(s, a.Network))
	}
}

// fitVisitor reports clients who cannot come to the service, and facts that nobody asks for there.
func (c *compiler) fitVisitor(syn *hclsyntax.Block, v *policytest.Visitor, s *policy.Service, list *acl.List) {
	at := func(name string) (r *hclsyntax.Attribute) { return syn.Body.Attributes[name] }
	if a := at("client"); a != nil {
		for _, client := range v.Clients {
			if err := explain.Comes(s, list, client.Peer); err != nil {
				c.report(codeMeaning, a.Expr.Range(), "name another client or service", "client %q: %v", clip(client.Text), err)
				break
			}
		}
	}
	if a := at("network"); a != nil && !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return policytest.Network(l) == v.Network }) {
		c.report(codeMeaning, a.Expr.Range(), "choose that of one of: "+strings.Join(policytest.Listens(s), ", "), "service %q does not listen on %q", s.Name, clip(v.Network))
		return
	}
	if a := at("name"); a != nil && v.Name != "no-answer" && policytest.Nameless(s, v.Network) {
		c.report(codeMeaning, a.Expr.Range(), "remove name: rules by name go against the client", "nobody asks for the names of the clients of service %q: it is a built-in, has wait or takes datagrams", s.Name)
	}
	if a := at("draw"); a != nil {
		if l := c.suite.doc.Policy.Limit(s.Limit); l == nil || l.EarlyDrop == (limit.EarlyDrop{}) {
			c.report(codeMeaning, a.Expr.Range(), "remove draw, or write early_drop in the limit of the service", "limit %q has no early_drop, so nothing is drawn for service %q", s.Limit, s.Name)
		}
	}
	if a := at("load"); a != nil && s.Builtin != "" {
		c.report(codeMeaning, a.Expr.Range(), "remove load", "service %q is a built-in, whose worker does not look at the load", s.Name)
	}
}

// fitWant reports rules that there are not, and words that cannot be.
func (c *compiler) fitWant(w *policytest.Want, s *policy.Service, list *acl.List) {
	if m := w.Matched; m != nil && m.Value.Rule != "none" && m.Value.Rule != "disabled" && (m.Value.ACL == "" || m.Value.ACL == s.ACL) {
		if list == nil {
			c.report(codeReference, c.suite.rangeOf(m.At), `write matched = "none"`, "service %q has no acl, so no rule of one matches", s.Name)
		} else if _, ok := policytest.FindRule(list, m.Value.Rule); !ok {
			c.report(codeReference, c.suite.rangeOf(m.At), didYouMean(m.Value.Rule, ruleNames(list), ""), "acl %q has no rule %q", list.Name, clip(m.Value.Rule))
		}
	} else if m != nil && m.Value.ACL != "" && m.Value.ACL != s.ACL {
		other := c.suite.doc.Policy.ACL(m.Value.ACL)
		if other == nil {
			var names []string
			for i := range c.suite.doc.Policy.ACLs {
				names = append(names, c.suite.doc.Policy.ACLs[i].Name)
			}
			c.report(codeReference, c.suite.rangeOf(m.At), didYouMean(m.Value.ACL, names, "acl."), "the policy has no acl %q", clip(m.Value.ACL))
		} else if _, ok := policytest.FindRule(other, m.Value.Rule); !ok {
			c.report(codeReference, c.suite.rangeOf(m.At), didYouMean(m.Value.Rule, ruleNames(other), ""), "acl %q has no rule %q", other.Name, clip(m.Value.Rule))
		}
	}
	if w.Expect != nil && w.Expect.Value == acl.Allow && w.Reason != nil {
		c.report(codeMeaning, c.suite.rangeOf(w.Reason.At), `remove it, or write expect = "deny"`, "reason is why a client is refused, and expect is that it is not")
	}
}

// ruleNames are how a test may name the rules of a list.
func ruleNames(l *acl.List) (out []string) {
	for i, r := range l.Rules {
		if r.Name != "" {
			out = append(out, r.Name)
		} else {
			out = append(out, fmt.Sprint(i+1))
		}
	}
	return append(out, "default")
}
