package shield

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"casemate/acl"
	"casemate/acl/reach"
)

// Range is addresses of one family, in network order; one of IPv4 has its words in place 3.
type Range struct{ First, Last [4]uint32 }

// Ranges are those that are refused of each family: sorted, and no two of them touch.
type Ranges struct{ IPv4, IPv6 []Range }

// mapped are the addresses of IPv4 among those of IPv6. No header has one (Linux drops such packets), and here nobody
// takes them for IPv6.
var mapped = reach.Set{reach.OfPrefix(netip.MustParsePrefix("::ffff:0:0/96"))}

// Refused works out whom a list refuses whatever their names, the addresses they come to and the time
// are: the largest ranges of them, more than a filter can hold, and what it holds of the list. Everybody else passes, and package decide has the last
// word about them. The nil list refuses everybody. The errors are those of reach.New, and reach.ErrTooMany.
func Refused(l *acl.List) (Ranges, Held, error) {
	parts, err := inet(l)
	if err != nil {
		return Ranges{}, Held{}, err
	}
	passes, denied := verdicts(parts)
	r := refused(passes)
	h := Held{Ranges: r.len()}
	if r = r.most(); r.Fits() {
		h.Fit = r.len()
	} else {
		h.Fit = min(fitting(Ranges{}, r, false).len(), fitting(Ranges{}, r, true).len())
	}
	if l != nil && len(passes.Intersect(denied).Minus(mapped)) > 0 {
		h.Asks = asks(l)
	}
	return r, h, nil
}

func ranges(s reach.Set) (out []Range) {
	for _, span := range s {
		out = append(out, Range{wordsOf(span.First.Addr()), wordsOf(span.Last.Addr())})
	}
	return out
}

func wordsOf(a netip.Addr) (w words) {
	b := a.As16()
	for i := range w {
		w[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	if a.Is4() {
		w = words{3: w[3]}
	}
	return w
}

// Prefixes are the addresses of a list of prefixes, but those of another.
func Prefixes(list, but []netip.Prefix) Ranges {
	s := reach.OfPrefixes(list).Minus(reach.OfPrefixes(but))
	return Ranges{ranges(s.Only(reach.IPv4)), ranges(s.Only(reach.IPv6))}
}

// And are those of r and of o.
func (r Ranges) And(o Ranges) Ranges {
	return Ranges{joined(slices.Concat(r.IPv4, o.IPv4)), joined(slices.Concat(r.IPv6, o.IPv6))}
}

func (r Range) compare(o Range) int { return slices.Compare(r.First[:], o.First[:]) }

// joined sorts ranges and makes one of those that touch.
func joined(list []Range) []Range {
	slices.SortFunc(list, Range.compare)
	out := list[:0]
	for _, r := range list {
		if n := len(out); n > 0 && slices.Compare(r.First[:], out[n-1].Last[:]) <= 0 {
			if slices.Compare(r.Last[:], out[n-1].Last[:]) > 0 {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// Refuses tells whether an address is among them.
func (r Ranges) Refuses(a netip.Addr) bool {
	list, w := r.IPv6, wordsOf(a)
	if a.Is4() {
		list = r.IPv4
	}
	i, found := slices.BinarySearchFunc(list, w, func(r Range, w words) int { return slices.Compare(r.First[:], w[:]) })
	return found || i > 0 && slices.Compare(w[:], list[i-1].Last[:]) <= 0
}

// most are the largest of them, more than a filter can hold.
func (r Ranges) most() Ranges {
	return Ranges{largest(r.IPv4), largest(r.IPv6)}
}

func largest(list []Range) []Range {
	if len(list) > maxProgram/2 {
		list = widest(list)[:maxProgram/2]
		slices.SortFunc(list, Range.compare)
	}
	return list
}

// widest sorts ranges by how many addresses they hold, the most first.
func widest(list []Range) []Range {
	type sized struct {
		hi, lo uint64
		at     int
	}
	all := make([]sized, len(list))
	for i, r := range list {
		var borrow uint64
		all[i].lo, borrow = bits.Sub64(join(r.Last[2:]), join(r.First[2:]), 0)
		all[i].hi, _ = bits.Sub64(join(r.Last[:2]), join(r.First[:2]), borrow)
		all[i].at = i
	}
	slices.SortFunc(all, func(a, b sized) int { return cmp.Or(cmp.Compare(b.hi, a.hi), cmp.Compare(b.lo, a.lo), a.at-b.at) })
	out := make([]Range, len(all))
	for i := range all {
		out[i] = list[all[i].at]
	}
	return out
}

func join(two []uint32) uint64 { return uint64(two[0])<<32 | uint64(two[1]) }
