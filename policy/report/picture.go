package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"casemate/policy/score"
)

// Picture is who reaches what, and through which layers: networks on one side, rows of services, and for each what its
// layers leave open.
type Picture struct {
	Networks []Network `json:"networks"`
	Layers   []string  `json:"layers"`
	Rows     []Row     `json:"rows"`
	// Folded says in words what is put together, "" for nothing.
	Folded string `json:"folded,omitempty"`
}

// Network is one set of clients. Folded is how many sets it is, 0 for one alone.
type Network struct {
	Zone     string `json:"zone"`
	Label    string `json:"label"`
	Count    string `json:"count"`
	Services int    `json:"services"`
	Folded   int    `json:"folded,omitempty"`
}

// Row is a service, or several of which the picture is the same.
type Row struct {
	Label    string   `json:"label"`
	Services []string `json:"services"`
	Score    float64  `json:"score"` // the highest
	Band     string   `json:"band"`
	Edges    []Edge   `json:"edges"`
	// Open is, of each layer, the part from 0 to 1 of what it could leave open: the largest of the row's services.
	Open []float64 `json:"open"`
	// Points are what that adds to the score.
	Points []float64 `json:"points"`
}

// Edge leads from a network of the picture. Always is as in Reached.
type Edge struct {
	Network int  `json:"network"`
	Always  bool `json:"always"`
}

// What a picture has room for.
const (
	mostNetworks = 7
	mostRows     = 24
)

// layers are the dimensions of the score that are shown, from the network inwards.
var layers = []string{"limits", "identity", "capabilities", "seccomp", "files", "network", "resources", "namespaces", "processor", "best effort"}

// picture is that of services, the most exposed first.
func picture(services []Service, n *networks) *Picture {
	p := &Picture{Layers: slices.Clone(layers)}
	var places []int
	p.Networks, places = n.shown(mostNetworks)
	same := map[string]int{}
	for i := range services {
		row := rowOf(&services[i], places)
		key := fmt.Sprint(row.Band, row.Edges, levels(row.Open))
		if at, ok := same[key]; ok && len(services) > mostRows {
			p.Rows[at].join(&row)
			continue
		}
		same[key] = len(p.Rows)
		p.Rows = append(p.Rows, row)
	}
	var said []string
	if grouped := len(services) - len(p.Rows); grouped > 0 {
		said = append(said, "services of one band that the same networks reach, and whose layers leave about as much open, share a row")
	}
	if len(p.Rows) > mostRows {
		last := p.Rows[mostRows-1]
		for i := mostRows; i < len(p.Rows); i++ {
			last.join(&p.Rows[i])
		}
		p.Rows = append(p.Rows[:mostRows-1], last)
		said = append(said, fmt.Sprintf("the last row is the %d least exposed services, with whatever any of them has", len(last.Services)))
	}
	for i := range p.Rows {
		p.Rows[i].name()
	}
	folded := 0
	for i := range p.Networks {
		folded += p.Networks[i].Folded
	}
	if folded > 0 {
		said = append(said, fmt.Sprintf("%d of %d sets of clients are put together by where they are", folded, len(n.all)))
	}
	p.Folded = strings.Join(said, "; ")
	return p
}

// rowOf is the row of one service.
func rowOf(s *Service, places []int) Row {
	row := Row{Services: []string{s.Name}, Score: s.Score.Score, Band: s.Score.Band, Edges: []Edge{}}
	row.Open, row.Points = opens(&s.Score)
	for i := range s.Reach {
		row.lead(Edge{places[s.Reach[i].id], s.Reach[i].Always})
	}
	return row
}

// lead adds an edge, of which a network has one.
func (r *Row) lead(e Edge) {
	for i := range r.Edges {
		if r.Edges[i].Network == e.Network {
			r.Edges[i].Always = r.Edges[i].Always || e.Always
			return
		}
	}
	r.Edges = append(r.Edges, e)
}

// join adds the services of another row.
func (r *Row) join(o *Row) {
	r.Services = append(r.Services, o.Services...)
	if o.Score > r.Score {
		r.Score, r.Band = o.Score, o.Band
	}
	for _, e := range o.Edges {
		r.lead(e)
	}
	for i := range r.Open {
		r.Open[i], r.Points[i] = math.Max(r.Open[i], o.Open[i]), math.Max(r.Points[i], o.Points[i])
	}
}

// name makes the row's label.
func (r *Row) name() {
	if r.Label = r.Services[0]; len(r.Services) > 1 {
		r.Label = fmt.Sprintf("%s and %d more", r.Services[0], len(r.Services)-1)
	}
}

// opens is how much of what each layer could leave open it does, as a part and in points.
func opens(s *score.Score) (open, worth []float64) {
	open, worth = make([]float64, len(layers)), make([]float64, len(layers))
	for i, name := range layers {
		points, weight := 0.0, 0.0
		for k := range s.Items {
			if it := &s.Items[k]; it.Dimension == name {
				points, weight = points+it.Points, weight+it.Weight
			}
		}
		if weight > 0 {
			open[i], worth[i] = points/weight, points
		}
	}
	return open, worth
}

// levels are amounts in fifths.
func levels(open []float64) (out []int) {
	for _, v := range open {
		out = append(out, int(math.Ceil(v*5)))
	}
	return out
}
