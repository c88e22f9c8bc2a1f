package lang

import (
	"strings"
	"unicode/utf8"

	"casemate/policy"
	"casemate/policy/input"
)

// cell is a line being laid out: what stands before the =, from there on, and the comment.
type cell struct{ lead, rest, comment string }

// laid is what has been written, as Format has it. Format itself takes several times as long; it is asked
// where a character may be wider or narrower than one column.
func (e *printer) laid() []byte {
	raw := e.b.String()
	if strings.ContainsFunc(raw, func(r rune) bool { return r >= utf8.RuneSelf }) {
		raw = strings.NewReplacer(assigned, " ", commented, " ").Replace(raw)
		if text, ds := Format(policy.SourceFile{Name: "printed" + input.SourceSuffix, Data: []byte(raw)}); len(ds) == 0 {
			return text
		}
		return []byte(raw) // whose reader will say what is wrong
	}
	var cells []cell
	depth, blank := 0, false
	for line := range strings.SplitSeq(strings.TrimSpace(raw), "\n") {
		if line == "" {
			blank = true
			continue
		}
		text, comment, _ := strings.Cut(line, commented)
		closing := strings.HasPrefix(text, "}") || strings.HasPrefix(text, "]")
		if closing {
			depth--
		}
		if blank = blank && !closing && !cells[len(cells)-1].opens(); blank {
			cells = append(cells, cell{})
		}
		blank = false
		c := cell{lead: strings.Repeat("  ", depth) + text, comment: comment}
		if lead, rest, ok := strings.Cut(c.lead, assigned); ok {
			c.lead, c.rest = lead, rest
		}
		if c.opens() { // what goes on for several lines is not lined up with others
			if c.rest != "" {
				c.lead, c.rest = c.lead+" "+c.rest, ""
			}
			depth++
		}
		cells = append(cells, c)
	}
	return align(cells)
}

// opens tells whether a bracket is left open at the end of the line.
func (c cell) opens() bool {
	end := c.lead + c.rest
	return !strings.HasPrefix(strings.TrimSpace(end), "#") && (strings.HasSuffix(end, "{") || strings.HasSuffix(end, "["))
}

// align lines up the = of attributes and the comments that follow on one another.
func align(cells []cell) []byte {
	each := func(in func(*cell) bool, width func(*cell) int, pad func(*cell, int)) {
		for i := 0; i < len(cells); {
			end, most := i, 0
			for ; end < len(cells) && in(&cells[end]); end++ {
				most = max(most, width(&cells[end]))
			}
			for ; i < end; i++ {
				pad(&cells[i], most-width(&cells[i]))
			}
			i = max(i, end) + 1
		}
	}
	each(func(c *cell) bool { return c.rest != "" }, func(c *cell) int { return len(c.lead) }, func(c *cell, n int) {
		c.lead, c.rest = c.lead+strings.Repeat(" ", n+1)+c.rest, ""
	})
	each(func(c *cell) bool { return c.comment != "" }, func(c *cell) int { return len(c.lead) }, func(c *cell, n int) {
		c.lead += strings.Repeat(" ", n+1) + c.comment
	})
	var out strings.Builder
	for i := range cells {
		out.WriteString(cells[i].lead + "\n")
	}
	return []byte(out.String())
}
