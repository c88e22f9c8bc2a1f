package shield

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"casemate/acl"
)

// Held is what a filter holds of a list, and what it leaves to who decides here.
type Held struct {
	// Ranges are whom the list refuses by address alone, Fit how many of them a filter holds: all, or the largest.
	Ranges, Fit int
	// Asks is what else the list decides by, about clients whom the kernel therefore lets pass: of "names", "server addresses"
	// and "times". There is none where the filter decides all that the list does.
	Asks []string
}

func (r Ranges) len() int { return len(r.IPv4) + len(r.IPv6) }

// asks is what rules ask for beside a client's address.
func asks(l *acl.List) (out []string) {
	for _, by := range []struct {
		what string
		asks func(acl.Rule) bool
	}{
		{"names", func(r acl.Rule) bool { return slices.ContainsFunc(slices.Concat(r.From, r.Except), named) }},
		{"server addresses", func(r acl.Rule) bool { return len(r.To) > 0 }},
		{"times", func(r acl.Rule) bool { return len(r.During) > 0 }},
	} {
		if slices.ContainsFunc(l.Rules, by.asks) {
			out = append(out, by.what)
		}
	}
	return out
}

func named(p acl.Pattern) bool {
	if p == acl.Any || strings.Contains(string(p), "=") {
		return false
	}
	_, addr := netip.ParseAddr(string(p))
	_, prefix := netip.ParsePrefix(string(p))
	return addr != nil && prefix != nil
}

// Words says it, for people.
func (h Held) Words() []string {
	var out []string
	switch {
	case h.Ranges == 0:
		out = append(out, "the kernel refuses nobody by the acl: it refuses nobody by address alone")
	case h.Fit == h.Ranges:
		out = append(out, fmt.Sprintf("the kernel refuses all whom the acl refuses by address alone (ranges of addresses: %d)", h.Ranges))
	default:
		out = append(out, fmt.Sprintf("the kernel refuses the largest %d of %d ranges of addresses whom the acl refuses: its filter holds no more, and the others are refused here", h.Fit, h.Ranges))
	}
	if len(h.Asks) > 0 {
		out = append(out, "the kernel knows no "+strings.Join(h.Asks, ", no ")+": whom these decide about it lets pass, and the acl is asked here")
	}
	return out
}
