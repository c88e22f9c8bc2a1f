package lang

import (
	"bytes"

	"casemate/policy"
	"casemate/policy/input"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// plainList is a list of plain strings in a file's text: its offsets, the brackets included, and those of its strings without quotes.
type plainList struct {
	first, last int
	words       [][2]int
}

// parsed gives the syntax of a file, the same as hclsyntax.ParseConfig does, and for many addresses in a fraction of its time:
// lists of plain strings are most of a large policy, and are taken out of the text before, and put in their places afterwards.
// false means that the file has to be looked at as it is: something in it is reported, or is not as plain as it seemed.
func (c *compiler) parsed(f policy.SourceFile) (*hclsyntax.Body, bool) {
	lists := plainLists(f.Data)
	if len(lists) == 0 {
		return nil, false
	}
	bare := policy.SourceFile{Name: f.Name, Data: bytes.Clone(f.Data)}
	for _, l := range lists {
		for i := l.first + 1; i < l.last; i++ {
			if bare.Data[i] != '\n' {
				bare.Data[i] = ' '
			}
		}
	}
	before := len(c.found)
	ok := len(f.Data) <= input.MaxSourceFile && notText(f.Data) < 0 && c.precheck(bare)
	if c.found = c.found[:before]; !ok {
		return nil, false
	}
	file, ds := hclsyntax.ParseConfig(bare.Data, f.Name, hcl.InitialPos)
	if len(ds) > 0 {
		return nil, false
	}
	by := make(map[int]*plainList, len(lists))
	for i := range lists {
		by[lists[i].first] = &lists[i]
	}
	body := file.Body.(*hclsyntax.Body)
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if e, is := n.(*hclsyntax.TupleConsExpr); is && len(e.Exprs) == 0 {
			if l := by[e.OpenRange.Start.Byte]; l != nil && l.last+1 == e.SrcRange.End.Byte {
				e.Exprs = l.exprs(f, e.OpenRange.Start)
				delete(by, l.first)
			}
		}
		return nil
	})
	return body, len(by) == 0
}

// exprs are the strings as the parser has them, of a list that begins at that place.
func (l *plainList) exprs(f policy.SourceFile, at hcl.Pos) []hclsyntax.Expression {
	type one struct {
		template hclsyntax.TemplateExpr
		literal  hclsyntax.LiteralValueExpr
		parts    [1]hclsyntax.Expression
	}
	all, out := make([]one, len(l.words)), make([]hclsyntax.Expression, len(l.words))
	to := func(i int) hcl.Pos {
		gap := f.Data[at.Byte:i]
		if n := bytes.Count(gap, []byte{'\n'}); n > 0 {
			at.Line += n
			at.Column = len(gap) - bytes.LastIndexByte(gap, '\n')
		} else {
			at.Column += len(gap)
		}
		at.Byte = i
		return at
	}
	for i, w := range l.words {
		x := &all[i]
		x.template.SrcRange = hcl.Range{Filename: f.Name, Start: to(w[0] - 1)}
		x.literal = hclsyntax.LiteralValueExpr{Val: cty.StringVal(string(f.Data[w[0]:w[1]])), SrcRange: hcl.Range{Filename: f.Name, Start: to(w[0]), End: to(w[1])}}
		x.template.SrcRange.End = to(w[1] + 1)
		x.parts[0] = &x.literal
		x.template.Parts = x.parts[:]
		out[i] = &x.template
	}
	return out
}

// plainLists finds the lists of plain strings. It gives none where it cannot tell what is text and what is not.
func plainLists(b []byte) (out []plainList) {
	skip := func(i int, end string) int { // behind the next end
		if n := bytes.Index(b[i:], []byte(end)); n >= 0 {
			return i + n + len(end)
		}
		return len(b)
	}
	for i := 0; i < len(b); {
		next := byte(0)
		if i+1 < len(b) {
			next = b[i+1]
		}
		switch {
		case b[i] == '#' || b[i] == '/' && next == '/':
			i = skip(i, "\n")
		case b[i] == '/' && next == '*':
			i = skip(i+2, "*/")
		case b[i] == '<' && next == '<':
			return nil
		case b[i] == '"':
			end := quotedEnd(b, i)
			if end < 0 {
				return nil
			}
			i = end
		case b[i] == '[':
			if l, ok := plainAt(b, i); ok {
				out = append(out, l)
				i = l.last
			}
			i++
		default:
			i++
		}
	}
	return out
}

// quotedEnd is behind the string that begins at i, or -1 for one that is not on one line, or is a template.
func quotedEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i++
		case c == '\n' || (c == '$' || c == '%') && i+1 < len(b) && b[i+1] == '{':
			return -1
		}
	}
	return -1
}

// plainAt reads the list that begins at i: strings of printable ASCII, none empty, without escapes and templates, with commas between.
func plainAt(b []byte, i int) (plainList, bool) {
	l := plainList{first: i}
	blank := func() {
		for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n') {
			i++
		}
	}
	for i++; ; i++ {
		if blank(); i < len(b) && b[i] == ']' && len(l.words) > 0 {
			break
		}
		if i >= len(b) || b[i] != '"' {
			return l, false
		}
		i++
		from := i
		for i < len(b) && b[i] != '"' {
			if c := b[i]; c < ' ' || c > '~' || c == '\\' || c == '$' || c == '%' {
				return l, false
			}
			i++
		}
		if i == from {
			return l, false
		}
		l.words = append(l.words, [2]int{from, i})
		i++
		if blank(); i < len(b) && b[i] == ']' {
			break
		}
		if i >= len(b) || b[i] != ',' {
			return l, false
		}
	}
	l.last = i
	return l, i < len(b)
}
