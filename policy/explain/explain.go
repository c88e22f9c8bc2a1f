// Package explain tells a person what a compiled policy means: what would happen
// to a client and why, and what a profile and a limit come to. It works on the
// document alone, here or as a running broker handed it out.
package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit"
	"casemate/acl/limit/responses"
	"casemate/acl/shield"
	"casemate/acl/trace"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/suggest"
	"casemate/policy/valid"
	"casemate/sandbox"
)

// Ask answers q from the policy alone: no DNS, no counters, no host. An
// error means that there is no such service or no such client.
func Ask(doc *policy.Document, q Query) (*Explanation, error) {
	s, err := Find(doc.Policy, q.Service)
	if err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	if !q.Client.IsValid() && q.Peer == "" {
		return nil, errors.New("explain: client: no address")
	}
	if err := Comes(s, doc.Policy.ACL(s.ACL), q.Peer); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	name, err := trace.ParseName(q.Name)
	if err != nil {
		return nil, fmt.Errorf("explain: name: %w", err)
	}
	client := decide.Client{Addr: q.Client.Unmap().WithZone(""), Local: q.Local.Unmap().WithZone(""), Name: name, Peer: q.Peer, At: q.At}.Normal()
	e := &Explanation{
		Service: s.Name, Client: client.Addr.String(), Name: q.Name, ACL: s.ACL,
		Limit: doc.Policy.Limit(s.Limit), User: string(s.User), Group: string(s.Group), Groups: s.Groups, Listeners: []string{}, Source: Source(doc.Policy, s, client.Addr),
		Command: s.Command, Builtin: s.Builtin, Redirect: Target(s), ProxyProtocol: s.ProxyProtocol, Profile: s.Profile, Digest: doc.Digest, Notes: Notes(doc.Policy, s), Origins: Origins(doc, s),
	}
	if q.Peer != "" {
		e.Client = string(q.Peer)
	}
	for _, l := range Reached(s, client) {
		e.Listeners = append(e.Listeners, l.String())
	}
	if len(s.Mux) > 0 && q.Peer == "" {
		for _, name := range s.Mux {
			e.Listeners = append(e.Listeners, "tcpmux:"+strings.TrimPrefix(name, "+"))
		}
	}
	if e.Limit != nil {
		e.Limit = Held(s, *e.Limit)
		if e.Exempt = exemptBy(doc, e.Limit, client.Addr); e.Exempt != nil {
			e.Source = ""
		}
	}
	if client.Local.IsValid() {
		e.Local = client.Local.String()
	}
	if f := doc.Policy.Profile(s.Profile); f != nil {
		e.Widens, e.Layers = f.Widens, Around(doc.Policy, s)
	}
	if l := doc.Policy.ACL(s.ACL); l != nil && !q.At.IsZero() && slices.ContainsFunc(l.Rules, func(r acl.Rule) bool { return len(r.During) > 0 }) {
		e.At = q.At.Format(time.RFC3339)
	}
	if err := e.decide(doc, s, client); err != nil {
		return nil, err
	}
	if s.Disable {
		e.Reason = fmt.Sprintf("the service is disabled: casemated does not listen for it (without that: %s, %s)", e.Decision, e.Reason)
		e.Disabled, e.Decision, e.NeedsName, e.Rule, e.RuleName = true, acl.Deny, false, RuleDisabled, ""
		e.Origin = doc.Origins.Lookup(OffAt(s.Name))
	}
	return e, nil
}

// RuleDisabled stands where the number of a rule stands, below those of package acl.
const RuleDisabled = -4

// OffAt is the path, in Origins, of what disables a service.
func OffAt(service string) string { return "services." + service + ".disable" }

// Find is the service of that name, also one that is disabled.
func Find(p *policy.Policy, name string) (*policy.Service, error) {
	if s := p.Service(name); s != nil {
		return s, nil
	}
	if s := Disabled(p, name); s != nil {
		return s, nil
	}
	return nil, noService(p, name)
}

// Disabled is the disabled service of that name, or nil.
func Disabled(p *policy.Policy, name string) *policy.Service {
	for _, s := range p.Disabled {
		if s.Name == name {
			s.Disable = true // a document has it by its list
			return &s
		}
	}
	return nil
}

// Notes are what holds of a service beside its acl and its limit.
func Notes(p *policy.Policy, s *policy.Service) (list []string) {
	if s.Stdio == sandbox.StdioRelay {
		list = append(list, "its program has no socket of the network: casemate-worker has its client's, and carries what the two say")
	}
	switch {
	case s.Screened():
		list = append(list, "its program takes its clients itself: the kernel drops at the listening socket what the acl refuses, without an answer or a record of each,",
			"  and the program is not handed the socket before that is so")
	case s.Shielded():
		list = append(list, "the kernel drops at the listening socket, without an answer or a record of each, whom the acl refuses by address alone, and sources that a limit shuts out for a while")
		if _, held, err := shield.Refused(p.ACL(s.ACL)); err != nil {
			list = append(list, "the kernel refuses nobody by the acl: "+err.Error())
		} else {
			list = append(list, held.Words()...)
		}
	}
	if s.Builtin == "" {
		return list
	}
	list = append(list, "counted by the built-in's own worker: what it refuses is in the log and in casemate status, not here")
	for _, l := range s.Listen {
		if strings.HasPrefix(l.Network, "udp") {
			switch {
			case s.Amplify:
				list = append(list, "a datagram is answered with any quote, however short it is: whoever is named as its source gets the rest")
			case s.Builtin == "qotd":
				list = append(list, "a datagram is answered with a quote that is no longer than it, and not at all if there is none")
			}
			return append(list, "no datagram is answered from a port below 1024 or of a service known to answer anything, from or to a group or broadcast address,",
				"  from an address of this host itself (a loopback one: unless the socket is bound to loopback)")
		}
	}
	return list
}

