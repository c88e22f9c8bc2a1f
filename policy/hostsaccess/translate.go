package hostsaccess

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
	"casemate/acl/pattern"
)

// clients says a client list as rules of one verdict. What cannot be said is left out where
// it would admit, and everybody where it would deny.
//
// "a EXCEPT b EXCEPT c" is a without b, and those of c that are in a: two rules.
func (t *translator) clients(l *List, v acl.Verdict) (out []acl.Rule) {
	from, whole := t.patterns(l.Patterns)
	if !whole && v == acl.Deny {
		from = []acl.Pattern{acl.Any}
	}
	if len(from) == 0 {
		return nil
	}
	r := acl.Rule{Verdict: v, From: from}
	if l.Except == nil {
		return []acl.Rule{r}
	}
	except, whole := t.patterns(l.Except.Patterns)
	if !whole && v == acl.Allow {
		return nil
	}
	r.Except = except
	if !slices.Contains(except, acl.Any) {
		out = append(out, r)
	}
	if l.Except.Except == nil {
		return out
	}
	back, ok := t.within(from, l.Except.Except, v)
	if !ok {
		t.fault(Lost, "write it as rules of their own, one after the other", "an EXCEPT of an EXCEPT does not lie within the first list")
		if v == acl.Deny {
			return []acl.Rule{{Verdict: v, From: from}}
		}
	}
	return append(out, back...)
}

// within says a list that is part of from.
func (t *translator) within(from []acl.Pattern, l *List, v acl.Verdict) ([]acl.Rule, bool) {
	inner := t.clients(l, v)
	if slices.Contains(from, acl.Any) {
		return inner, true
	}
	for i := range inner {
		r := &inner[i]
		if slices.Contains(r.From, acl.Any) {
			r.From = from
			continue
		}
		var both []acl.Pattern
		for _, p := range r.From {
			for _, q := range from {
				pp, ok := prefixOf(p)
				qq, ok2 := prefixOf(q)
				switch {
				case p == q:
					both = append(both, p)
				case !ok || !ok2:
					return nil, false
				case pp.Overlaps(qq) && pp.Bits() >= qq.Bits():
					both = append(both, p)
				case pp.Overlaps(qq):
					both = append(both, q)
				}
			}
		}
		r.From = both
	}
	return slices.DeleteFunc(inner, func(r acl.Rule) bool { return len(r.From) == 0 }), true
}

func prefixOf(p acl.Pattern) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(string(p)); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	pre, err := netip.ParsePrefix(string(p))
	return pre, err == nil
}

