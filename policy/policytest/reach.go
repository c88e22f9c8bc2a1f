package policytest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/reach"
	"casemate/listener/address"
	"casemate/listener/endpoint"
	"casemate/policy"
	"casemate/policy/explain"
)

// Reaches answers whom services admit of networks, exactly. It is made for one goroutine.
type Reaches struct {
	policy *policy.Policy
	tables map[listOf]*reach.Table
	known  map[question]found
}

// question is one that was asked: many services have one acl, and are asked about one network.
type question struct {
	list     listOf
	networks string
	verdict  acl.Verdict
}

type found struct {
	client *decide.Client
	err    error
}

// listOf is an acl, as it is for a service whose clients' names nobody asks for.
type listOf struct {
	name     string
	nameless bool
}

// NewReaches works lists out as they are asked for.
func NewReaches(p *policy.Policy) *Reaches {
	return &Reaches{policy: p, tables: map[listOf]*reach.Table{}, known: map[question]found{}}
}

// Admits is a client of one of the networks whom the service may admit, by its rules and on
// sockets of that family, nil if there is none.
func (r *Reaches) Admits(s *policy.Service, networks []netip.Prefix) (*decide.Client, error) {
	if s.Disable {
		return nil, nil
	}
	networks = slices.DeleteFunc(slices.Clone(networks), func(p netip.Prefix) bool { return !listens(s, p.Addr().Is4()) })
	return r.find(s, networks, acl.Allow)
}

// Refuses is a client of one of the networks whom the service may refuse, likewise.
func (r *Reaches) Refuses(s *policy.Service, networks []netip.Prefix) (*decide.Client, error) {
	for _, p := range networks {
		if s.Disable || !listens(s, p.Addr().Is4()) {
			return &decide.Client{Addr: p.Addr()}, nil
		}
	}
	return r.find(s, networks, acl.Deny)
}

func (r *Reaches) find(s *policy.Service, networks []netip.Prefix, verdict acl.Verdict) (*decide.Client, error) {
	if len(networks) == 0 {
		return nil, nil
	}
	q := question{listFor(s), fmt.Sprint(networks), verdict}
	f, ok := r.known[q]
	if !ok {
		f.client, f.err = r.search(q.list, networks, verdict)
		r.known[q] = f
	}
	return f.client, f.err
}

func (r *Reaches) search(list listOf, networks []netip.Prefix, verdict acl.Verdict) (*decide.Client, error) {
	t, err := r.table(list)
	if err != nil {
		return nil, err
	}
	sets := make([]reach.Set, len(networks))
	for i, p := range networks {
		sets[i] = reach.Set{reach.OfPrefix(p)}
	}
	parts, err := t.Parts(reach.Union(sets...))
	if err != nil {
		return nil, fmt.Errorf("acl %q: %w", list.name, err)
	}
	for i := range parts {
		if parts[i].Verdict == verdict {
			return &parts[i].Example, nil
		}
	}
	return nil, nil
}

// listFor is the acl of a service, as it is for its clients.
func listFor(s *policy.Service) listOf {
	nameless := len(s.Mux) == 0
	for _, l := range s.Listen {
		nameless = nameless && Nameless(s, Network(l))
	}
	return listOf{s.ACL, nameless}
}

func (r *Reaches) table(of listOf) (*reach.Table, error) {
	if t := r.tables[of]; t != nil {
		return t, nil
	}
	list := r.policy.ACL(of.name)
	if of.nameless && list != nil {
		list = unnamed(list)
	}
	t, err := reach.New(list)
	if err != nil {
		return nil, fmt.Errorf("acl %q: %w", of.name, err)
	}
	r.tables[of] = t
	return t, nil
}

// listens tells whether the service has a socket for clients of that family.
func listens(s *policy.Service, four bool) bool {
	return len(s.Mux) > 0 || slices.ContainsFunc(s.Listen, func(l address.Listen) bool {
		return l.Inet() && slices.ContainsFunc(l.Endpoints(), func(e endpoint.Endpoint) bool { return strings.HasSuffix(e.Network, "4") == four })
	})
}

