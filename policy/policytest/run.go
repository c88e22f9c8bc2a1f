package policytest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/limit/admission"
	"casemate/acl/trace"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/explain"
)

// Options choose what runs.
type Options struct {
	// Selects says whether a test of that name runs; nil is all.
	Selects func(name string) bool
}

// Kinds of tests.
const (
	KindCase      = "case"
	KindInvariant = "invariant"
)

// Result is what became of one test.
type Result struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Place Place  `json:"place"`
	OK    bool   `json:"ok"`
	// Failures are the first maxFailures of a test; Left is how many there are beyond.
	Failures []Failure `json:"failures,omitempty"`
	Left     int       `json:"left,omitempty"`
}

// Failure is one thing that is not as a test wants it.
type Failure struct {
	// What is the attribute that is not met; "error" is that it could not be found out.
	What    string `json:"what"`
	Service string `json:"service,omitempty"`
	Client  string `json:"client,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got"`
	// Message is the error_message of an invariant that does not hold.
	Message string `json:"message,omitempty"`
	Place   Place  `json:"place"`            // of the attribute
	Origin  string `json:"origin,omitempty"` // file:line:column of the rule that decided
	// Trace is what explain says of the client: each rule that was asked, and why.
	Trace []string `json:"trace,omitempty"`
}

// SameClient tells whether another failure is about the same visit of one client, so that one trace tells of both. Failures
// about no client have none in common.
func (f *Failure) SameClient(o Failure) bool {
	return f.Client != "" && f.Service == o.Service && f.Client == o.Client && slices.Equal(f.Trace, o.Trace)
}

// Reasons are the words for refusals that a test can name: those of the log, disabled, and listener: no address of the
// service is one that such a client can come to, whom the rules would let in.
var Reasons = []string{reasonACL, string(admission.ByPenalty), string(admission.ByRate), string(admission.ByConcurrency), string(admission.ByEarlyDrop), string(admission.BySourceConcurrency),
	string(admission.BySourceRate), string(admission.ByWiderConcurrency), string(admission.ByWiderRate), reasonLoad, reasonQueue, reasonAnswers, reasonDisabled, reasonNowhere}

// maxFailures of one test are told.
const maxFailures = 8

// Report is what became of all tests that ran.
type Report struct {
	Digest   string    `json:"digest"`
	Tests    []Result  `json:"tests"`
	Passed   int       `json:"passed"`
	Failed   int       `json:"failed"`
	Skipped  int       `json:"skipped"` // not selected
	Coverage *Coverage `json:"coverage"`
}

// runner is one run over a document.
type runner struct {
	doc      *policy.Document
	matchers map[string]*decide.Matcher
	cover    *cover
	reach    *Reaches
}

// Run runs the tests of a suite that lang read for this document.
func Run(doc *policy.Document, suite *Suite, o Options) *Report {
	r := &runner{doc: doc, matchers: map[string]*decide.Matcher{}, cover: newCover(doc), reach: NewReaches(doc.Policy)}
	out := &Report{Digest: doc.Digest, Tests: []Result{}}
	add := func(kind, name string, at Place, run func(*Result)) {
		if o.Selects != nil && !o.Selects(name) {
			out.Skipped++
			return
		}
		res := Result{Kind: kind, Name: name, Place: at}
		run(&res)
		if res.OK = len(res.Failures) == 0; res.OK {
			out.Passed++
		} else {
			out.Failed++
		}
		out.Tests = append(out.Tests, res)
	}
	for i := range suite.Cases {
		c := &suite.Cases[i]
		add(KindCase, c.Name, c.At, func(res *Result) { r.runCase(c, res) })
	}
	for i := range suite.Invariants {
		v := &suite.Invariants[i]
		add(KindInvariant, v.Name, v.At, func(res *Result) { r.invariant(v, res) })
	}
	out.Coverage = r.cover.report()
	return out
}

// fail adds a failure to a result.
func (res *Result) fail(f Failure) {
	if len(res.Failures) == maxFailures {
		res.Left++
		return
	}
	res.Failures = append(res.Failures, f)
}

// full tells whether a further failure is only counted, so that its trace is not worth making.
func (res *Result) full() bool { return len(res.Failures) == maxFailures }

