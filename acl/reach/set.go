package reach

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"casemate/acl"
)

// Kind is what a client has in place of a name.
type Kind uint8

// The kinds, in the order of points.
const (
	IPv4    Kind = iota
	IPv6         // without IPv4-mapped addresses: they are IPv4
	User         // of a unix socket
	Machine      // of a vsock
	kinds
)

// Point is one client's address, or the number of its user or machine.
type Point struct {
	Kind   Kind
	hi, lo uint64
}

// Span is all points from First to Last, which are of one kind.
type Span struct{ First, Last Point }

// Set is points as spans: in order, apart from each other, and no two of one kind side by side.
type Set []Span

func (p Point) compare(o Point) int {
	return cmp.Or(cmp.Compare(p.Kind, o.Kind), cmp.Compare(p.hi, o.hi), cmp.Compare(p.lo, o.lo))
}

// next and prev stay in the kind: who calls knows that there is one.
func (p Point) next() Point {
	lo, carry := bits.Add64(p.lo, 1, 0)
	return Point{p.Kind, p.hi + carry, lo}
}

func (p Point) prev() Point {
	lo, borrow := bits.Sub64(p.lo, 1, 0)
	return Point{p.Kind, p.hi - borrow, lo}
}

// first and last are the ends of a kind. The number that stands for all users, or machines, is nobody's.
func first(k Kind) Point { return Point{Kind: k} }

func last(k Kind) Point {
	switch k {
	case IPv4:
		return Point{k, 0, math.MaxUint32}
	case IPv6:
		return Point{k, math.MaxUint64, math.MaxUint64}
	}
	return Point{k, 0, math.MaxUint32 - 1}
}

// Whole is everybody of these kinds.
func Whole(of ...Kind) Set {
	var out Set
	for _, k := range of {
		out = append(out, Span{first(k), last(k)})
	}
	return normal(out)
}

