package acl

import (
	"fmt"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Matcher is a compiled List. It does not change and may be used from several
// goroutines. The nil Matcher is that of a service without an acl.
type Matcher struct {
	rules []rule
	def   Verdict
	none  bool
	names bool
}

// rule is a Rule whose patterns are sets.
type rule struct {
	verdict Verdict
	from    set
	except  set
	to      *bart.Lite // nil is any
}

// set is a pattern list ready for matching.
type set struct {
	any       bool
	known     bool
	unknown   bool
	paranoid  bool
	needsName bool
	prefixes  *bart.Lite // nil is none
	hosts     map[string]struct{}
	domains   map[string]struct{} // with the leading dot
}

// Compile checks l and prepares it for matching. Every pattern must be in its
// canonical spelling (what ParsePattern returns), every verdict and the default
// must be allow or deny, a rule needs a From. A nil List is a service without
// an acl: its Matcher denies everyone with rule RuleNoACL.
func Compile(l *List) (*Matcher, error) {
	if l == nil {
		return &Matcher{none: true, def: Deny}, nil
	}
	if err := checkVerdict(l.Default); err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	m := &Matcher{def: l.Default, rules: make([]rule, len(l.Rules))}
	for i := range l.Rules {
		r, err := compileRule(&l.Rules[i])
		if err != nil {
			return nil, fmt.Errorf("rules[%d].%w", i, err)
		}
		m.rules[i] = r
		m.names = m.names || r.from.needsName || r.except.needsName
	}
	return m, nil
}

// NeedsNames reports whether any pattern asks for the client's name.
func (m *Matcher) NeedsNames() bool { return m != nil && m.names }

func compileRule(r *Rule) (rule, error) {
	out := rule{verdict: r.Verdict}
	if err := checkVerdict(r.Verdict); err != nil {
		return out, fmt.Errorf("verdict: %w", err)
	}
	if len(r.From) == 0 {
		return out, fmt.Errorf("from: empty, the rule would match nobody: write any for every client")
	}
	if err := out.from.add(r.From); err != nil {
		return out, fmt.Errorf("from%w", err)
	}
	if err := out.except.add(r.Except); err != nil {
		return out, fmt.Errorf("except%w", err)
	}
	for i, p := range r.To {
		if err := checkLocal(p); err != nil {
			return out, fmt.Errorf("to[%d]: %w", i, err)
		}
		if out.to == nil {
			out.to = new(bart.Lite)
		}
		out.to.Insert(p)
	}
	return out, nil
}

func checkVerdict(v Verdict) error {
	if v != Allow && v != Deny {
		return fmt.Errorf("%q: write allow or deny", string(v))
	}
	return nil
}

// checkLocal holds To prefixes to the same canonical form as patterns.
func checkLocal(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return fmt.Errorf("not an address prefix")
	case p.Addr().Is4In6() && p.Bits() >= 96:
		return fmt.Errorf("%v: write %v", p, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked())
	case p != p.Masked():
		return fmt.Errorf("%v: host bits are set: write %v", p, p.Masked())
	}
	return nil
}

func (s *set) add(patterns []Pattern) error {
	for i, text := range patterns {
		p, err := parse(string(text))
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		if p.text != string(text) {
			return fmt.Errorf("[%d]: pattern %q is not canonical: write %s", i, string(text), p.text)
		}
		s.addOne(p)
	}
	return nil
}

func (s *set) addOne(p parsed) {
	s.needsName = s.needsName || p.needsName()
	switch p.kind {
	case kindAny:
		s.any = true
	case kindKnown:
		s.known = true
	case kindUnknown:
		s.unknown = true
	case kindParanoid:
		s.paranoid = true
	case kindPrefix:
		if s.prefixes == nil {
			s.prefixes = new(bart.Lite)
		}
		s.prefixes.Insert(p.prefix)
	case kindHost:
		if s.hosts == nil {
			s.hosts = make(map[string]struct{})
		}
		s.hosts[p.text] = struct{}{}
	case kindDomain:
		if s.domains == nil {
			s.domains = make(map[string]struct{})
		}
		s.domains[p.text] = struct{}{}
	}
}