// result is what became of one client.
type result struct {
	service  *policy.Service
	client   Client
	query    explain.Query
	rule     int // as decide.Decision has it
	verdict  acl.Verdict
	lacks    string // what the test does not say, and the answer depends on
	Admitted bool
	Waited   bool
	Reason   string
}

// service is the one of that name, also one that is disabled.
func service(p *policy.Policy, name string) *policy.Service {
	if s := p.Service(name); s != nil {
		return s
	}
	return explain.Disabled(p, name)
}

func (r *runner) runCase(c *Case, res *Result) {
	if len(c.Services) == 0 { // service.* of a policy that serves none
		res.fail(Failure{What: "error", Want: "a service", Got: "none is served, so nothing was asked", Place: c.At})
	}
	for _, name := range c.Services {
		s := service(r.doc.Policy, name)
		if s == nil { // lang has looked
			res.fail(Failure{What: "error", Service: name, Got: "the policy has no such service", Place: c.At})
			continue
		}
		if len(c.Arrivals) > 0 {
			r.bursts(c, s, res)
			continue
		}
		for _, client := range c.Clients {
			got := r.visit(s, &c.Visitor, client, 0, r.desk(s), 0, EndsExit)
			r.judge(&c.Want, got, c.At, res)
		}
	}
}

// desk is the limits of a service, with nobody there; nil where casemate counts no clients.
func (r *runner) desk(s *policy.Service) *desk {
	spec := r.doc.Policy.Limit(s.Limit)
	if spec == nil || s.Disable || TakesClients(s) {
		return nil
	}
	return newDesk(s, *spec)
}

// TakesClients tells whether the service's program takes its clients itself, so that limits count
// its starts and none of them.
func TakesClients(s *policy.Service) bool { return s.Wait && s.Builtin == "" }

// Datagrams tells whether a client who comes to a socket of that network, "" is the first
// that the service has, sends datagrams.
func Datagrams(s *policy.Service, network string) bool {
	for _, l := range s.Listen {
		if network == "" || Network(l) == network {
			return l.Datagram()
		}
	}
	return false
}

// Comes is the network by which a client comes to s that says network of it: "" is by the first of its addresses.
func Comes(s *policy.Service, network string) string {
	if network == "" && len(s.Listen) > 0 {
		return Network(s.Listen[0])
	}
	return network
}

// Network is the network of a listen address without its family, as "tcp".
func Network(l address.Listen) string { return strings.TrimRight(l.Network, "46") }

// Nameless tells whether nobody asks for the names of the clients on that network: rules by
// name then go against the client.
func Nameless(s *policy.Service, network string) bool {
	return s.Wait || s.Builtin != "" || Datagrams(s, network)
}

// visit has one client come to a service, after that much of the case's time.
func (r *runner) visit(s *policy.Service, v *Visitor, client Client, after time.Duration, d *desk, hold time.Duration, ends string) *result {
	got := &result{service: s, client: client, query: explain.Query{Service: s.Name, Client: client.Addr, Peer: client.Peer, Name: v.Name, Local: v.Local}}
	if !v.Time.IsZero() {
		got.query.At = v.Time.Add(after)
	}
	if Nameless(s, v.Network) {
		got.query.Name = "no-answer"
	}
	if s.Disable {
		got.rule, got.verdict, got.Reason = explain.RuleDisabled, acl.Deny, reasonDisabled
		return got
	}
	name, _ := trace.ParseName(got.query.Name) // lang has read it
	decided := r.matcher(s.ACL).Decide(decide.Client{Addr: client.Addr, Local: v.Local, Name: name, Peer: client.Peer, At: got.query.At})
	if got.rule, got.verdict = decided.Rule, decided.Verdict; decided.NeedName {
		got.lacks = lacksName
	}
	switch {
	case got.lacks != "":
	case got.verdict == acl.Allow && !comes(s, client, v):
		got.Reason = reasonNowhere
	case got.verdict != acl.Allow:
		got.Reason = reasonACL
		r.cover.rule(s.ACL, got.rule)
	case d == nil:
		got.Admitted = true
		r.cover.rule(s.ACL, got.rule)
	default:
		r.cover.rule(s.ACL, got.rule)
		d.advance(int64(after))
		datagram := Datagrams(s, v.Network)
		if datagram {
			ends = EndsExit // whatever it is: its source may be forged
		}
		d.come(&guest{source: source(client), hold: hold, ends: ends, load: v.Load, draw: v.Draw, answer: datagram && s.Builtin != "", result: got})
	}
	return got
}

