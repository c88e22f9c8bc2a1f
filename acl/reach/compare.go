package reach

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"casemate/acl"
	"casemate/acl/civil"
	"casemate/acl/decide"
)

// Answer is what a list has for a client: its verdict and, as JSON of env and command, what else an allow rule gives.
type Answer struct {
	Verdict acl.Verdict
	Does    string
}

// Change is clients for whom two lists have different answers, under the same circumstances.
type Change struct {
	Was, Is Answer
	Clients Set
	When    Circumstances
	// Example is one of them. A name that has not been asked for, a local address that is not valid and the zero time stand for
	// any: what does not matter to it.
	Example decide.Client
}

// Circumstances are those of a Change; the zero value is all of them.
type Circumstances struct {
	// Names are names, .domains, known, unknown, paranoid and no-answer. Except are those in the domains, or known, for which it
	// is not so; where both are about a name, the longer one is. Empty is whatever the name is.
	Names  []string `json:"names,omitempty"`
	Except []string `json:"except,omitempty"`
	// To are local addresses as prefixes, and "unknown" for one that is not known.
	To []string `json:"to,omitempty"`
	// During are windows of the week by the clock of Zone, "" for UTC.
	During []string `json:"during,omitempty"`
	Zone   string   `json:"zone,omitempty"`
	// Sometimes says that it is so at the time of the example and at others, by the clocks of two zones.
	Sometimes bool `json:"sometimes,omitempty"`
}

// Always tells whether they are all circumstances.
func (c *Circumstances) Always() bool {
	return len(c.Names)+len(c.To)+len(c.During) == 0 && !c.Sometimes
}

// String says it in words, "" for always.
func (c *Circumstances) String() string {
	var parts []string
	if len(c.Names) > 0 {
		text := "named " + strings.Join(c.Names, ", ")
		if len(c.Except) > 0 {
			text += " but not " + strings.Join(c.Except, ", ")
		}
		parts = append(parts, text)
	}
	if len(c.To) > 0 {
		parts = append(parts, "to "+strings.Join(c.To, ", "))
	}
	if len(c.During) > 0 {
		zone := c.Zone
		if zone == "" {
			zone = "UTC"
		}
		parts = append(parts, "during "+strings.Join(c.During, ", ")+" "+zone)
	}
	if c.Sometimes {
		parts = append(parts, "at some times")
	}
	return strings.Join(parts, "; ")
}

// Comparer compares lists. It is for one goroutine.
type Comparer struct {
	space  *space
	tables map[*acl.List]*Table
}

// NewComparer makes one, which keeps what it works out.
func NewComparer() *Comparer { return &Comparer{newSpace(), map[*acl.List]*Table{}} }

// table works a list out, once.
func (c *Comparer) table(l *acl.List) (*Table, error) {
	if t := c.tables[l]; t != nil {
		return t, nil
	}
	t, err := newTable(c.space, l, false)
	if err == nil {
		c.tables[l] = t
	}
	return t, err
}

// pair is two rows for clients of one kind, with what follows where none of their clauses matches.
type pair struct {
	rows  [2]nodeID
	none  [2]bool // nobody of the kind comes there
	final [2]acl.Verdict
	kind  Kind
}

// Compare gives all clients for whom two lists, nil ones too, have different answers: those of the kinds in from come under the
// first list, and those of the kinds in to under the second; for the others the answer is deny. Of clients with an address it supposes that the one
// they come to is of the same kind. It fails for a list that decide.Compile does not take, and with ErrTooMany.
func (c *Comparer) Compare(was, is *acl.List, from, to []Kind) ([]Change, error) {
	a, err := c.table(was)
	if err != nil {
		return nil, err
	}
	b, err := c.table(is)
	if err != nil {
		return nil, err
	}
	var order []pair
	spans := map[pair][]Span{}
	for k := range kinds {
		none := [2]bool{!slices.Contains(from, k), !slices.Contains(to, k)}
		if none[0] && none[1] {
			continue
		}
		side(a, b, k, func(s Span, x, y nodeID) {
			p := pair{[2]nodeID{x, y}, none, [2]acl.Verdict{a.list.Default, b.list.Default}, k}
			for i := range p.rows {
				switch {
				case none[i]:
					p.rows[i], p.final[i] = 0, acl.Deny
				case c.space.nodes[p.rows[i]].closed:
					p.final[i] = ""
				}
			}
			if p.rows[0] == p.rows[1] && p.final[0] == p.final[1] {
				return
			}
			if _, ok := spans[p]; !ok {
				order = append(order, p)
			}
			spans[p] = append(spans[p], s)
		})
	}
	return c.changes(order, spans)
}

// side calls each with the segments of a kind in which both tables have one row each.
func side(a, b *Table, k Kind, each func(s Span, x, y nodeID)) {
	begin := func(t *Table) int {
		return sort.Search(len(t.starts), func(i int) bool { return t.starts[i].compare(first(k)) >= 0 })
	}
	end := func(t *Table, i int) Point {
		if i+1 < len(t.starts) && t.starts[i+1].Kind == k {
			return t.starts[i+1].prev()
		}
		return last(k)
	}
	i, j := begin(a), begin(b)
	for at := first(k); ; {
		x, y := end(a, i), end(b, j)
		s := Span{at, x}
		if y.compare(x) < 0 {
			s.Last = y
		}
		each(s, a.rows[i], b.rows[j])
		if s.Last == last(k) {
			return
		}
		if x == s.Last {
			i++
		}
		if y == s.Last {
			j++
		}
		at = s.Last.next()
	}
}