// unnamed is a list as it decides where nobody asks for names: they go against the client.
func unnamed(l *acl.List) *acl.List {
	out := *l
	out.Rules = nil
	for _, r := range l.Rules {
		var from, except []acl.Pattern
		byName, exceptName := false, false
		for _, p := range r.From {
			if byAddress(p) {
				from = append(from, p)
			} else {
				byName = true
			}
		}
		for _, p := range r.Except {
			if byAddress(p) {
				except = append(except, p)
			} else {
				exceptName = true
			}
		}
		switch {
		case r.Verdict == acl.Allow && (exceptName || len(from) == 0):
			continue
		case r.Verdict == acl.Deny && byName:
			from = append(from, "0.0.0.0/0", "::/0")
		}
		r.From, r.Except = from, except
		out.Rules = append(out.Rules, r)
	}
	return &out
}

// byAddress tells whether a pattern is about addresses and numbers alone.
func byAddress(p acl.Pattern) bool {
	_, ok := reach.Of(p)
	return ok || p == acl.Any
}

// invariant runs one invariant.
func (r *runner) invariant(v *Invariant, res *Result) {
	add := func(f Failure) {
		f.Message = v.Message
		res.fail(f)
	}
	switch {
	case v.Condition != nil:
		if ok, got, err := v.Condition.Holds(); err != nil {
			res.fail(Failure{What: "error", Got: err.Error(), Place: v.Condition.At})
		} else if !ok {
			add(Failure{What: "condition", Want: "true", Got: got, Place: v.Condition.At})
		}
	case v.Never != nil:
		r.reaches("never", v.Never, r.reach.Admits, "may be admitted", add, res)
	case v.Always != nil:
		r.reaches("always", v.Always, r.reach.Refuses, "may be refused", add, res)
	}
}

// reaches looks for a client of each service for whom an invariant does not hold.
func (r *runner) reaches(what string, v *Reach, find func(*policy.Service, []netip.Prefix) (*decide.Client, error), became string, add func(Failure), res *Result) {
	if what == "always" && len(v.Services) == 0 { // service.* of a policy that serves none: who cannot come is admitted by nobody
		res.fail(Failure{What: "error", Want: "a service", Got: "none is served, so nothing was asked", Place: v.At})
	}
	for _, name := range v.Services {
		s := service(r.doc.Policy, name)
		c, err := find(s, v.Networks)
		if err != nil {
			res.fail(Failure{What: "error", Service: name, Got: err.Error(), Place: v.At})
			continue
		}
		if c == nil {
			continue
		}
		f := Failure{What: what, Service: name, Client: c.Addr.String(), Want: "no client of " + netText(v.Networks) + " is admitted", Got: c.Addr.String() + " " + became, Place: v.At}
		if what == "always" {
			f.Want = "each client of " + netText(v.Networks) + " is admitted"
		}
		if !res.full() {
			r.witness(&f, s, c)
		}
		add(f)
	}
}

// witness adds the circumstances of a client, and what explain says of it.
func (r *runner) witness(f *Failure, s *policy.Service, c *decide.Client) {
	if !s.Disable && !listens(s, c.Addr.Is4()) {
		f.Trace = []string{"= deny: the service has no socket for clients of this family: it listens on " + strings.Join(Listens(s), ", ")}
		return
	}
	q := explain.Query{Service: s.Name, Client: c.Addr, Local: c.Local, At: c.At}
	switch c.Name.State {
	case decide.Known:
		q.Name = c.Name.Host
	case decide.Unknown:
		q.Name = "unknown"
	case decide.Paranoid:
		q.Name = "paranoid"
	case decide.NoAnswer:
		q.Name = "no-answer"
	}
	if q.Name != "" {
		f.Got += " (name " + q.Name + ")"
	}
	if q.Local.IsValid() {
		f.Got += " (to " + q.Local.String() + ")"
	}
	if !q.At.IsZero() {
		f.Got += " (at " + q.At.UTC().Format("2006-01-02T15:04:05Z07:00") + ")"
	}
	r.explain(f, q)
}

// netText lists the first networks.
func netText(list []netip.Prefix) string {
	var out []string
	for i, p := range list {
		if i == 4 {
			out = append(out, fmt.Sprintf("%d others", len(list)-i))
			break
		}
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return strings.Join(out, ", ")
}
