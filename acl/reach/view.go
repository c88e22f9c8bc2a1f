package reach

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"casemate/acl"
	"casemate/acl/decide"
)

// ErrTooMany is that of lists whose rules can tell more circumstances apart than can be tried.
var ErrTooMany = errors.New("too many names, local addresses and times depend on each other to try them all")

// mostTries bounds what is tried for one row, or two that are compared, and allTries what is for a whole list or two.
const (
	mostTries = 1 << 23
	allTries  = 1 << 26
)

// view are the circumstances that some clauses can tell apart, for clients of one kind. There is at least
// one of each sort.
type view struct {
	names  []nameAtom
	locals []localAtom
	times  []timeAtom
	zone   *acl.Zone // of the times' spans
}

// nameAtom is names that all clauses answer alike, and one of them. words is how the pattern language says it,
// "" for all names that no clause mentions.
type nameAtom struct {
	name  decide.Name
	words string
}

// localAtom is likewise; the address that is not known is not valid, and in no set.
type localAtom struct {
	addr netip.Addr
	set  Set
}

// timeAtom is likewise. spans are minutes of a week, nil where the clauses go by different clocks.
type timeAtom struct {
	at    time.Time
	spans []acl.Span
}

// look gives what the clauses can tell apart.
func look(k Kind, clauses []*clause) (*view, error) {
	v := &view{names: nameAtoms(clauses), locals: localAtoms(k, clauses)}
	var err error
	v.times, v.zone, err = timeAtoms(clauses)
	if err == nil && len(v.names)*len(v.locals)*len(v.times) > mostTries/max(1, len(clauses)) {
		err = ErrTooMany
	}
	return v, err
}

func (v *view) tries(clauses int) int {
	return len(v.names) * len(v.locals) * len(v.times) * max(1, clauses)
}

// nameAtoms are the states without a name, each name that is mentioned, and one for each domain and for the rest.
func nameAtoms(clauses []*clause) []nameAtom {
	hosts, domains := map[string]bool{}, map[string]bool{}
	mentioned := false
	for _, c := range clauses {
		for _, n := range []*names{c.from, c.except} {
			if n == nil {
				continue
			}
			mentioned = true
			for h := range n.hosts {
				hosts[h] = true
			}
			for d := range n.domains {
				domains[d] = true
			}
		}
	}
	if !mentioned {
		return []nameAtom{{}}
	}
	out := []nameAtom{{decide.Name{State: decide.Unknown}, "unknown"}, {decide.Name{State: decide.Paranoid}, "paranoid"}, {decide.Name{State: decide.NoAnswer}, "no-answer"}}
	for _, h := range sorted(hosts) {
		out = append(out, nameAtom{decide.Name{State: decide.Known, Host: h}, h})
	}
	for _, d := range sorted(domains) {
		if h := member(d, hosts); h != "" {
			out = append(out, nameAtom{decide.Name{State: decide.Known, Host: h}, d})
		}
	}
	rest := ".invalid"
	for i := 0; domains[rest]; i++ {
		rest = ".invalid" + strconv.Itoa(i)
	}
	for i := 0; ; i++ { // a name of two labels is in no deeper domain
		h := "host" + strconv.Itoa(i) + rest
		if !hosts[h] {
			return append(out, nameAtom{decide.Name{State: decide.Known, Host: h}, ""})
		}
	}
}

func sorted(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for w := range m {
		out = append(out, w)
	}
	slices.Sort(out)
	return out
}

// member is a name in a domain, in none below it, that is not among hosts; "" if there is none.
func member(domain string, hosts map[string]bool) string {
	try := func(label string) bool { return len(label)+len(domain) <= acl.MaxHost && !hosts[label+domain] }
	if try("host") {
		return "host" + domain
	}
	for c := range "0123456789abcdefghijklmnopqrstuvwxyz_" {
		if label := "0123456789abcdefghijklmnopqrstuvwxyz_"[c : c+1]; try(label) {
			return label + domain
		}
	}
	for i := 10; i <= len(hosts)+10; i++ {
		if label := strconv.Itoa(i); try(label) {
			return label + domain
		}
	}
	return ""
}

// localAtoms are the pieces that rules cut the local addresses of a kind into. A client of IPv4 comes to an address of IPv4.
func localAtoms(k Kind, clauses []*clause) []localAtom {
	var cuts []Point
	var sets []Set
	for _, c := range clauses {
		if c.to == nil || k > IPv6 {
			continue
		}
		own := c.to.Only(k)
		if slices.ContainsFunc(sets, func(s Set) bool { return slices.Equal(s, own) }) {
			continue
		}
		sets = append(sets, own)
		for _, s := range own {
			cuts = append(cuts, s.First)
			if s.Last != last(k) {
				cuts = append(cuts, s.Last.next())
			}
		}
	}
	if len(sets) == 0 {
		return []localAtom{{}}
	}
	cuts = append(cuts, first(k))
	slices.SortFunc(cuts, Point.compare)
	cuts = slices.Compact(cuts)
	out := []localAtom{{}}
	by := map[string]int{}
	for i, p := range cuts {
		end := last(k)
		if i+1 < len(cuts) {
			end = cuts[i+1].prev()
		}
		sign := make([]byte, len(sets))
		for n, s := range sets {
			sign[n] = byte(bit(s.Contains(p)))
		}
		at, ok := by[string(sign)]
		if !ok {
			at = len(out)
			by[string(sign)] = at
			out = append(out, localAtom{addr: nice(Set{{p, end}}).Addr()})
		}
		out[at].set = append(out[at].set, Span{p, end})
	}
	for i := range out {
		out[i].set = normal(out[i].set)
	}
	return out
}

