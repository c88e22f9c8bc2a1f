package decide

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"casemate/acl"

	"github.com/gaissmai/bart"
)

// Matcher is a compiled List. It does not change and may be used from several
// goroutines. The nil Matcher is that of a service without an acl.
type Matcher struct {
	rules []rule
	def   acl.Verdict
	zone  *acl.Zone
}

// rule is a Rule whose patterns are sets.
type rule struct {
	verdict acl.Verdict
	from    set
	except  set
	to      *bart.Lite // nil is any
	during  []acl.Span // nil is always
}

// set is a pattern list ready for matching.
type set struct {
	any       bool
	known     bool
	unknown   bool
	paranoid  bool
	needsName bool
	prefixes  *bart.Lite // nil is none
	peers     map[acl.Pattern]struct{}
	hosts     map[string]struct{}
	domains   map[string]struct{} // with the leading dot
}

// Compile checks l and prepares it for matching. Every pattern must be in its
// canonical spelling (what package pattern returns), every verdict and the default
// must be allow or deny, a rule needs a From. A nil List is a service without
// an acl: its Matcher, nil too, denies everyone with rule RuleNoACL.
func Compile(l *acl.List) (*Matcher, error) {
	if l == nil {
		return nil, nil
	}
	if err := checkVerdict(l.Default); err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	m := &Matcher{def: l.Default, rules: make([]rule, len(l.Rules)), zone: l.Zone}
	for i := range l.Rules {
		r, err := compileRule(&l.Rules[i])
		if err != nil {
			return nil, fmt.Errorf("rules[%d].%w", i, err)
		}
		m.rules[i] = r
	}
	return m, nil
}

func compileRule(r *acl.Rule) (rule, error) {
	out := rule{verdict: r.Verdict, during: r.During}
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
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return out, fmt.Errorf("to[%d]: %v is not canonical", i, p)
		}
		if out.to == nil {
			out.to = new(bart.Lite)
		}
		out.to.Insert(p)
	}
	return out, nil
}

func checkVerdict(v acl.Verdict) error {
	if v != acl.Allow && v != acl.Deny {
		return fmt.Errorf("%q: write allow or deny", string(v))
	}
	return nil
}

// add reads patterns as package pattern spells them. What is not one of its
// spellings is an error: it could match otherwise than it reads.
func (s *set) add(patterns []acl.Pattern) error {
	for i, p := range patterns {
		if !s.addWord(p) && !s.addPeer(p) && !s.addPrefix(string(p)) && !s.addName(string(p)) {
			return fmt.Errorf("[%d]: pattern %q is not canonical, or none", i, p)
		}
	}
	return nil
}

func (s *set) addWord(p acl.Pattern) bool {
	switch p {
	case acl.Any:
		s.any = true
		return true
	case acl.AnyKnown:
		s.known = true
	case acl.NoName:
		s.unknown = true
	case acl.BadName:
		s.paranoid = true
	default:
		return false
	}
	s.needsName = true
	return true
}

// addPeer takes a user or a machine by its number, which is never the one that stands for all or none.
func (s *set) addPeer(p acl.Pattern) bool {
	kind, text, _ := strings.Cut(string(p), "=")
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == math.MaxUint32 || strconv.FormatUint(n, 10) != text || kind != "uid" && kind != "cid" {
		return false
	}
	if s.peers == nil {
		s.peers = make(map[acl.Pattern]struct{})
	}
	s.peers[p] = struct{}{}
	return true
}

// addPrefix takes a prefix, or one address, in its one spelling.
func (s *set) addPrefix(text string) bool {
	p, err := netip.ParsePrefix(text)
	if a, aerr := netip.ParseAddr(text); aerr == nil {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
		if a.IsUnspecified() || a.Zone() != "" || a.String() != text {
			return false
		}
	} else if err != nil || p.IsSingleIP() || p.String() != text {
		return false
	}
	if p.Addr().Is4In6() || p != p.Masked() {
		return false
	}
	if s.prefixes == nil {
		s.prefixes = new(bart.Lite)
	}
	s.prefixes.Insert(p)
	return true
}

// addName takes a host name or, with its leading dot, a domain. A word without a dot is
// no name, and a name does not end like an address.
func (s *set) addName(text string) bool {
	dot := strings.LastIndexByte(text, '.')
	if !HostText(strings.TrimPrefix(text, ".")) || strings.Trim(text[dot+1:], "0123456789") == "" || dot < 0 && text != "localhost" {
		return false
	}
	names := &s.hosts
	if text[0] == '.' {
		names = &s.domains
	}
	if *names == nil {
		*names = make(map[string]struct{})
	}
	(*names)[text] = struct{}{}
	s.needsName = true
	return true
}
