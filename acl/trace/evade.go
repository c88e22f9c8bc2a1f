package trace

import (
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
)

// Evadable reports whether a client can get on the better side of r by having
// no confirmed name, which is in its own hands: whoever runs a reverse zone can
// empty it. That is so for a deny rule that names hosts or domains, and for an
// allow rule that excepts them, unless the same patterns also hold unknown and
// paranoid (or every address), or the rule admits nobody without a name anyway.
// An evadable rule keeps out the honest alone.
func Evadable(r *acl.Rule) bool {
	patterns := r.From
	if r.Verdict == acl.Allow {
		nameless := func(p acl.Pattern) bool {
			return p == acl.Any || p == acl.NoName || p == acl.BadName || address(p)
		}
		if !slices.ContainsFunc(r.From, nameless) {
			return false
		}
		patterns = r.Except
	}
	named := slices.ContainsFunc(patterns, func(p acl.Pattern) bool {
		return p != acl.Any && p != acl.NoName && p != acl.BadName && !address(p)
	})
	return named && !slices.Contains(patterns, acl.Any) &&
		!(slices.Contains(patterns, acl.NoName) && slices.Contains(patterns, acl.BadName))
}

// NeedsNames reports whether any pattern of a valid list asks for the client's name.
func NeedsNames(l *acl.List) bool {
	names := func(p acl.Pattern) bool { return p != acl.Any && !address(p) }
	return l != nil && slices.ContainsFunc(l.Rules, func(r acl.Rule) bool {
		return slices.ContainsFunc(r.From, names) || slices.ContainsFunc(r.Except, names)
	})
}

// address tells whether a valid pattern is about no names: an address, a prefix, or the number of a peer.
func address(p acl.Pattern) bool {
	if strings.Contains(string(p), "=") {
		return true
	}
	if _, err := netip.ParseAddr(string(p)); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(string(p))
	return err == nil
}