// patterns translates client patterns; whole is false where one is lost.
func (t *translator) patterns(words []string) (out []acl.Pattern, whole bool) {
	whole = true
	for _, w := range words {
		p, kind, what, instead := clientPattern(w)
		if what != "" {
			t.fault(kind, instead, "%q %s", w, what)
			whole = whole && kind != Lost
		}
		if p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, whole
}

// clientPattern is one client pattern in the policy's spelling. Where what says something
// and the kind is Quirk, the pattern decides as libwrap's does: "" never matches.
func clientPattern(w string) (p acl.Pattern, kind Kind, what, instead string) {
	user, host, at := cutAt(w)
	if at && equal(user, "ALL") {
		w = host
	} else if at && w[0] != '@' {
		return "", Lost, "asks for a user, which is the client's own word", "write ALL@ or the host alone"
	}
	switch {
	case w == "":
		return "", Quirk, "matches nobody", "write ALL"
	case strings.HasPrefix(w, "@"):
		return "", Lost, "is a netgroup", "write its hosts themselves: addresses, or full names"
	case strings.HasPrefix(w, "/"):
		return "", Lost, "is a file of patterns", "write the patterns themselves"
	case equal(w, "ALL"):
		return acl.Any, "", "", ""
	case equal(w, "KNOWN"):
		return acl.AnyKnown, "", "", ""
	case equal(w, "UNKNOWN"):
		return acl.NoName, "", "", ""
	case equal(w, "PARANOID"):
		return acl.BadName, "", "", ""
	case equal(w, "LOCAL"):
		return "", Lost, "stands for names without a dot", "write the names, or the addresses of the local network"
	}
	if net, mask, ok := cut(w, '/'); ok {
		return netPattern(net, mask)
	}
	return hostPattern(w)
}

// hostPattern is a pattern without a mask.
func hostPattern(w string) (p acl.Pattern, kind Kind, what, instead string) {
	numeric := strings.Trim(w, "0123456789.") == ""
	switch {
	case strings.ContainsAny(w, "*?"):
		if domain, ok := strings.CutPrefix(w, "*."); ok && !strings.ContainsAny(domain, "*?") && strings.Trim(domain, "0123456789.") != "" {
			return namePattern("." + domain)
		}
		if strings.Trim(w, "0123456789.*?") == "" && strings.Trim(w, "*?") != "" {
			return "", Lost, "matches host names as well as addresses, and whoever owns a reverse zone chooses those", "write a net, as 192.0.2.0/24"
		}
		return "", Lost, "is a wildcard within a name", "write ALL, .domain, or whole names"
	case numeric && w[0] == '.':
		return "", Lost, "matches the end of an address", "write a net, as 192.0.2.0/24"
	case numeric && strings.HasSuffix(w, "."):
		return leadingNumbers(w)
	case strings.HasSuffix(w, "."):
		return "", Lost, "matches the beginning of a name", "write .domain, or whole names"
	case strings.HasPrefix(w, "[") && strings.HasSuffix(w, "]"):
		a, err := netip.ParseAddr(w[1 : len(w)-1])
		switch {
		case err != nil || !a.Is6():
			return "", Quirk, "is no IPv6 address and matches nobody", "write [2001:db8::1]"
		case a.Zone() != "":
			return "", Lost, "has a scope, which libwrap compares with nothing", "write the address without %scope"
		case a.Is4In6():
			return "", Quirk, "never matches: such clients are compared as IPv4", "write " + a.Unmap().String()
		case a.IsUnspecified():
			return "", Quirk, "is nobody's address", "write [::]/0 for every IPv6 client"
		}
		return acl.Pattern(a.String()), "", "", ""
	case numeric:
		a, err := netip.ParseAddr(w)
		if err != nil || a.IsUnspecified() {
			return "", Quirk, "is compared as text with four decimal numbers, and matches nobody", "write four numbers without leading zeros, or as many as are known and a dot"
		}
		return acl.Pattern(a.String()), "", "", ""
	}
	return namePattern(w)
}

// namePattern is a host or a domain.
func namePattern(w string) (acl.Pattern, Kind, string, string) {
	p, err := pattern.Parse(w)
	if err == nil && strings.HasPrefix(string(p), "local.") {
		return p, Quirk, "is the name of a host to a table, and no list of locals", "write its addresses themselves"
	}
	if err == nil && p != acl.Any && !strings.Contains(w, "=") {
		return p, "", "", ""
	}
	return "", Lost, "is no name that a policy takes", "write a full host name, .domain or an address"
}

// leadingNumbers are the first numbers of an IPv4 address with a dot.
func leadingNumbers(w string) (acl.Pattern, Kind, string, string) {
	parts := strings.Split(strings.TrimSuffix(w, "."), ".")
	a, err := netip.ParseAddr(strings.Join(append(parts, "0", "0", "0", "0")[:4], "."))
	if len(parts) > 3 || err != nil {
		return "", Quirk, "is the beginning of no address", "write a net, as 192.0.2.0/24"
	}
	return acl.Pattern(netip.PrefixFrom(a, 8*len(parts)).String()), "", "", ""
}

// netPattern is a network with its mask.
func netPattern(net, mask string) (p acl.Pattern, kind Kind, what, instead string) {
	if strings.HasPrefix(net, "[") {
		return net6(net, mask)
	}
	a, err := netip.ParseAddr(net)
	bits, ok := maskBits(mask)
	want, valid := quad(net)
	never := func(what, instead string) (acl.Pattern, Kind, string, string) { return "", Quirk, what, instead }
	switch {
	case !valid:
		return never("is no network and matches nobody", "write four decimal numbers and a length, as 192.0.2.0/24")
	case err != nil:
		return "", Lost, "has octal or hexadecimal numbers", "write " + netip.AddrFrom4([4]byte{byte(want >> 24), byte(want >> 16), byte(want >> 8), byte(want)}).String()
	case mask == "255.255.255.255":
		return never("never matches: libwrap does not take that mask", "write "+a.String())
	case mask == "0.0.0.0" && a.IsUnspecified():
		return "0.0.0.0/0", "", "", ""
	case mask == "0" || mask == "0.0.0.0":
		return never("never matches", "write 0.0.0.0/0.0.0.0 for every IPv4 client")
	case !ok:
		if _, dotted := quad(mask); dotted || atoi(mask) >= 1 && atoi(mask) <= 32 {
			return "", Lost, "has a mask with holes, or with more than a number in it", "write a length from 1 to 32"
		}
		return never("has no mask and matches nobody", "write a length from 1 to 32")
	}
	pre := netip.PrefixFrom(a, bits)
	if pre != pre.Masked() {
		return never("has bits of a host in it, and never matches", "write "+pre.Masked().String()+", or "+a.String()+" for the one address")
	}
	switch {
	case bits == 32 && a.IsUnspecified():
		return never("is nobody's address", "write 0.0.0.0/0.0.0.0 for every IPv4 client")
	case bits == 32:
		return acl.Pattern(a.String()), "", "", ""
	}
	return acl.Pattern(pre.String()), "", "", ""
}

// maskBits are the bits of a mask that is plain: a number without more, or a dotted mask
// without holes.
func maskBits(mask string) (int, bool) {
	if n, err := strconv.Atoi(mask); err == nil {
		return n, strconv.Itoa(n) == mask && n >= 1 && n <= 32
	}
	a, err := netip.ParseAddr(mask)
	if err != nil || !a.Is4() {
		return 0, false
	}
	for n := 1; n < 32; n++ {
		if m := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), n).Masked().Addr(); m == a {
			return n, true
		}
	}
	return 0, false
}

func net6(net, mask string) (acl.Pattern, Kind, string, string) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(net, "["), "]"))
	n, nerr := strconv.Atoi(mask)
	switch {
	case err != nil || !a.Is6() || !strings.HasSuffix(net, "]"):
		return "", Quirk, "is no IPv6 network and matches nobody", "write [2001:db8::]/32"
	case a.Zone() != "":
		return "", Lost, "has a scope, which libwrap compares with nothing", "write the network without %scope"
	case nerr != nil || strconv.Itoa(n) != mask || len(mask) > 3:
		return "", Lost, "has a length that is no plain number, which may stand for every address", "write a length from 0 to 128"
	case n < 0 || n > 128:
		return "", Quirk, "has a length that matches nobody", "write a length from 0 to 128"
	}
	pre := netip.PrefixFrom(a, n).Masked()
	switch {
	case pre.Addr().Is4In6():
		return "", Quirk, "never matches: such clients are compared as IPv4", "write the IPv4 network"
	case n == 128 && pre.Addr().IsUnspecified():
		return "", Quirk, "is nobody's address", "write [::]/0 for every IPv6 client"
	case n == 128:
		return acl.Pattern(pre.Addr().String()), "", "", ""
	}
	return acl.Pattern(pre.String()), "", "", ""
}
