package shield

import (
	"encoding/binary"
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
// are. Everybody else passes, and package decide has the last word about them. The nil list
// refuses everybody. The errors are those of reach.New, and reach.ErrTooMany.
func Refused(l *acl.List) (Ranges, error) {
	parts, err := inet(l)
	if err != nil {
		return Ranges{}, err
	}
	passes, _ := verdicts(parts)
	return refused(passes), nil
}

func ranges(s reach.Set) (out []Range) {
	for _, span := range s {
		out = append(out, Range{words(span.First.Addr()), words(span.Last.Addr())})
	}
	return out
}

func words(a netip.Addr) (w [4]uint32) {
	b := a.As16()
	for i := range w {
		w[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	if a.Is4() {
		w = [4]uint32{3: w[3]}
	}
	return w
}

// With adds prefixes to what is refused.
func (r Ranges) With(more []netip.Prefix) Ranges {
	r.IPv4, r.IPv6 = slices.Clone(r.IPv4), slices.Clone(r.IPv6)
	for _, p := range more {
		first, to, bits := words(p.Addr()), &r.IPv6, p.Bits()
		if p.Addr().Is4() {
			to, bits = &r.IPv4, bits+96
		}
		last := first
		for i := range last {
			last[i] |= uint32(uint64(1)<<min(max(32*(i+1)-bits, 0), 32) - 1)
		}
		*to = append(*to, Range{first, last})
	}
	r.IPv4, r.IPv6 = joined(r.IPv4), joined(r.IPv6)
	return r
}

// joined sorts ranges and makes one of those that touch.
func joined(list []Range) []Range {
	slices.SortFunc(list, func(a, b Range) int { return slices.Compare(a.First[:], b.First[:]) })
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
	list, w := r.IPv6, words(a)
	if a.Is4() {
		list = r.IPv4
	}
	i, found := slices.BinarySearchFunc(list, w, func(r Range, w [4]uint32) int { return slices.Compare(r.First[:], w[:]) })
	return found || i > 0 && slices.Compare(w[:], list[i-1].Last[:]) <= 0
}

// Most are the largest of them, more than a filter can hold.
func (r Ranges) Most() Ranges {
	four, six := widest(r.IPv4), widest(r.IPv6)
	return Ranges{ordered(four[:min(len(four), maxProgram/2)]), ordered(six[:min(len(six), maxProgram/2)])}
}

// widest sorts ranges by how many addresses they hold, the most first.
func widest(list []Range) []Range {
	type sized struct {
		Range
		size [4]uint32
	}
	all := make([]sized, len(list))
	for i, r := range list {
		all[i].Range = r
		borrow := uint64(0)
		for w := 3; w >= 0; w-- {
			d := uint64(r.Last[w]) - uint64(r.First[w]) - borrow
			all[i].size[w], borrow = uint32(d), d>>63
		}
	}
	slices.SortStableFunc(all, func(a, b sized) int { return slices.Compare(b.size[:], a.size[:]) })
	out := make([]Range, len(all))
	for i := range all {
		out[i] = all[i].Range
	}
	return out
}

// ordered sorts a copy of ranges by address.
func ordered(list []Range) []Range {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b Range) int { return slices.Compare(a.First[:], b.First[:]) })
	return out
}
