package importer

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
)

// maxCompared bounds how many clients stand for all others in a comparison.
const maxCompared = 200_000

// within tells whether b admits every client whom a admits. It asks both lists about one
// client of each kind that their rules tell apart, which is exact; false also where these
// would be too many.
func within(a, b *acl.List) bool {
	if b.AllowsAll() {
		return true
	}
	if timed := func(r acl.Rule) bool { return len(r.During) > 0 }; slices.ContainsFunc(a.Rules, timed) || slices.ContainsFunc(b.Rules, timed) {
		return reflect.DeepEqual(a, b) // no kind of client is asked at every time
	}
	m, err := decide.Compile(a)
	n, err2 := decide.Compile(b)
	if err != nil || err2 != nil {
		return false
	}
	var from []acl.Pattern
	var to []netip.Prefix
	for _, r := range slices.Concat(a.Rules, b.Rules) {
		from = append(append(from, r.From...), r.Except...)
		to = append(to, r.To...)
	}
	var peers []netip.Prefix
	for _, p := range from {
		if pre, ok := prefix(p); ok {
			peers = append(peers, pre)
		}
	}
	addrs, locals, names := kinds4and6(peers), kinds4and6(to), kindsOfName(from)
	if len(addrs)*len(locals)*len(names) > maxCompared {
		return false
	}
	ok := func(c decide.Client) bool {
		return m.Decide(c).Verdict != acl.Allow || n.Decide(c).Verdict == acl.Allow
	}
	if !ok(decide.Client{Peer: "uid=0"}) { // what is imported has no rules by number
		return false
	}
	for _, addr := range addrs {
		for _, local := range locals {
			if local.Is4() != addr.Is4() {
				continue // no connection has both families
			}
			for _, name := range names {
				if !ok(decide.Client{Addr: addr, Local: local, Name: name}) {
					return false
				}
			}
		}
	}
	return true
}

// kinds4and6 are addresses, one at least of each set that prefixes cut the address space
// into: where a prefix begins, and behind its end.
func kinds4and6(list []netip.Prefix) []netip.Addr {
	out := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for _, pre := range list {
		pre = pre.Masked()
		last := pre.Addr().AsSlice()
		for i := pre.Bits(); i < len(last)*8; i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		end, _ := netip.AddrFromSlice(last) // as long as an address
		out = append(out, pre.Addr())
		if next := end.Next(); next.IsValid() {
			out = append(out, next)
		}
	}
	// What is mapped is no client's address; the one behind those is of the same set.
	for i, a := range out {
		if a.Is4In6() {
			out[i] = netip.AddrFrom16([16]byte{9: 1})
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// kindsOfName are names, one at least of each set that patterns tell apart.
func kindsOfName(list []acl.Pattern) []decide.Name {
	out := []decide.Name{{State: decide.Unknown}, {State: decide.Paranoid}, {State: decide.NoAnswer}}
	hosts := []string{"unnamed-by-any.invalid"}
	for _, p := range list {
		if domain, ok := strings.CutPrefix(string(p), "."); ok {
			hosts = append(hosts, domain, "unnamed-by-any"+string(p))
		} else if named(p) && p != acl.Any && p != acl.AnyKnown && p != acl.NoName && p != acl.BadName {
			hosts = append(hosts, string(p))
		}
	}
	slices.Sort(hosts)
	for _, h := range slices.Compact(hosts) {
		out = append(out, decide.Name{State: decide.Known, Host: h})
	}
	return out
}
