package diff

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"casemate/acl/reach"
	"casemate/policy"
	"casemate/sandbox"
)

// Policies is the difference of two policies: of each service that is not the same in both, by name.
type Policies struct {
	// Old and New are the digests.
	Old string `json:"old"`
	New string `json:"new"`
	// Verdict is that of all services and of the policy's own attributes together; added and removed services
	// are more and less.
	Verdict  Verdict         `json:"verdict"`
	Counts   map[Verdict]int `json:"counts"` // of services, of each verdict
	Services []Service       `json:"services"`
	// Policy is what is other for all services: on_stop, on_broken.
	Policy []string `json:"policy,omitempty"`
	// PolicyVerdict is what became of those.
	PolicyVerdict Verdict `json:"policy_verdict,omitempty"`
}

// Service is one service that is not the same.
type Service struct {
	Name    string  `json:"service"`
	Verdict Verdict `json:"verdict"`
	// Dimensions are those in which there is a difference, in a fixed order.
	Dimensions []Dimension `json:"dimensions"`
	// Origins are file:line:column of its blocks, "" where there is none.
	OldOrigin string `json:"old_origin,omitempty"`
	NewOrigin string `json:"new_origin,omitempty"`
}

// Dimension is one respect in which a service is other.
type Dimension struct {
	Name    string  `json:"dimension"`
	Verdict Verdict `json:"verdict"`
	// By is the block of the policy that makes the difference, where it is one that has a name: `acl "office"`.
	By string `json:"by,omitempty"`
	// More is what the new one grants and the old one does not, Less the other way round; Differs is what is other and may be
	// more, Changed what is other and grants nothing.
	More    []string `json:"more,omitempty"`
	Less    []string `json:"less,omitempty"`
	Differs []string `json:"differs,omitempty"`
	Changed []string `json:"changed,omitempty"`
	// Reach tells of who gets in, for the dimension of that name.
	Reach []Reach `json:"reach,omitempty"`
	// Calls prove, for the dimension seccomp, that something is more.
	Calls []Call `json:"calls,omitempty"`
}

// MayWiden tells whether anything is more, or may be.
func (p *Policies) MayWiden() bool { return p.Verdict.MayWiden() }

// Same tells whether nothing is other, not even what grants nothing.
func (p *Policies) Same() bool { return p.Verdict == Unchanged }

// comparison is one run of Compare: what services share is compared once.
type comparison struct {
	old, new *policy.Document
	lists    *reach.Comparer
	acls     map[string]*aclResult
	profiles map[[2]string]*profileResult
	filters  map[*sandbox.Profile]*filtered
	matchers matchers
}

// filtered is filteredBy, once for each profile.
func (c *comparison) filtered(p *sandbox.Profile) (*filtered, error) {
	if f := c.filters[p]; f != nil {
		return f, nil
	}
	f, err := filteredBy(p)
	if err == nil {
		c.filters[p] = f
	}
	return f, err
}

// Compare tells what is other in new. It fails for what no compiled policy holds; what nobody can decide it says differs.
func Compare(old, new *policy.Document) (*Policies, error) {
	c := &comparison{old: old, new: new, lists: reach.NewComparer(), acls: map[string]*aclResult{}, profiles: map[[2]string]*profileResult{}, filters: map[*sandbox.Profile]*filtered{}, matchers: matchers{}}
	out := &Policies{Old: old.Digest, New: new.Digest, Counts: map[Verdict]int{}, Services: []Service{}}
	var all sum
	for _, name := range names(old.Policy, new.Policy) {
		s, err := c.service(name)
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
		out.Counts[s.Verdict]++
		if s.Verdict != Unchanged {
			out.Services = append(out.Services, *s)
		}
		all.add(s.sum())
	}
	own := out.own(old.Policy, new.Policy)
	out.PolicyVerdict = own.verdict()
	all.add(own)
	out.Verdict = all.verdict()
	return out, nil
}

// own compares the policies' own attributes. Sessions that are left when casemated stops go on without who ends, limits and counts them, and
// those that a load leaves are of clients that it does not admit; what a
// start does with services that it cannot prepare opens none that the policy has not.
func (p *Policies) own(a, b *policy.Policy) (s sum) {
	if a.OnStop != b.OnStop {
		p.Policy = append(p.Policy, fmt.Sprintf("on_stop %s, was %s", b.OnStop, a.OnStop))
		s.more, s.less = b.OnStop == policy.StopLeave, a.OnStop == policy.StopLeave
	}
	if a.OnBroken != b.OnBroken {
		p.Policy = append(p.Policy, fmt.Sprintf("on_broken %s, was %s", b.OnBroken, a.OnBroken))
		s.changed = true
	}
	if was, is := cmp.Or(a.OnNarrow, policy.NarrowKeep), cmp.Or(b.OnNarrow, policy.NarrowKeep); was != is {
		p.Policy = append(p.Policy, fmt.Sprintf("on_narrow %s, was %s", is, was))
		s.more, s.less = s.more || is == policy.NarrowKeep, s.less || is == policy.NarrowEnd
	}
	return s
}