// comes tells whether such a client can come to a listener of the service: nobody asks the rules about who cannot.
func comes(s *policy.Service, client Client, v *Visitor) bool {
	if len(s.Mux) > 0 && client.Peer == "" {
		return true // those of the built-in tcpmux
	}
	return len(explain.Reached(s, decide.Client{Addr: client.Addr, Local: v.Local, Peer: client.Peer}.Normal())) > 0
}

// matcher is that of an acl; of "", which admits nobody, the nil one.
func (r *runner) matcher(name string) *decide.Matcher {
	m, ok := r.matchers[name]
	if !ok {
		m, _ = decide.Compile(r.doc.Policy.ACL(name)) // of a valid policy
		r.matchers[name] = m
	}
	return m
}

// source is whom limits count a client under, as listener.Peer has it.
func source(c Client) admission.Source {
	kind, text, _ := strings.Cut(string(c.Peer), "=")
	n, _ := strconv.ParseUint(text, 10, 32)
	if kind == "cid" {
		n |= 1 << 32
	}
	return admission.Peer(c.Addr, n)
}

// bursts has the arrivals of a case come to one service, one after the other.
func (r *runner) bursts(c *Case, s *policy.Service, res *Result) {
	d := r.desk(s)
	at, all := time.Duration(0), []*result{}
	steps := make([][]*result, len(c.Arrivals))
	for i := range c.Arrivals {
		a := &c.Arrivals[i]
		at += a.After
		for n := range a.Count {
			when := at + time.Duration(float64(a.Within)*float64(n)/float64(a.Count))
			got := r.visit(s, &a.Visitor, a.Clients[n%len(a.Clients)], when, d, a.Hold, a.Ends)
			steps[i] = append(steps[i], got)
		}
		at += a.Within
		all = append(all, steps[i]...)
	}
	if d != nil {
		d.finish()
		r.cover.limits(s, all)
	}
	for i := range c.Arrivals {
		if k := slices.IndexFunc(steps[i], func(got *result) bool { return got.lacks != "" }); k >= 0 {
			r.undecided(steps[i][k], c.Arrivals[i].At, res)
			return
		}
	}
	for i := range c.Arrivals {
		r.judgeAll(&c.Arrivals[i].Want, steps[i], res)
	}
	r.judgeAll(&c.Want, all, res)
}

// FindRule is the index of a rule of a list by its name or number, decide.RuleDefault for "default"; false if
// there is none.
func FindRule(l *acl.List, rule string) (int, bool) {
	if rule == "default" {
		return decide.RuleDefault, true
	}
	if i := slices.IndexFunc(l.Rules, func(r acl.Rule) bool { return r.Name == rule }); i >= 0 {
		return i, true
	}
	n, err := strconv.Atoi(rule)
	return n - 1, err == nil && n >= 1 && n <= len(l.Rules) && strconv.Itoa(n) == rule
}

// ruleText is how a test writes the rule that decided.
func ruleText(l *acl.List, rule int) string {
	switch {
	case rule == explain.RuleDisabled:
		return "disabled"
	case l == nil || rule < decide.RuleDefault:
		return "none"
	case rule == decide.RuleDefault:
		return "acl." + l.Name + ".default"
	case decide.RuleName(l, rule) != "":
		return "acl." + l.Name + "." + decide.RuleName(l, rule)
	}
	return fmt.Sprintf("acl.%s.%d", l.Name, rule+1)
}

// ParseClient reads a client as explain does.
func ParseClient(text string) (c Client, err error) {
	c.Text = text
	if c.Peer, err = explain.ParsePeer(text); err != nil || c.Peer != "" {
		return c, err
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return c, fmt.Errorf("%q is not an address: write an IPv4 or IPv6 address, unix or uid=NUMBER for a client of a unix socket, or cid=NUMBER for one of a vsock", text)
	}
	c.Addr = a.Unmap().WithZone("")
	return c, nil
}
