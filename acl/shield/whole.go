package shield

import (
	"errors"

	"casemate/acl"
	"casemate/acl/reach"
)

// Why a filter cannot be all that a list says.
var (
	ErrAsksMore = errors.New("asks for more than where a client comes from: for its name, the address that it comes to, or the time")
	ErrTooLong  = errors.New("has more prefixes than a filter of the kernel holds (BPF_MAXINSNS)")
)

// Whole is Refused of a list that a filter can hold by itself: the list admits everybody whom that does not refuse. Else it is
// ErrAsksMore or ErrTooLong.
func Whole(l *acl.List) (Ranges, error) {
	parts, err := inet(l)
	if err != nil {
		return Ranges{}, err
	}
	passes, denied := verdicts(parts)
	if len(passes.Intersect(denied).Minus(mapped)) > 0 {
		return Ranges{}, ErrAsksMore
	}
	r := refused(passes)
	if !r.Fits() {
		return Ranges{}, ErrTooLong
	}
	return r, nil
}

// Fits tells whether a filter holds all of r, and none has to be left to who decides here.
func (r Ranges) Fits() bool {
	return r.size(false) <= maxProgram && r.size(true) <= maxProgram
}

// inet is of whom each rule of a list decides, of clients with an address.
func inet(l *acl.List) ([]reach.Part, error) {
	t, err := reach.New(l)
	if err != nil {
		return nil, err
	}
	return t.Parts(everybody)
}

var everybody = reach.Whole(reach.IPv4, reach.IPv6)

// verdicts are whom a list admits under some circumstances at least, and whom it refuses under some.
func verdicts(parts []reach.Part) (passes, denied reach.Set) {
	by := map[acl.Verdict][]reach.Set{}
	for _, p := range parts {
		by[p.Verdict] = append(by[p.Verdict], p.Clients)
	}
	return reach.Union(by[acl.Allow]...), reach.Union(by[acl.Deny]...)
}

// refused are all but those whom a list admits under some circumstances.
func refused(passes reach.Set) Ranges {
	s := everybody.Minus(reach.Union(passes, mapped))
	return Ranges{ranges(s.Only(reach.IPv4)), ranges(s.Only(reach.IPv6))}
}