// names are those of the services of either policy, disabled ones too, in order.
func names(list ...*policy.Policy) (out []string) {
	for _, p := range list {
		for _, services := range [][]policy.Service{p.Services, p.Disabled} {
			for i := range services {
				out = append(out, services[i].Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// service compares the services of one name.
func (c *comparison) service(name string) (*Service, error) {
	a, b := c.old.Policy.Service(name), c.new.Policy.Service(name)
	s := &Service{Name: name, Dimensions: []Dimension{}, OldOrigin: c.old.Origins.Lookup("services." + name), NewOrigin: c.new.Origins.Lookup("services." + name)}
	switch {
	case a == nil && b == nil:
		s.Verdict = Unchanged // not served before or now
		return s, nil
	case a == nil:
		s.Verdict = Added
	case b == nil:
		s.Verdict = Removed
	}
	err := c.dimensions(s, a, b)
	if err == nil && s.Verdict == "" {
		s.Verdict = s.sum().verdict()
	}
	return s, err
}

// dimensions compares two services, of which one may be nil: nobody reaches it then, and it grants nothing.
func (c *comparison) dimensions(s *Service, a, b *policy.Service) error {
	add := func(d Dimension) {
		if d.Verdict = d.sum().verdict(); d.Verdict != Unchanged {
			s.Dimensions = append(s.Dimensions, d)
		}
	}
	reached, program, err := c.reach(s.Name, a, b)
	if err != nil {
		return err
	}
	add(reached)
	add(listeners(a, b))
	if a == nil || b == nil {
		add(presence(c, a, b))
		return nil
	}
	program.Name = "command"
	program.command(a, b)
	add(program)
	add(identity(a, b, c.old.Policy.Profile(a.Profile), c.new.Policy.Profile(b.Profile)))
	held, err := c.limits(a, b)
	if err != nil {
		return err
	}
	add(held)
	if err := c.layers(a, b, add); err != nil {
		return err
	}
	add(other(a, b))
	return nil
}

// presence says what comes or goes with a service: what it runs, as whom and in which profile.
func presence(c *comparison, a, b *policy.Service) Dimension {
	tell := func(p *policy.Policy, s *policy.Service) []string {
		out := []string{"runs " + runs(s), "user " + string(s.User), "profile " + s.Profile}
		if f := p.Profile(s.Profile); f != nil {
			if f.Network.Mode == sandbox.NetworkHost {
				out = append(out, "the host's network namespace")
			}
			for _, name := range f.Capabilities {
				out = append(out, name)
			}
		}
		return out
	}
	if a == nil {
		return Dimension{Name: "service", More: tell(c.new.Policy, b)}
	}
	return Dimension{Name: "service", Less: tell(c.old.Policy, a)}
}

// profileResult is the difference of two profiles, by layer.
type profileResult struct {
	layers []Dimension
	err    error
}

// layers adds what the profiles differ in.
func (c *comparison) layers(a, b *policy.Service, add func(Dimension)) error {
	key := [2]string{a.Profile, b.Profile}
	r := c.profiles[key]
	if r == nil {
		r = c.profilePair(a.Profile, b.Profile)
		c.profiles[key] = r
	}
	for _, d := range r.layers {
		add(d)
	}
	return r.err
}

func (c *comparison) profilePair(a, b string) *profileResult {
	f, g := c.old.Policy.Profile(a), c.new.Policy.Profile(b)
	if f == nil || g == nil {
		return &profileResult{err: fmt.Errorf("there is no profile %q, or %q", a, b)}
	}
	if sameProfile(f, g) {
		return &profileResult{}
	}
	d, err := callsOf(f, g, c.filtered)
	if err != nil {
		return &profileResult{err: err}
	}
	var report Report
	report.others(f, g)
	d.Name, d.By = "seccomp", fmt.Sprintf("profile %q", b)
	out := &profileResult{layers: []Dimension{d}}
	for _, l := range report.Layers {
		out.layers = append(out.layers, Dimension{Name: l.Name, More: l.More, Less: l.Less, Differs: l.Differs, By: fmt.Sprintf("profile %q", b)})
	}
	return out
}

// sameProfile tells whether two profiles are the same but for their names and what explains them.
func sameProfile(a, b *sandbox.Profile) bool {
	x, y := *a, *b
	for _, p := range []*sandbox.Profile{&x, &y} {
		p.Name, p.Base, p.Widens, p.Because = "", nil, nil, ""
		p.Syscalls.Filter, p.Syscalls.Rules = "", nil // what the words come to
	}
	return reflect.DeepEqual(x, y)
}
