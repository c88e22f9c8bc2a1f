package lang

import (
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// prefixAnd takes a prefix and numbers from the arguments of a function.
func prefixAnd(args []value, numbers int) (p netip.Prefix, n []int64, wrong string) {
	if len(args) != 1+numbers {
		return p, nil, fmt.Sprintf("takes a prefix and %s", [...]string{1: "a number", 2: "two numbers"}[numbers])
	}
	p, err := netip.ParsePrefix(args[0].s)
	switch {
	case args[0].kind != kindString:
		return p, nil, "takes a prefix, not " + args[0].describe()
	case err != nil || p.Addr().Is4In6():
		return p, nil, args[0].describe() + " is no prefix"
	case p != p.Masked():
		return p, nil, fmt.Sprintf("%s has bits set behind the prefix, which is %s", args[0].describe(), p.Masked())
	}
	for _, a := range args[1:] {
		if a.kind != kindNumber {
			return p, nil, "takes a number there, not " + a.describe()
		}
		n = append(n, a.n)
	}
	return p, n, ""
}

// plus is the address that n in the bits that end in front of the last `behind` ones makes of an address without them.
func plus(a netip.Addr, n uint64, behind int) netip.Addr {
	b := a.As16()
	for i := range bits.Len64(n) {
		if at := 127 - behind - i; n>>i&1 == 1 {
			b[at/8] |= 1 << (7 - at%8)
		}
	}
	if out := netip.AddrFrom16(b); a.Is4() {
		return out.Unmap()
	}
	return netip.AddrFrom16(b)
}

func cidrhost(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	const next = `write cidrhost("192.0.2.0/24", 66)`
	p, n, wrong := prefixAnd(args, 1)
	if wrong != "" {
		return value{}, wrong, next
	}
	if free := p.Addr().BitLen() - p.Bits(); bits.Len64(uint64(n[0])) > free {
		return value{}, fmt.Sprintf("%s has no address of number %d", p, n[0]), next
	}
	return value{kind: kindString, s: plus(p.Addr(), uint64(n[0]), 0).String()}, "", ""
}

func cidrsubnet(_ *compiler, _ hcl.Range, args []value) (value, string, string) {
	const next = `write cidrsubnet("2001:db8::/32", 16, 10): the prefix, how many bits longer, which one of those`
	p, n, wrong := prefixAnd(args, 2)
	if wrong != "" {
		return value{}, wrong, next
	}
	size := p.Addr().BitLen()
	switch {
	case n[0] < 1 || n[0] > int64(size-p.Bits()):
		return value{}, fmt.Sprintf("%s cannot be %d bits longer", p, n[0]), next
	case bits.Len64(uint64(n[1])) > int(n[0]):
		return value{}, fmt.Sprintf("%d more bits have no number %d", n[0], n[1]), next
	}
	long := p.Bits() + int(n[0])
	return value{kind: kindString, s: netip.PrefixFrom(plus(p.Addr(), uint64(n[1]), size-long), long).String()}, "", ""
}
