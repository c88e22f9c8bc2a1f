package ban

import (
	"net/netip"
	"time"
)

// Index finds what a State says of a client. It takes as many look-ups as the bans have lengths of prefixes, and allocates nothing.
type Index struct {
	state   *State
	at      map[netip.Prefix][]*Ban
	lengths [2][]int // of IPv4 and IPv6
	seen    [2][129]bool
}

// NewIndex is of a State that does not change any more.
func NewIndex(s *State) *Index {
	x := &Index{state: s, at: make(map[netip.Prefix][]*Ban, len(s.Bans))}
	for i := range s.Bans {
		b := &s.Bans[i]
		x.at[b.Prefix] = append(x.at[b.Prefix], b)
		f, n := family(b.Prefix.Addr()), b.Prefix.Bits()
		if !x.seen[f][n] {
			x.seen[f][n] = true
			x.lengths[f] = append(x.lengths[f], n)
		}
	}
	return x
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// Find is the ban that shuts an address out of a service, of several the one that does for longest; nil is none. The address
// is unmapped; one that is not valid is nobody's.
func (x *Index) Find(a netip.Addr, service string, now time.Time) (longest *Ban) {
	return x.find(a, service, now, false)
}

// Ends tells whether a session of that address ends by any of the bans. One that holds as well, and lasts longer, may end nobody.
func (x *Index) Ends(a netip.Addr, service string, now time.Time) bool {
	return x.find(a, service, now, true) != nil
}

// find is Find among all of them, or those that end sessions.
func (x *Index) find(a netip.Addr, service string, now time.Time, ends bool) (longest *Ban) {
	if x == nil || !a.IsValid() {
		return nil
	}
	a = a.WithZone("")
	for _, n := range x.lengths[family(a)] {
		p, _ := a.Prefix(n) // n is of its family
		for _, b := range x.at[p] {
			if b.holds(service) && !b.Over(now) && (b.Ends || !ends) && (longest == nil || b.outlasts(longest)) {
				longest = b
			}
		}
	}
	return longest
}

func (b *Ban) outlasts(other *Ban) bool {
	return !other.Until.IsZero() && (b.Until.IsZero() || b.Until.After(other.Until))
}

// Refuses is why a client of that address is not served, "" where nothing speaks against it.
func (x *Index) Refuses(a netip.Addr, service string, now time.Time) string {
	switch {
	case x == nil:
		return ""
	case x.Find(a, service, now) != nil:
		return ReasonBan
	case x.state.Drained(service):
		return ReasonDrain
	}
	return ""
}