// begin is the Monday on which the times of view begin: the time zones of a list have their offsets from that year on.
var begin = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

const week = acl.Week * time.Minute

// clock is a zone and what rules say by it.
type clock struct {
	zone   *acl.Zone
	during [][]acl.Span
}

// timeAtoms are the parts of time that the clauses' windows tell apart.
func timeAtoms(clauses []*clause) ([]timeAtom, *acl.Zone, error) {
	var clocks []*clock
	by, seen := map[string]*clock{}, map[string]bool{}
	windows := 0
	for _, c := range clauses {
		if len(c.during) == 0 {
			continue
		}
		z, _ := json.Marshal(c.zone) // of plain data: no error
		d, _ := json.Marshal(c.during)
		if seen[string(z)+string(d)] {
			continue
		}
		seen[string(z)+string(d)] = true
		k := by[string(z)]
		if k == nil {
			k = &clock{zone: c.zone}
			by[string(z)], clocks = k, append(clocks, k)
		}
		k.during = append(k.during, c.during)
		windows += len(c.during)
	}
	switch {
	case len(clocks) == 0:
		return []timeAtom{{}}, nil, nil
	case windows > 1<<12:
		return nil, nil, ErrTooMany
	case len(clocks) == 1:
		return clocks[0].week(), clocks[0].zone, nil
	}
	return together(clocks), nil, nil
}

// cuts are the minutes of a week at which something begins or ends.
func (k *clock) cuts() []int {
	out := []int{0}
	for _, d := range k.during {
		for _, s := range d {
			out = append(out, s[0], s[1]%acl.Week)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sign appends which of the windows hold at a minute.
func (k *clock) sign(minute int, sign []byte) []byte {
	for _, d := range k.during {
		sign = append(sign, byte(bit(slices.ContainsFunc(d, func(s acl.Span) bool { return s[0] <= minute && minute < s[1] }))))
	}
	return sign
}

// week gives the parts of a week of one clock. Each minute comes in some week, also where a clock skips it in another.
func (k *clock) week() (out []timeAtom) {
	by := map[string]int{}
	cuts := k.cuts()
	for i, m := range cuts {
		end := acl.Week
		if i+1 < len(cuts) {
			end = cuts[i+1]
		}
		sign := string(k.sign(m, nil))
		at, ok := by[sign]
		if !ok {
			at = len(out)
			by[sign] = at
			out = append(out, timeAtom{at: k.first(begin, m)})
		}
		if n := len(out[at].spans); n > 0 && out[at].spans[n-1][1] == m {
			out[at].spans[n-1][1] = end
		} else {
			out[at].spans = append(out[at].spans, acl.Span{m, end})
		}
	}
	return out
}

// first is the first time from t on at which the clock shows a minute of the week.
func (k *clock) first(t time.Time, minute int) time.Time {
	for range 54 {
		at := t.Add(time.Duration((minute-decide.Minute(k.zone, t)+acl.Week)%acl.Week) * time.Minute)
		if decide.Minute(k.zone, at) == minute {
			return at
		}
		t = t.Add(week)
	}
	return t // cannot be: no clock is set in each week of a year
}

// together gives the parts that several clocks tell apart, from one change of any of them to the next.
func together(clocks []*clock) (out []timeAtom) {
	starts := []time.Time{begin}
	for _, k := range clocks {
		if k.zone == nil {
			continue
		}
		for _, c := range k.zone.Changes {
			if at := time.Unix(c[0], 0).UTC(); at.After(begin) {
				starts = append(starts, at)
			}
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	seen := map[string]bool{}
	try := func(at time.Time) {
		var sign []byte
		for _, k := range clocks {
			sign = k.sign(decide.Minute(k.zone, at), sign)
		}
		if !seen[string(sign)] {
			seen[string(sign)] = true
			out = append(out, timeAtom{at: at})
		}
	}
	for i, start := range starts {
		try(start)
		for _, k := range clocks {
			for _, m := range k.cuts() {
				at := start.Add(time.Duration((m-decide.Minute(k.zone, start)+acl.Week)%acl.Week) * time.Minute).Truncate(time.Minute)
				if !at.Before(start) && (i+1 == len(starts) || at.Before(starts[i+1])) {
					try(at)
				}
			}
		}
	}
	return out
}
