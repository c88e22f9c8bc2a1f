package reach

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	"casemate/acl"
	"casemate/acl/decide"
)

// Table is a list, with what is left of its rules for each client's address or number.
// It is for one goroutine.
type Table struct {
	list  *acl.List
	space *space
	// starts are the first points of segments, up to the next one, and rows what is tried there.
	starts []Point
	rows   []nodeID
}

// New works a list out. It fails for one that decide.Compile does not take. The nil list admits nobody.
func New(l *acl.List) (*Table, error) { return newTable(newSpace(), l, true) }

// newTable keeps the rules of l apart, or only what they do.
func newTable(s *space, l *acl.List, apart bool) (*Table, error) {
	if _, err := decide.Compile(l); err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	if l == nil {
		l = &acl.List{Default: acl.Deny}
	}
	w := newSweep(s, l, apart)
	t := &Table{list: l, space: s}
	t.starts, t.rows = w.run()
	return t, nil
}

// at is what is tried for a point.
func (t *Table) at(p Point) nodeID {
	i := sort.Search(len(t.starts), func(i int) bool { return t.starts[i].compare(p) > 0 })
	return t.rows[i-1]
}

// sweep goes over all points in order, with the rules that each meets.
type sweep struct {
	space  *space
	list   *acl.List
	rules  []swept
	events []event
	tree   []nodeID // a heap: the leaves, from len/2 on, are the rules
	named  []int    // rules that are others for who has no address
	apart  bool
	peers  bool // past the addresses
}

// swept is a rule and where in it the sweep is.
type swept struct {
	fromAny, exceptAny bool
	from, except       *names
	to                 Set
	in, out            int32 // how many patterns of from and except hold the point
	leaves             [2][2]nodeID
	words              [2]string
}

// event is where a pattern begins to hold, or holds no longer.
type event struct {
	at     Point
	rule   int32
	by     int8
	except bool
}

func newSweep(s *space, l *acl.List, apart bool) *sweep {
	w := &sweep{space: s, list: l, rules: make([]swept, len(l.Rules)), apart: apart}
	half := 1
	for half < len(l.Rules) {
		half *= 2
	}
	w.tree = make([]nodeID, 2*half)
	for i := range l.Rules {
		r, e := &l.Rules[i], &w.rules[i]
		e.fromAny, e.from = w.patterns(i, r.From, false)
		e.exceptAny, e.except = w.patterns(i, r.Except, true)
		for _, p := range r.To {
			e.to = append(e.to, OfPrefix(p))
		}
		e.to = normal(e.to)
		if e.from != nil || e.except != nil || e.to != nil {
			w.named = append(w.named, i)
		}
	}
	slices.SortFunc(w.events, func(a, b event) int { return a.at.compare(b.at) })
	return w
}

// patterns takes a rule's patterns: those that hold points as events, the others as what they are.
func (w *sweep) patterns(rule int, list []acl.Pattern, except bool) (any bool, n *names) {
	for _, p := range list {
		if p == acl.Any {
			any = true
			continue
		}
		if s, ok := Of(p); ok {
			w.events = append(w.events, event{s.First, int32(rule), 1, except})
			if s.Last != last(s.Last.Kind) {
				w.events = append(w.events, event{s.Last.next(), int32(rule), -1, except})
			} else if s.Last.Kind+1 < kinds {
				w.events = append(w.events, event{first(s.Last.Kind + 1), int32(rule), -1, except})
			}
			continue
		}
		if n == nil {
			n = &names{hosts: map[string]struct{}{}, domains: map[string]struct{}{}}
		}
		switch p {
		case acl.AnyKnown:
			n.known = true
		case acl.NoName:
			n.unknown = true
		case acl.BadName:
			n.paranoid = true
		default:
			if p[0] == '.' {
				n.domains[string(p)] = struct{}{}
			} else {
				n.hosts[string(p)] = struct{}{}
			}
		}
	}
	return any, n
}

