package report

import (
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style string

// page is what the template has beside a report.
type page struct {
	*Report
	Style        template.CSS // of ours, no word of a policy
	Policy       string       // of its contents: that style, and nothing else
	Wide, Narrow *drawing
	Unfold       bool // so few services that all of them are open
}

// mostOpen is up to how many services all are unfolded.
const mostOpen = 12

// pageTemplate is parsed by the verb that writes a page, and by no other.
var pageTemplate = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Funcs(pageWords).Parse(pageText)) })

var pageWords = template.FuncMap{
	"points":  func(v float64) string { return fmt.Sprintf("%.2f", v) },
	"score":   func(v float64) string { return fmt.Sprintf("%.1f", v) },
	"join":    func(list []string) string { return strings.Join(list, ", ") },
	"scored":  func(s *Service) int { return scored(s) },
	"short":   func(digest string) string { return digest[:min(len(digest), 19)] },
	"nothing": func(origin string) bool { return origin == "" || origin == "default" },
	"plural": func(n int, one, more string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, more)
	},
}

// scored is how many items of a service's score have points.
func scored(s *Service) (n int) {
	for i := range s.Score.Items {
		if s.Score.Items[i].Points > 0 {
			n++
		}
	}
	return n
}

// Write writes the page.
func (r *Report) Write(w io.Writer) error {
	hash := sha256.Sum256([]byte(style))
	p := page{
		Report: r, Style: template.CSS(style), Unfold: len(r.Services) <= mostOpen,
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
	}
	if r.Picture != nil {
		p.Wide, p.Narrow = wide(r.Picture), narrow(r.Picture)
	}
	if err := pageTemplate().Execute(w, p); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
