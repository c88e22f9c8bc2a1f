package lint

import (
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/limit"
	"casemate/acl/reach"
	"casemate/acl/shield"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/valid"
)

// exempt looks at whom a limit exempts: everybody, or somebody of whom nothing would be counted anyhow, or who gets in nowhere.
func (l *linter) exempt(lim *limit.Spec) {
	at := "limits." + lim.Name + ".exempt"
	if len(lim.Exempt) == 0 {
		return
	}
	if reach.OfPrefixes(lim.Exempt).World() {
		l.add(codeExemptsAll, "", at, "exempt the networks that need it, or leave out what is counted of each source", "limit %q exempts most of the internet: what it counts of each source holds for hardly any", lim.Name)
		return
	}
	users := slices.DeleteFunc(slices.Clone(l.policy.Services), func(s policy.Service) bool { return s.Limit != lim.Name })
	if len(users) == 0 {
		return // which is told of it
	}
	if users = slices.DeleteFunc(users, func(s policy.Service) bool { return !counts(&s, lim) }); len(users) == 0 {
		l.add(codeExemptsNone, "", at, "write per_source or penalty as well, or leave exempt out", "limit %q counts nothing of a source from which one could be exempt", lim.Name)
		return
	}
	for i, p := range lim.Exempt {
		if !slices.ContainsFunc(users, func(s policy.Service) bool { return l.admits(s.ACL, p) }) {
			l.add(codeExemptsNone, "", path(at, i), "remove it, or admit it", "limit %q exempts %s, and no service that has the limit admits anybody of it", lim.Name, explain.Prefixes(lim.Exempt[i : i+1])[0])
		}
	}
}

// counts tells whether anything is counted of the sources of a service's clients.
func counts(s *policy.Service, l *limit.Spec) bool {
	h := explain.Held(s, *l)
	per := &h.PerSource
	return !(s.Wait && s.Builtin == "") && (per.Concurrent > 0 || per.Rate.Events > 0 || len(h.Penalty.On) > 0 || h.Queue > 0) || valid.Responds(s)
}

// admits tells whether an acl admits anybody of a network, under any circumstances; where nobody can tell it may.
func (l *linter) admits(name string, network netip.Prefix) bool {
	list := l.list(name)
	if list == nil {
		return false
	}
	table := l.tables[name]
	if table == nil {
		var err error
		if table, err = reach.New(list); err != nil {
			return true
		}
		l.tables[name] = table
	}
	parts, err := table.Parts(reach.OfPrefixes([]netip.Prefix{network}))
	return err != nil || slices.ContainsFunc(parts, func(p reach.Part) bool { return p.Verdict == acl.Allow })
}

// silent looks at an acl that the kernel's filter is to hold and cannot. Where the filter is all that holds clients to it, that is an error
// (valid.Check).
func (l *linter) silent(s *service) {
	list := l.list(s.ACL)
	if !s.Shielded() || s.Screened() || list == nil {
		return
	}
	_, held, err := shield.Refused(list)
	at := s.at + ".refuse"
	switch {
	case err != nil:
		l.add(codeNotHeld, s.Name, at, "write fewer rules that decide by names, server addresses and times at once", "the kernel refuses nobody for service %q, for nobody can tell whom acl %q refuses by address alone: %v", s.Name, s.ACL, err)
	case held.Ranges == 0 && len(held.Asks) > 0:
		l.add(codeNotHeld, s.Name, at, "name addresses as well, as from = [\"192.0.2.0/24\", ...] of deny rules or of what is allowed", "the kernel refuses nobody for service %q: acl %q refuses nobody by address alone, but by %s", s.Name, s.ACL, strings.Join(held.Asks, ", "))
	case held.Fit < held.Ranges:
		l.add(codeNotHeld, s.Name, at, "write larger networks, or leave it: the others are refused without the kernel", "the kernel holds %d of the %d ranges of addresses that acl %q refuses: the largest, and what comes from the others costs service %q a connection each", held.Fit, held.Ranges, s.ACL, s.Name)
	}
}