// Held is the part of a limit that is held for the service. The program of a wait
// service takes its clients itself, and nobody sees how long one stays or what it
// does; a datagram's source may be forged, so none earns a penalty.
func Held(s *policy.Service, l limit.Spec) *limit.Spec {
	wait := s.Wait && s.Builtin == ""
	if wait {
		l.Session, l.FirstByte, l.MinRate, l.Exempt = 0, 0, 0, nil
	}
	if wait || len(s.Mux) == 0 && !slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return !l.Datagram() }) {
		l.Penalty = limit.Penalty{}
	}
	if valid.Responds(s) {
		l.Responses, l.ResponsesTotal = responses.Rates(&l)
	} else {
		l.Responses, l.ResponsesTotal = limit.Rate{}, limit.Rate{}
	}
	return &l
}

// exemptBy is the first prefix of a limit that exempts an address, nil where none does.
func exemptBy(doc *policy.Document, l *limit.Spec, a netip.Addr) *Written {
	for i, p := range l.Exempt {
		if p.Contains(a) {
			return &Written{"exempt", Prefixes(l.Exempt[i : i+1])[0], doc.Origins.Lookup(fmt.Sprintf("limits.%s.exempt.%d", l.Name, i))}
		}
	}
	return nil
}

// decide fills in the verdict, the rule behind it and the rules tried before.
func (e *Explanation) decide(doc *policy.Document, s *policy.Service, client decide.Client) error {
	list := doc.Policy.ACL(s.ACL)
	m, err := decide.Compile(list)
	if err != nil {
		return fmt.Errorf("explain: acl %q: %w", s.ACL, err)
	}
	d := m.Decide(client)
	e.Decision, e.Rule, e.NeedsName = d.Verdict, number(d.Rule), d.NeedName
	e.Steps = []Rule{}
	for _, step := range trace.Steps(list, client) {
		r := Rule{Number: number(step.Rule), Name: decide.RuleName(list, step.Rule), Verdict: step.Verdict, Why: step.Why, Matched: step.Decided()}
		r.Origin = doc.Origins.Lookup(originOf(s, step.Rule))
		if step.Rule >= 0 {
			r.Env, r.Command = list.Rules[step.Rule].Env, list.Rules[step.Rule].Command
		}
		if !r.Matched || step.Rule >= 0 {
			e.Steps = append(e.Steps, r)
		}
		e.Reason = step.Why
	}
	e.Origin = doc.Origins.Lookup(originOf(s, d.Rule))
	if d.Rule >= 0 && !d.NeedName && len(list.Rules[d.Rule].Command) > 0 {
		e.Command = list.Rules[d.Rule].Command
	}
	rule := fmt.Sprintf("rule %d", e.Rule)
	if e.RuleName = decide.RuleName(list, d.Rule); e.RuleName != "" {
		rule = fmt.Sprintf("rule %q", e.RuleName)
	}
	switch {
	case e.NeedsName:
		e.Reason = fmt.Sprintf("%s of acl %q depends on the client's host name", rule, s.ACL)
	case d.Rule >= 0:
		e.Reason = fmt.Sprintf("%s of acl %q: %s", rule, s.ACL, e.Reason)
	case d.Rule == decide.RuleDefault:
		e.Reason = fmt.Sprintf("no rule of acl %q matches, its default is %s", s.ACL, d.Verdict)
	}
	return nil
}

// number is how people count the rule of an index; what is no rule stays below 0.
func number(rule int) int {
	if rule < 0 {
		return rule
	}
	return rule + 1
}

// originOf is the path, in Origins, of what a decision's rule index names.
func originOf(s *policy.Service, rule int) string {
	switch {
	case rule >= 0:
		return fmt.Sprintf("acls.%s.rules.%d", s.ACL, rule)
	case rule == decide.RuleDefault:
		return "acls." + s.ACL + ".default"
	}
	return "services." + s.Name
}

// noService is the error for a service that the policy does not have.
func noService(p *policy.Policy, name string) error {
	var names []string
	for _, s := range slices.Concat(p.Services, p.Disabled) {
		names = append(names, s.Name)
	}
	if w := suggest.Word(name, names); w != "" {
		return fmt.Errorf("service %q is not in the policy; did you mean %q?", name, w)
	}
	if len(names) > 12 {
		names = append(names[:12], "...")
	}
	return fmt.Errorf("service %q is not in the policy; it has: %s", name, strings.Join(names, ", "))
}
