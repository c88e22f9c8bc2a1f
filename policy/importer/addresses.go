package importer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
	"casemate/acl/pattern"
	"casemate/policy/hostsaccess"
)

// access is who may connect as xinetd has it: whoever no_access matches may not, and where
// there is an only_from, nobody else than whom that matches. The manual has the closer match
// win instead; the program does not.
type access struct {
	limited bool // only those of allow are admitted
	allow   []acl.Pattern
	deny    []acl.Pattern
}

// prefix is a pattern's, or none of a name.
func prefix(p acl.Pattern) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(string(p)); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	pre, err := netip.ParsePrefix(string(p))
	return pre, err == nil
}

func named(p acl.Pattern) bool { _, ok := prefix(p); return !ok }

// rules are the same as rules that deny. Who gets by is admitted, or asks the rules behind
// them.
func (a *access) rules() (out []acl.Rule) {
	if len(a.deny) > 0 {
		r := acl.Rule{Verdict: acl.Deny, From: a.deny}
		if slices.ContainsFunc(a.deny, named) {
			// The name that xinetd asks for need not lead back to the address: who has such a one is denied.
			r.From = append(slices.Clone(a.deny), acl.BadName)
		}
		out = append(out, r)
	}
	if a.limited {
		out = append(out, acl.Rule{Verdict: acl.Deny, From: []acl.Pattern{acl.Any}, Except: a.allow})
	}
	return out
}

// list is the acl of an access, and what hosts.allow and hosts.deny say of the daemon.
func (a *access) list(hosts *acl.List) acl.List {
	l := acl.List{Default: acl.Deny}
	switch {
	case hosts == nil && a.limited && len(a.deny) == 0:
		if len(a.allow) > 0 {
			l.Rules = []acl.Rule{{Verdict: acl.Allow, From: a.allow}}
		}
	case hosts == nil:
		l.Rules, l.Default = a.rules(), acl.Allow
	default:
		l.Rules, l.Default = append(a.rules(), hosts.Rules...), hosts.Default
	}
	return l
}

// xAddress reads one address of only_from or no_access. what says why there is none.
func xAddress(s string) (out []acl.Pattern, what, instead string) {
	if strings.ContainsAny(s, "{}") {
		return factorized(s)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		switch {
		case a.Zone() != "" || a.Is4In6():
			return nil, "has a scope, or is an IPv4 address written as IPv6", "write the address alone"
		case a.Is4():
			return wildOctets(a), "", ""
		case a.IsUnspecified():
			return nil, "is compared with :: alone, and matches nobody", "write ::/0"
		}
		return []acl.Pattern{acl.Pattern(a.String())}, "", ""
	}
	if strings.Contains(s, "/") {
		pre, err := netip.ParsePrefix(s)
		switch {
		case err != nil || pre.Addr().Is4In6():
			return nil, "is no network", "write address/length"
		case pre.Bits() == 128:
			return nil, "is taken for a name and matches nobody", "write the address alone"
		}
		if mapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}); pre.Contains(mapped) && pre.Addr().Is6() {
			// IPv4 clients are such addresses on the sockets that xinetd opens.
			return append(one(pre.Masked()), "0.0.0.0/0"), "", ""
		}
		return one(pre.Masked()), "", ""
	}
	if strings.Trim(s, "0123456789.") == "" {
		return nil, "is no address", "write four numbers, or address/length"
	}
	p, err := pattern.Parse(s)
	switch {
	case err != nil || strings.Contains(s, "=") || p == acl.Any || p == acl.AnyKnown || p == acl.NoName || p == acl.BadName:
		return nil, "is neither an address nor a name that a policy takes: a network of /etc/networks, perhaps", "write the addresses"
	case p == "localhost":
		return []acl.Pattern{"127.0.0.1", "::1"}, "", ""
	}
	return []acl.Pattern{p}, "", ""
}

func one(pre netip.Prefix) []acl.Pattern {
	if pre.IsSingleIP() && !pre.Addr().IsUnspecified() {
		return []acl.Pattern{acl.Pattern(pre.Addr().String())}
	}
	return []acl.Pattern{acl.Pattern(pre.String())}
}

// wildOctets: zeros at the end of an address stand for any number.
func wildOctets(a netip.Addr) []acl.Pattern {
	b, bits := a.As4(), 32
	for i := 3; i >= 0 && b[i] == 0; i-- {
		bits -= 8
	}
	return one(netip.PrefixFrom(a, bits))
}

// factorized reads 128.138.{12,204}: the last numbers, one of several.
func factorized(s string) (out []acl.Pattern, what, instead string) {
	const none, write = "is no list of addresses", "write each address"
	before, rest, ok := strings.Cut(s, "{")
	list, after, ok2 := strings.Cut(rest, "}")
	parts := strings.Split(strings.TrimSuffix(before, "."), ".")
	if !ok || !ok2 || after != "" || !strings.HasSuffix(before, ".") || len(parts) > 3 || list == "" {
		return nil, none, write
	}
	for _, n := range strings.Split(list, ",") {
		numbers := append(slices.Clone(parts), n)
		bits := 8 * len(numbers)
		for len(numbers) < 4 {
			numbers = append(numbers, "0")
		}
		a, err := netip.ParseAddr(strings.Join(numbers, "."))
		if v, nerr := strconv.ParseUint(n, 10, 8); err != nil || nerr != nil || v == 0 { // 0 stands for more
			return nil, none, write
		}
		out = append(out, one(netip.PrefixFrom(a, bits))...)
	}
	return out, "", ""
}

// aclUnit writes an acl of its own for a service.
func (p *page) aclUnit(name string, l acl.List, origins map[int]string) {
	p.open("acl %q", name)
	if l.Default == acl.Allow {
		p.attr("default", quote("allow"))
	}
	if slices.ContainsFunc(l.Rules, func(r acl.Rule) bool { return len(r.During) > 0 }) && l.Zone != nil {
		p.attr("zone", quote(l.Zone.Name))
	}
	ended := false
	for i := range l.Rules {
		if origins[i] != "" {
			p.comment("%s", origins[i])
		}
		ended = p.reached(&l.Rules[i], ended)
	}
	p.close()
	p.b.WriteByte('\n')
}

// tables are hosts.allow and hosts.deny, where an import has them.
type tables struct {
	allow, deny *hostsaccess.Table
	rules       *hostsaccess.Rules
	used        map[*hostsaccess.Rule]bool
}

// list is what the tables say of a daemon at a port, and where; nil without tables.
func (t *tables) list(daemon string, port int) (*acl.List, []string) {
	if t == nil {
		return nil, nil
	}
	l, origins := t.rules.List(daemon, port)
	var where []string
	for _, o := range origins {
		if o.Rule == nil {
			where = append(where, o.Table.Name)
			continue
		}
		t.used[o.Rule] = true
		where = append(where, fmt.Sprintf("%s:%d: %s", o.Table.Name, o.Rule.Line, o.Rule.Text))
	}
	return &l, where
}

// parseAddr reads an address to listen on, in its one spelling.
func parseAddr(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return "", fmt.Errorf("%q is no address to listen on", s)
	}
	return a.String(), nil
}
