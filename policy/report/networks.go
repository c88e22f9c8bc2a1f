package report

import (
	"fmt"
	"slices"
	"strings"

	"casemate/acl/reach"
	"casemate/policy/diff"
	"casemate/policy/score"
)

// Reached is one part of those who get in to a service.
type Reached struct {
	// Zone is the part of the world that they are in, Label a name for them, and Clients the fewest patterns
	// that hold them exactly: the first of them, and how many more.
	Zone    string   `json:"zone"`
	Label   string   `json:"label"`
	Clients []string `json:"clients"`
	Count   string   `json:"count"`
	// Always: whatever their names, the address they come to and the time are.
	Always bool `json:"always"`
	id     int  // in networks
}

// zone is a part of the world.
type zone struct {
	word, all, most string // what it is called, who is all of it, and most of it
	set             reach.Set
}

// zones are the parts of the world, those with the most strangers first.
func zones() []zone {
	host, near := score.Places()
	return []zone{
		{"internet", "anybody on the internet", "the internet", reach.Whole(reach.IPv4, reach.IPv6).Minus(reach.Union(host, near))},
		{"private", "all private networks", "private networks", near},
		{"host", "this host", "this host", host},
		{"users", "users of this host, by a unix socket", "users of this host", reach.Whole(reach.User)},
		{"machines", "virtual machines", "virtual machines", reach.Whole(reach.Machine)},
	}
}

// network is one set of clients within a zone, which services admit.
type network struct {
	zone     int
	label    string
	patterns []string
	set      reach.Set
	services int
}

// networks are the different sets that there are.
type networks struct {
	zones []zone
	all   []network
	ids   map[string]int
}

func newNetworks() *networks { return &networks{zones: zones(), ids: map[string]int{}} }

// of takes apart who gets in.
func (n *networks) of(sometimes, always reach.Set) []Reached {
	out := []Reached{}
	for i := range n.zones {
		in := sometimes.Intersect(n.zones[i].set)
		for _, part := range []reach.Set{in.Intersect(always), in.Minus(always)} {
			if len(part) == 0 {
				continue
			}
			id := n.id(i, part)
			n.all[id].services++
			out = append(out, Reached{
				Zone: n.zones[i].word, Label: n.all[id].label, Clients: first(n.all[id].patterns), Count: counted(part),
				Always: len(part.Minus(always)) == 0, id: id,
			})
		}
	}
	return out
}

// id is the number of a set, which is given one if it has none.
func (n *networks) id(zone int, part reach.Set) int {
	key := fmt.Sprint(zone, part)
	id, ok := n.ids[key]
	if !ok {
		id = len(n.all)
		label, patterns := n.zones[zone].label(part)
		n.all = append(n.all, network{zone, label, patterns, part, 0})
		n.ids[key] = id
	}
	return id
}

// label names a part of a zone, by what is not in it where that is shorter.
func (z *zone) label(part reach.Set) (string, []string) {
	whole, family := z.set, ""
	switch {
	case len(part.Only(reach.IPv6)) == 0 && len(whole.Only(reach.IPv6)) > 0:
		whole, family = whole.Only(reach.IPv4), " (IPv4)"
	case len(part.Only(reach.IPv4)) == 0 && len(whole.Only(reach.IPv4)) > 0:
		whole, family = whole.Only(reach.IPv6), " (IPv6)"
	}
	patterns := part.Patterns()
	without := whole.Minus(part)
	switch {
	case len(without) == 0:
		return z.all + family, patterns
	case len(without) < len(part) || len(part) > 3 && len(without) <= 3:
		return z.most + family + " without " + some(without.Patterns(), 2), patterns
	}
	var words []string
	for _, kind := range []reach.Kind{reach.IPv4, reach.IPv6, reach.User, reach.Machine} {
		words = append(words, called(part.Only(kind))...)
	}
	return some(words, 2), patterns
}

// called are the fewest words for a set of one kind: its patterns, or the one network around it and what of that it lacks.
func called(set reach.Set) []string {
	patterns := set.Patterns()
	if len(patterns) < 3 || !set[0].First.Addr().IsValid() {
		return patterns
	}
	from, to := set[0].First.Addr(), set[len(set)-1].Last.Addr()
	bits := 0
	for a, b := from.AsSlice(), to.AsSlice(); bits < from.BitLen() && (a[bits/8]^b[bits/8])>>(7-bits%8)&1 == 0; bits++ {
	}
	around, err := from.Prefix(bits)
	if err != nil {
		return patterns
	}
	without := reach.Set{reach.OfPrefix(around)}.Minus(set).Patterns()
	if len(without) > 2 || len(without) >= len(patterns) {
		return patterns
	}
	return []string{around.String() + " without " + strings.Join(without, ", ")}
}

// some are the first of a list, as text.
func some(list []string, n int) string {
	if len(list) <= n+1 {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:n], ", "), len(list)-n)
}

// counted says how many are in a set.
func counted(set reach.Set) string {
	var parts []string
	for _, k := range []struct {
		kind      reach.Kind
		one, more string
	}{{reach.IPv4, "IPv4 address", "IPv4 addresses"}, {reach.IPv6, "IPv6 address", "IPv6 addresses"}, {reach.User, "user", "users"}, {reach.Machine, "machine", "machines"}} {
		switch n := set.Count(k.kind).String(); n {
		case "0":
		case "1":
			parts = append(parts, "1 "+k.one)
		default:
			parts = append(parts, diff.Number(n)+" "+k.more)
		}
	}
	return strings.Join(parts, ", ")
}

// brief is counted, for a picture.
func brief(set reach.Set) string {
	return strings.NewReplacer(" addresses", "", " address", "").Replace(counted(set))
}

// shown are the networks that a picture has, at most so many and one for each zone: what fewest services admit is put
// together, zone by zone. places are where each network went.
func (n *networks) shown(most int) (out []Network, places []int) {
	order := make([]int, len(n.all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return n.all[b].services - n.all[a].services })
	kept := order
	if len(order) > most {
		kept = order[:most]
	}
	keep := map[int]bool{}
	for _, id := range kept {
		keep[id] = true
	}
	places = make([]int, len(n.all))
	for i := range n.zones {
		var folded []int
		for id := range n.all {
			switch {
			case n.all[id].zone != i:
			case keep[id]:
				places[id] = len(out)
				out = append(out, Network{Zone: n.zones[i].word, Label: n.all[id].label, Count: brief(n.all[id].set), Services: n.all[id].services})
			default:
				folded = append(folded, id)
			}
		}
		if len(folded) > 0 {
			out = append(out, n.fold(i, folded))
			for _, id := range folded {
				places[id] = len(out) - 1
			}
		}
	}
	return out, places
}

// fold puts networks of a zone together.
func (n *networks) fold(zone int, ids []int) Network {
	if len(ids) == 1 {
		one := n.all[ids[0]]
		return Network{Zone: n.zones[zone].word, Label: one.label, Count: brief(one.set), Services: one.services}
	}
	var sets []reach.Set
	services := 0
	for _, id := range ids {
		sets = append(sets, n.all[id].set)
		services += n.all[id].services
	}
	what := map[string]string{"internet": "on the internet", "private": "of private networks", "host": "of this host", "users": "of users", "machines": "of machines"}[n.zones[zone].word]
	return Network{Zone: n.zones[zone].word, Label: fmt.Sprintf("%d other sets %s", len(ids), what), Count: brief(reach.Union(sets...)), Services: services, Folded: len(ids)}
}
