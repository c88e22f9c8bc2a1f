package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"

	"casemate/cmd/casemate/output"
	"casemate/policy/diff"
)

// What a comment holds at most: of one text, of the lines of a dimension, and of the services that one group names.
const (
	mostText  = 400 // bytes
	mostLines = 12
	mostNames = 20
)

// markdown writes a difference as a review comment: what may be more first, the rest folded.
func (t told) markdown(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "**casemate diff**: %s\n", output.MarkdownText(t.summary()))
	left := 0
	for i := range t.groups {
		g := &t.groups[i]
		text := t.block(g)
		if left > 0 || b.Len()+len(text) > output.MaxMarkdown-200 {
			left += len(g.names)
			continue
		}
		b.WriteString(text)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n%d more services are left out: `casemate diff` has them all.\n", left)
	}
	if len(t.p.Policy) > 0 && b.Len() < output.MaxMarkdown-100-len(t.p.Policy)*2*mostText {
		fmt.Fprintf(&b, "\nThe policy's own attributes, %s:\n\n", cmp.Or(t.p.PolicyVerdict, diff.Changed))
		for _, line := range t.p.Policy {
			fmt.Fprintf(&b, "- %s\n", plain(line))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// plain and code are what a policy chose, cut to what fits.
func plain(s string) string { return output.MarkdownText(cut(s)) }
func code(s string) string  { return output.MarkdownCode(cut(s)) }

func cut(s string) string {
	if len(s) <= mostText {
		return s
	}
	s = s[:mostText]
	for !utf8.ValidString(s) && len(s) > mostText-utf8.UTFMax {
		s = s[:len(s)-1]
	}
	return s + " ..."
}

// block is what is said of a group: open if it may be more, folded if not.
func (t *told) block(g *group) string {
	var b strings.Builder
	names, more := g.named(mostNames)
	var words, marks []string
	for _, n := range names {
		words = append(words, code(n))
		marks = append(marks, "<code>"+html.EscapeString(output.OneLine(cut(n)))+"</code>")
	}
	if more > 0 {
		words, marks = append(words, fmt.Sprintf("%d more", more)), append(marks, fmt.Sprintf("%d more", more))
	}
	if g.of.Verdict.MayWiden() {
		fmt.Fprintf(&b, "\n**%s**: %s\n\n", g.of.Verdict, strings.Join(words, ", "))
	} else {
		fmt.Fprintf(&b, "\n<details><summary>%s: %s</summary>\n\n", g.of.Verdict, strings.Join(marks, ", "))
	}
	for i := range g.of.Dimensions {
		t.dimension(&b, g.of, &g.of.Dimensions[i])
	}
	if !g.of.Verdict.MayWiden() {
		b.WriteString("\n</details>\n")
	}
	return b.String()
}

// signs are the words of a sign.
var signs = map[string]string{"+": "more", "-": "less", "~": "other", ".": "changed"}

// dimension is a list of what is said of one: sentences each on a line, words together.
func (t *told) dimension(b *strings.Builder, s *diff.Service, d *diff.Dimension) {
	by := ""
	if d.By != "" {
		by = " (" + plain(d.By) + ")"
	}
	fmt.Fprintf(b, "- **%s**%s: %s", plain(d.Name), by, d.Verdict)
	if first := t.again(s, d); first != "" {
		fmt.Fprintf(b, ", as of %s\n", code(first))
		return
	}
	b.WriteString("\n")
	words, sentences, left := map[string][]string{}, 0, 0
	for _, l := range t.lines(s, d) {
		if l.proof == nil && !strings.Contains(l.text, " ") {
			words[l.sign] = append(words[l.sign], code(l.text))
			continue
		}
		if sentences++; sentences > mostLines {
			left++
			continue
		}
		fmt.Fprintf(b, "  - %s: %s\n", signs[l.sign], plain(l.text))
		for _, p := range l.proof {
			fmt.Fprintf(b, "    - %s\n", code(p))
		}
		if l.why != "" {
			fmt.Fprintf(b, "    - %s\n", plain(l.why))
		}
	}
	if left > 0 {
		fmt.Fprintf(b, "  - %d more\n", left)
	}
	for _, sign := range []string{"+", "-", "~", "."} {
		list := words[sign]
		if n := len(list); n > 2*mostLines {
			list = append(list[:2*mostLines:2*mostLines], fmt.Sprintf("%d more", n-2*mostLines))
		}
		if len(list) > 0 {
			fmt.Fprintf(b, "  - %s: %s\n", signs[sign], strings.Join(list, ", "))
		}
	}
	for _, p := range proofs(d) {
		fmt.Fprintf(b, "    - %s\n", code(p))
	}
}
