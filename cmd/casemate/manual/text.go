package manual

import (
	"bytes"
	"regexp"
	"strings"
)

// Text writes help as a terminal shows it. Paragraphs are divided by empty lines and filled;
// what is indented stays as it is, but for lists:
//
//	term    what it is,
//	        which may go on
//
// and a paragraph whose first line is a row of capitals is a table of such terms, with
// two blanks or more between its columns.
func Text(b *bytes.Buffer, text string) {
	for _, p := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		lines := strings.Split(strings.TrimRight(p, " \n"), "\n")
		if header := columns(lines[0]); len(header) > 1 && strings.ToUpper(lines[0]) == lines[0] {
			table(b, header, lines[1:])
			continue
		}
		for len(lines) > 0 {
			n, indented := 1, strings.HasPrefix(lines[0], " ")
			for n < len(lines) && strings.HasPrefix(lines[n], " ") == indented {
				n++
			}
			if !indented {
				b.WriteString(".PP\n")
				fill(b, strings.Join(lines[:n], " "))
			} else if items := list(lines[:n]); items != nil {
				Items(b, items)
			} else {
				verbatim(b, lines[:n])
			}
			lines = lines[n:]
		}
	}
}

// entry is the first line of a list's item: a term, and what it is.
var entry = regexp.MustCompile(`^  (\S+(?: \S+)*)(?:  +)([^= ].*)$`)

// list gives the items of indented lines, nil where they are no list.
func list(lines []string) (items []Item) {
	for _, l := range lines {
		m := entry.FindStringSubmatch(l)
		switch {
		case m != nil:
			items = append(items, Item{m[1], m[2]})
		case len(items) > 0 && strings.HasPrefix(l, "      "):
			items[len(items)-1].Text += " " + strings.TrimSpace(l)
		default:
			return nil
		}
	}
	return items
}

// Rows are the rows of a table below its header, split at its columns; of a row with fewer
// columns the last is short.
func Rows(header string, lines []string) (rows [][]string) {
	n := len(columns(header))
	for _, l := range lines {
		f := columns(l)
		if len(f) > n {
			f = append(f[:n-1], strings.Join(f[n-1:], "  "))
		}
		rows = append(rows, f)
	}
	return rows
}

func table(b *bytes.Buffer, header, lines []string) {
	var items []Item
	for _, f := range Rows(strings.Join(header, "  "), lines) {
		it := Item{Term: f[0], Text: f[len(f)-1]}
		if len(f) > 2 {
			it.Text = "(" + strings.Join(f[1:len(f)-1], "; ") + ") " + it.Text
		}
		items = append(items, it)
	}
	b.WriteString(".PP\n")
	fill(b, strings.Join(header, ", ")+":")
	Items(b, items)
}

var gap = regexp.MustCompile(` {2,}`)

func columns(l string) []string { return gap.Split(strings.TrimRight(l, " "), -1) }

// verbatim writes lines as they are, without the indentation that all share.
func verbatim(b *bytes.Buffer, lines []string) {
	least := len(lines[0])
	for _, l := range lines {
		if l != "" {
			least = min(least, len(l)-len(strings.TrimLeft(l, " ")))
		}
	}
	b.WriteString(".PP\n.RS 4\n.nf\n")
	for _, l := range lines {
		if l != "" {
			l = l[least:]
		}
		line(b, l)
	}
	b.WriteString(".fi\n.RE\n")
}
