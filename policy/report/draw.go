package report

import (
	"fmt"
	"unicode/utf8"
)

// drawing is a picture with its places, in the units of its view box.
type drawing struct {
	ID            string // of its title
	Width, Height int
	Networks      []drawnNetwork
	Heads, Words  []head
	Rows          []drawnRow
	Edges         []drawnEdge
	Lanes         []lane
	Layers        string // names of the layers, for who does not see them
}

type drawnNetwork struct {
	Network
	X, Y, W, H int
	Lines      []string
	Number     int
}

// head is a word above a column of layers.
type head struct {
	X, Y int
	Turn int // degrees
	Text string
}

type drawnRow struct {
	Row
	X, Y, W, H int
	Text       string
	Href       string
	ScoreX     int
	Cells      []cell
	Dots       []dot
	LineX      int // where its line begins
}

// cell is a layer: how high it is filled, and what that is in words.
type cell struct {
	X, Y, W, H, FillY, FillH int
	Worth                    string // of the band that so many points are like
	Title                    string
}

type drawnEdge struct {
	Path, Zone string
	Always     bool
}

type dot struct {
	X, Y   int
	Zone   string
	Always bool
}

type lane struct {
	X, Top, Bottom int
	Zone           string
}

// wide is the picture for a desk: networks left, layers right, and lines between.
func wide(p *Picture) *drawing {
	const rowH, netH, top, left, netW, rowX, rowW, cellX, cellW = 34, 58, 100, 2, 290, 410, 236, 664, 25
	body := max(len(p.Rows)*rowH, len(p.Networks)*netH)
	d := &drawing{ID: "wide", Width: 960, Height: top + body + 8}
	d.Words = []head{{X: left, Y: top - 8, Text: "clients"}, {X: rowX, Y: top - 8, Text: "services, and their scores"}}
	at := func(i, n, h int) int { return top + (body-n*h)/2 + i*h }
	middle := func(i int) int { return top + body*(2*i+1)/(2*len(p.Networks)) }
	for i, n := range p.Networks {
		d.Networks = append(d.Networks, drawnNetwork{n, left, middle(i) - netH/2 + 5, netW, netH - 10, []string{cut(n.Label, 34), cut(n.Count, 40)}, i + 1})
	}
	for i, name := range p.Layers {
		d.Heads = append(d.Heads, head{cellX + i*cellW + cellW/2, top - 8, -58, name})
	}
	for i, r := range p.Rows {
		y := at(i, len(p.Rows), rowH)
		row := drawnRow{Row: r, X: rowX, Y: y + 3, W: rowW, H: rowH - 6, Text: cut(r.Label, 24), Href: "#service-" + r.Services[0], ScoreX: rowX + rowW - 10}
		row.cells(p, cellX+3, y+5, cellW, cellW-6, rowH-10)
		for k, e := range r.Edges {
			from := middle(e.Network)
			to := y + 3 + (k+1)*(rowH-6)/(len(r.Edges)+1)
			path := fmt.Sprintf("M%d %dC%d %d %d %d %d %d", left+netW, from, (left+netW+rowX)/2+10, from, (left+netW+rowX)/2-10, to, rowX, to)
			d.Edges = append(d.Edges, drawnEdge{path, p.Networks[e.Network].Zone, e.Always})
		}
		d.Rows = append(d.Rows, row)
	}
	return d
}

// narrow is the picture for a phone: each network is a lane with a number, and each row stops at those it is reached from.
func narrow(p *Picture) *drawing {
	const width, rowH, netH, laneX, laneW, heads = 360, 58, 40, 12, 15, 84
	d := &drawing{ID: "narrow", Width: width}
	for i, n := range p.Networks {
		d.Networks = append(d.Networks, drawnNetwork{n, 0, i * netH, width, netH - 6, []string{cut(n.Label, 42), cut(n.Count, 48)}, i + 1})
	}
	top := len(p.Networks)*netH + heads
	rowX := laneX + len(p.Networks)*laneW + 4
	cellW := (width - rowX - 2) / len(p.Layers)
	for i, name := range p.Layers {
		d.Heads = append(d.Heads, head{rowX + i*cellW + cellW/2 + 4, top - 8, -90, name})
	}
	for i, n := range p.Networks {
		d.Lanes = append(d.Lanes, lane{laneX + i*laneW, top - 4, top + len(p.Rows)*rowH - 16, n.Zone})
	}
	for i, r := range p.Rows {
		y := top + i*rowH
		row := drawnRow{Row: r, X: rowX, Y: y, W: width - rowX, H: 22, Text: cut(r.Label, (width-rowX-44)/8), Href: "#service-" + r.Services[0], ScoreX: width - 8, LineX: rowX}
		row.cells(p, rowX+2, y+26, cellW, cellW-4, 20)
		for _, e := range r.Edges {
			x := laneX + e.Network*laneW
			row.LineX = min(row.LineX, x)
			row.Dots = append(row.Dots, dot{x, y + 11, p.Networks[e.Network].Zone, e.Always})
		}
		d.Rows = append(d.Rows, row)
	}
	d.Height = top + len(p.Rows)*rowH
	return d
}

// cells places the layers of a row: the first at x and y, each so far from the one before, so wide and high.
func (r *drawnRow) cells(p *Picture, x, y, step, w, h int) {
	for i, v := range r.Open {
		fill := int(v*float64(h) + 0.5)
		if v > 0 {
			fill = max(fill, 2)
		}
		r.Cells = append(r.Cells, cell{
			X: x + i*step, Y: y, W: w, H: h, FillY: y + h - fill, FillH: fill, Worth: worth(r.Points[i]),
			Title: fmt.Sprintf("%s: %s leaves open %d%% of what it could, %.1f points", r.Label, p.Layers[i], int(v*100+0.5), r.Points[i]),
		})
	}
}

// worth is how grave so many points of a layer are.
func worth(points float64) string {
	switch {
	case points < 1:
		return "low"
	case points < 3:
		return "moderate"
	case points < 6:
		return "high"
	}
	return "severe"
}

// cut is a text of at most n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