// changes puts together what is different in the same way under the same circumstances.
func (c *Comparer) changes(order []pair, spans map[pair][]Span) ([]Change, error) {
	var out []Change
	by := map[string]int{}
	left := allTries
	for n, p := range order {
		list, err := c.differ(p, &left)
		if err != nil {
			return nil, err
		}
		for _, ch := range list {
			apart := 0
			if ch.When.Sometimes { // which times, the words do not say
				apart = 1 + n
			}
			key, _ := json.Marshal([]any{ch.Was, ch.Is, ch.When, apart}) // of plain data: no error
			i, ok := by[string(key)]
			if !ok {
				i = len(out)
				by[string(key)] = i
				out = append(out, ch)
			}
			out[i].Clients = append(out[i].Clients, spans[p]...)
		}
	}
	for i := range out {
		out[i].Clients = normal(out[i].Clients)
		out[i].Example = at(out[i].Example, nice(out[i].Clients))
	}
	return out, nil
}

// differ gives the circumstances under which the two rows of a pair answer differently, without clients.
func (c *Comparer) differ(p pair, left *int) ([]Change, error) {
	rows := [2][]*clause{c.space.row(p.rows[0]), c.space.row(p.rows[1])}
	all := slices.Concat(rows[0], rows[1])
	v, err := look(p.kind, all)
	if err != nil {
		return nil, err
	}
	if *left -= v.tries(len(all)); *left < 0 {
		return nil, ErrTooMany
	}
	sides := [2]*answers{v.ask(rows[0]), v.ask(rows[1])}
	var order [][2]Answer
	found := map[[2]Answer][]block{}
	v.each(func(name, local, time int) {
		var both [2]Answer
		for i, s := range sides {
			both[i] = Answer{Verdict: p.final[i]}
			if w := s.winner(name, local, time); w != nil {
				both[i] = Answer{w.verdict, w.does}
			}
		}
		if both[0] == both[1] {
			return
		}
		if found[both] == nil {
			order = append(order, both)
		}
		found[both] = append(found[both], block{[]int{name}, []int{local}, []int{time}})
	})
	var out []Change
	for _, both := range order {
		for _, b := range blocks(found[both]) {
			out = append(out, Change{Was: both[0], Is: both[1], When: v.circumstances(b), Example: v.example(b)})
		}
	}
	return out, nil
}

// block is all combinations of some names, local addresses and times of a view.
type block [3][]int

// blocks puts blocks together that differ in times alone, then those that differ in local addresses alone, then in names.
func blocks(list []block) []block {
	for of := 2; of >= 0; of-- {
		var out []block
		by := map[string]int{}
		for _, b := range list {
			rest := b
			rest[of] = nil
			key, _ := json.Marshal(rest) // of numbers: no error
			if i, ok := by[string(key)]; ok {
				out[i][of] = append(out[i][of], b[of]...)
				continue
			}
			by[string(key)] = len(out)
			out = append(out, b)
		}
		list = out
	}
	return list
}

// circumstances says a block in words of the policy language.
func (v *view) circumstances(b block) (c Circumstances) {
	if len(b[0]) < len(v.names) {
		c.Names, c.Except = v.named(b[0])
	}
	if len(b[1]) < len(v.locals) {
		var all Set
		for _, i := range b[1] {
			if all = append(all, v.locals[i].set...); v.locals[i].set == nil {
				c.To = append(c.To, "unknown")
			}
		}
		c.To = append(normal(all).Patterns(), c.To...)
	}
	if len(b[2]) == len(v.times) {
		return c
	}
	var spans []acl.Span
	for _, i := range b[2] {
		spans = append(spans, v.times[i].spans...)
	}
	if c.Sometimes = spans == nil; !c.Sometimes {
		slices.SortFunc(spans, func(a, b acl.Span) int { return a[0] - b[0] })
		joined := spans[:1]
		for _, s := range spans[1:] {
			if n := len(joined); joined[n-1][1] == s[0] {
				joined[n-1][1] = s[1]
			} else {
				joined = append(joined, s)
			}
		}
		c.During = civil.Write(joined)
		if v.zone != nil {
			c.Zone = v.zone.Name
		}
	}
	return c
}

// named says names in words: known, or a domain, stands for all that is in it, but for what is said of a part of it.
func (v *view) named(some []int) (in, except []string) {
	is := make([]bool, len(v.names))
	domains := map[string]bool{} // all of them, "" for all names, and whether it is so for them
	for _, i := range some {
		is[i] = true
	}
	for i, n := range v.names {
		if n.words == "" || n.words[0] == '.' {
			domains[n.words] = is[i]
		}
	}
	around := func(words string) bool { // the nearest domain that words are in
		for i := 1; i < len(words); i++ {
			if so, ok := domains[words[i:]]; ok {
				return so
			}
		}
		return domains[""]
	}
	for i, n := range v.names {
		switch {
		case n.name.State != decide.Known:
			if is[i] {
				in = append(in, n.words)
			}
		case n.words == "":
			if is[i] {
				in = append(in, string(acl.AnyKnown))
			}
		case around(n.words) == is[i]:
		case is[i]:
			in = append(in, n.words)
		default:
			except = append(except, n.words)
		}
	}
	return in, except
}

// example is what somebody in a block must be, and no more than that.
func (v *view) example(b block) (c decide.Client) {
	if len(b[0]) < len(v.names) {
		c.Name = v.names[b[0][0]].name
	} else if len(v.names) > 1 {
		c.Name = decide.Name{State: decide.Unknown}
	}
	if i := b[1][0]; len(b[1]) < len(v.locals) {
		c.Local = v.locals[i].addr
	}
	if len(b[2]) < len(v.times) {
		c.At = v.times[b[2][0]].at
	}
	return c
}
