package report

import (
	"fmt"
	"strings"
	"testing"
)

// crowded is a policy of so many services, of which each seventh has an acl of its own.
func crowded(services int) string {
	var b strings.Builder
	b.WriteString("policy { edition = 1 }\n")
	for i := range services/7 + 1 {
		fmt.Fprintf(&b, "acl \"a%d\" {\n  allow { from = [\"10.%d.0.0/16\", \"198.51.%d.0/24\"] }\n  default = \"deny\"\n}\n", i, i, i)
	}
	for i := range services {
		fmt.Fprintf(&b, "service \"s%d\" {\n  listen = [\"tcp://:%d\"]\n  command = [\"/bin/cat\"]\n  user = \"%s\"\n  acl = acl.a%d\n  profile = profile.%s\n}\n",
			i, 2000+i, []string{"dynamic", "nobody"}[i%2], i/7, []string{"line", "server", "line"}[i%3])
	}
	return b.String()
}

// TestCrowd: with few services and with many a picture has each of them once, and all that reaches them, within bounds.
func TestCrowd(t *testing.T) {
	for _, n := range []int{1, 5, mostRows, 200} {
		r, page := written(t, &Input{Doc: compiled(t, "x.cm.hcl", crowded(n))})
		p := r.Picture
		if len(p.Rows) > mostRows || len(p.Networks) > mostNetworks+5 {
			t.Errorf("%d services: %d rows, %d networks", n, len(p.Rows), len(p.Networks))
		}
		if n <= mostRows && len(p.Rows) != n || (n > mostRows) != strings.Contains(page, "Folded: ") {
			t.Errorf("%d services: %d rows, folded %q", n, len(p.Rows), p.Folded)
		}
		row := map[string]*Row{}
		for i := range p.Rows {
			for _, name := range p.Rows[i].Services {
				if row[name] != nil {
					t.Errorf("%d services: %s stands twice", n, name)
				}
				row[name] = &p.Rows[i]
			}
		}
		services := 0
		for i := range p.Networks {
			services += p.Networks[i].Services
		}
		reached := 0
		for i := range r.Services {
			s := &r.Services[i]
			reached += len(s.Reach)
			if row[s.Name] == nil || row[s.Name].Score < s.Score.Score {
				t.Fatalf("%d services: %s has no row, or one that scores less", n, s.Name)
			}
			for _, in := range s.Reach {
				if !leads(p, row[s.Name], in.Zone) {
					t.Errorf("%d services: nothing of %s leads to %s", n, in.Zone, s.Name)
				}
			}
		}
		if services != reached {
			t.Errorf("%d services: networks count %d of %d", n, services, reached)
		}
		for _, d := range []*drawing{wide(p), narrow(p)} {
			inside(t, d)
		}
	}
}

// leads tells whether a row has an edge from a network of a zone.
func leads(p *Picture, r *Row, zone string) bool {
	for _, e := range r.Edges {
		if p.Networks[e.Network].Zone == zone {
			return true
		}
	}
	return false
}

// inside fails if something of a drawing is outside of its view, or lies on what is beside it.
func inside(t *testing.T, d *drawing) {
	t.Helper()
	box := func(what string, x, y, w, h int) {
		if x < 0 || y < 0 || x+w > d.Width || y+h > d.Height {
			t.Errorf("%s: %s at %d,%d of %dx%d is outside", d.ID, what, x, y, w, h)
		}
	}
	bottom := 0
	for _, n := range d.Networks {
		box(n.Label, n.X, n.Y, n.W, n.H)
		if n.Y < bottom {
			t.Errorf("%s: %s lies on the network above", d.ID, n.Label)
		}
		bottom = n.Y + n.H
	}
	bottom = 0
	for _, r := range d.Rows {
		box(r.Label, r.X, r.Y, r.W, r.H)
		if r.Y < bottom {
			t.Errorf("%s: %s lies on the row above", d.ID, r.Label)
		}
		bottom = r.Y + r.H
		for i, c := range r.Cells {
			box(c.Title, c.X, c.Y, c.W, c.H)
			if c.FillH > c.H || i > 0 && c.X < r.Cells[i-1].X+r.Cells[i-1].W {
				t.Errorf("%s: %s: its cells lie on each other", d.ID, r.Label)
			}
			bottom = max(bottom, c.Y+c.H)
		}
	}
}