// run gives the segments.
func (w *sweep) run() (starts []Point, rows []nodeID) {
	for i := range w.rules {
		w.tree[len(w.tree)/2+i] = w.leaf(i)
	}
	for i := len(w.tree)/2 - 1; i > 0; i-- {
		w.tree[i] = w.space.join(w.tree[2*i], w.tree[2*i+1])
	}
	next := 0
	for k := range kinds {
		at := first(k)
		if k == User {
			w.peers = true
			for _, i := range w.named {
				w.update(i)
			}
		}
		for {
			for ; next < len(w.events) && w.events[next].at == at; next++ {
				e := &w.events[next]
				if r := &w.rules[e.rule]; e.except {
					r.out += int32(e.by)
				} else {
					r.in += int32(e.by)
				}
				w.update(int(e.rule))
			}
			if row := w.tree[1]; at == first(k) || rows[len(rows)-1] != row {
				starts, rows = append(starts, at), append(rows, row)
			}
			if next == len(w.events) || w.events[next].at.Kind != k {
				break
			}
			at = w.events[next].at
		}
	}
	return starts, rows
}

// update puts the rule's leaf where it stands now into the tree.
func (w *sweep) update(rule int) {
	i := len(w.tree)/2 + rule
	id := w.leaf(rule)
	for w.tree[i] != id {
		w.tree[i] = id
		if i /= 2; i == 0 {
			return
		}
		id = w.space.join(w.tree[2*i], w.tree[2*i+1])
	}
}

// leaf is what is left of a rule here, 0 if it cannot match.
func (w *sweep) leaf(rule int) nodeID {
	r := &w.rules[rule]
	sure := r.fromAny || r.in > 0
	switch {
	case r.exceptAny || r.out > 0:
		return 0
	case w.peers && (!sure || r.to != nil):
		return 0
	case !sure && r.from == nil:
		return 0
	}
	known := &r.leaves[bit(w.peers)][bit(sure)]
	if *known == 0 {
		*known = w.interned(rule, sure)
	}
	return *known
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// interned is the leaf of a rule, the same for rules that do the same unless they are kept apart.
func (w *sweep) interned(rule int, sure bool) nodeID {
	r, from := &w.rules[rule], &w.list.Rules[rule]
	c := &clause{rule: rule, verdict: from.Verdict, sure: sure, to: r.to, during: from.During}
	if !sure {
		c.from = r.from
	}
	if !w.peers {
		c.except = r.except
	}
	if len(c.during) > 0 {
		c.zone = w.list.Zone
	}
	if w.apart {
		return w.space.leaf(c)
	}
	c.rule, c.does = -1, does(from)
	key := []any{c.verdict, c.does, sure, c.to == nil, c.during, c.zone}
	for _, s := range c.to {
		key = append(key, s.First.String(), s.Last.String())
	}
	words, _ := json.Marshal(key) // of plain data: no error
	for _, n := range []*names{c.from, c.except} {
		words = append(append(words, '|'), n.words()...)
	}
	id, ok := w.space.words[string(words)]
	if !ok {
		id = w.space.leaf(c)
		w.space.words[string(words)] = id
	}
	return id
}

// does is what a client gets of an allow rule beside being admitted.
func does(r *acl.Rule) string {
	if r.Verdict != acl.Allow || len(r.Env)+len(r.Command) == 0 {
		return ""
	}
	b, _ := json.Marshal([]any{r.Env, r.Command})
	return string(b)
}

// words are the patterns in their order.
func (s *names) words() string {
	if s == nil {
		return ""
	}
	list := make([]string, 0, len(s.hosts)+len(s.domains))
	for h := range s.hosts {
		list = append(list, h)
	}
	for d := range s.domains {
		list = append(list, d)
	}
	slices.Sort(list)
	b, _ := json.Marshal([]any{s.known, s.unknown, s.paranoid, list})
	return string(b)
}

// within calls each with the segments of a set, in order.
func (t *Table) within(set Set, each func(Span, nodeID)) {
	i := 0
	for _, s := range set {
		i += sort.Search(len(t.starts)-i, func(k int) bool { return t.starts[i+k].compare(s.First) > 0 }) - 1
		for at := s.First; ; i++ {
			end := last(at.Kind)
			if i+1 < len(t.starts) && t.starts[i+1].Kind == at.Kind {
				end = t.starts[i+1].prev()
			}
			if end.compare(s.Last) >= 0 {
				each(Span{at, s.Last}, t.rows[i])
				break
			}
			each(Span{at, end}, t.rows[i])
			at = end.next()
		}
	}
}

// Everybody is all clients.
func Everybody() Set { return Whole(IPv4, IPv6, User, Machine) }