// AtAddr is the point of an address in its one spelling.
func AtAddr(a netip.Addr) Point {
	if a.Is4() {
		b := a.As4()
		return Point{IPv4, 0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Point{IPv6, binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Addr is the address of a point of IPv4 or IPv6.
func (p Point) Addr() netip.Addr {
	if p.Kind == IPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(p.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.hi)
	binary.BigEndian.PutUint64(b[8:], p.lo)
	return netip.AddrFrom16(b)
}

// Peer is the pattern of a point of User or Machine, "" of an address.
func (p Point) Peer() acl.Pattern {
	switch p.Kind {
	case User:
		return acl.Pattern("uid=" + strconv.FormatUint(p.lo, 10))
	case Machine:
		return acl.Pattern("cid=" + strconv.FormatUint(p.lo, 10))
	}
	return ""
}

func (p Point) String() string {
	if peer := p.Peer(); peer != "" {
		return string(peer)
	}
	return p.Addr().String()
}

// OfPrefix is all addresses of a canonical prefix.
func OfPrefix(p netip.Prefix) Span {
	a := AtAddr(p.Addr())
	z := a
	switch host := p.Addr().BitLen() - p.Bits(); {
	case host > 64:
		z.hi, z.lo = z.hi|(1<<(host-64)-1), math.MaxUint64
	case host == 64:
		z.lo = math.MaxUint64
	default:
		z.lo |= 1<<host - 1
	}
	return Span{a, z}
}

// OfPrefixes is all addresses of canonical prefixes.
func OfPrefixes(list []netip.Prefix) Set {
	out := make([]Span, len(list))
	for i, p := range list {
		out[i] = OfPrefix(p)
	}
	return normal(out)
}

// Of is the clients that a canonical pattern names by address or number. ok is false of one that
// is about names, or everybody.
func Of(pattern acl.Pattern) (s Span, ok bool) {
	text := string(pattern)
	if kind, number, is := strings.Cut(text, "="); is {
		n, err := strconv.ParseUint(number, 10, 32)
		p := Point{User, 0, n}
		if kind == "cid" {
			p.Kind = Machine
		}
		return Span{p, p}, err == nil
	}
	if c := text[0]; c != ':' && (c < '0' || c > '9') && !strings.Contains(text, ":") {
		return s, false // most names
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return Span{AtAddr(a), AtAddr(a)}, true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return s, false
	}
	return OfPrefix(p), true
}

// normal makes a Set of any spans, which it sorts in place.
func normal(list []Span) Set {
	slices.SortFunc(list, func(a, b Span) int { return a.First.compare(b.First) })
	out := list[:0]
	for _, s := range list {
		if n := len(out); n > 0 && out[n-1].touches(s) {
			if s.Last.compare(out[n-1].Last) > 0 {
				out[n-1].Last = s.Last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// touches tells whether o, which does not begin before s, begins in it or right behind it.
func (s Span) touches(o Span) bool {
	if s.First.Kind != o.First.Kind {
		return false
	}
	return s.Last == last(s.First.Kind) || o.First.compare(s.Last.next()) <= 0
}

// Union is whoever is in any of the sets.
func Union(sets ...Set) Set {
	var all []Span
	for _, s := range sets {
		all = append(all, s...)
	}
	return normal(all)
}

// Intersect is whoever is in both.
func (s Set) Intersect(o Set) (out Set) {
	for i, k := 0, 0; i < len(s) && k < len(o); {
		a, b := s[i].First, s[i].Last
		if o[k].First.compare(a) > 0 {
			a = o[k].First
		}
		if o[k].Last.compare(b) < 0 {
			b = o[k].Last
		}
		if a.Kind == b.Kind && a.compare(b) <= 0 {
			out = append(out, Span{a, b})
		}
		if s[i].Last.compare(o[k].Last) < 0 {
			i++
		} else {
			k++
		}
	}
	return out
}

// Minus is whoever is in s and not in o.
func (s Set) Minus(o Set) (out Set) {
	k := 0
	for _, span := range s {
		for k < len(o) && o[k].Last.compare(span.First) < 0 {
			k++
		}
		gone := false
		for j := k; j < len(o) && o[j].First.compare(span.Last) <= 0; j++ {
			if o[j].First.compare(span.First) > 0 {
				out = append(out, Span{span.First, o[j].First.prev()})
			}
			if gone = o[j].Last.compare(span.Last) >= 0; gone {
				break
			}
			span.First = o[j].Last.next()
		}
		if !gone {
			out = append(out, span)
		}
	}
	return out
}

// Contains tells whether a point is in s.
func (s Set) Contains(p Point) bool {
	i, found := slices.BinarySearchFunc(s, p, func(span Span, p Point) int { return span.First.compare(p) })
	return found || i > 0 && p.compare(s[i-1].Last) <= 0
}

// Only is what of s is of a kind.
func (s Set) Only(k Kind) Set { return s.Intersect(Whole(k)) }

// Count is how many points of a kind are in s.
func (s Set) Count(k Kind) *big.Int {
	n, one := new(big.Int), new(big.Int)
	for _, span := range s {
		if span.First.Kind == k {
			n.Add(n, one.SetInt64(1)).Add(n, span.Last.number().Sub(span.Last.number(), span.First.number()))
		}
	}
	return n
}

// internet is the part of IPv6 that is given out.
var internet = Set{OfPrefix(netip.MustParsePrefix("2000::/3"))}

// World tells whether s holds most of the addresses of IPv4, or of the internet's IPv6.
func (s Set) World() bool {
	half := func(bits uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), bits-1) }
	return s.Count(IPv4).Cmp(half(32)) >= 0 || s.Intersect(internet).Count(IPv6).Cmp(half(125)) >= 0
}

func (p Point) number() *big.Int {
	n := new(big.Int).SetUint64(p.hi)
	return n.Lsh(n, 64).Add(n, new(big.Int).SetUint64(p.lo))
}

// Patterns are the fewest prefixes and addresses that hold exactly the addresses of s, and numbers of users and
// machines as patterns or, where they are more than one, as uid=FIRST-LAST.
func (s Set) Patterns() (out []string) {
	for _, span := range s {
		if k := span.First.Kind; k == User || k == Machine {
			text := span.First.String()
			if span.First != span.Last {
				text += "-" + strconv.FormatUint(span.Last.lo, 10)
			}
			out = append(out, text)
			continue
		}
		for {
			p := span.largest()
			if p.IsSingleIP() {
				out = append(out, p.Addr().String())
			} else {
				out = append(out, p.String())
			}
			end := OfPrefix(p).Last
			if end == span.Last {
				break
			}
			span.First = end.next()
		}
	}
	return out
}

// largest is the largest prefix that begins at the first address of s and does not reach beyond it.
func (s Span) largest() netip.Prefix {
	a := s.First.Addr()
	n := a.BitLen()
	for n > 0 {
		p := netip.PrefixFrom(a, n-1)
		if p.Masked().Addr() != a || OfPrefix(p).Last.compare(s.Last) > 0 {
			break
		}
		n--
	}
	return netip.PrefixFrom(a, n)
}
