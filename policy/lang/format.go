package lang

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Format returns the canonical layout of a policy file: two spaces for each
// bracket, one space between words, aligned = and comments in neighbouring
// lines, at most one blank line. Only white space changes, and a second Format
// changes nothing. A file that does not parse gives diagnostics and no bytes.
func Format(f policy.SourceFile) ([]byte, []policy.Diagnostic) {
	c := newCompiler(nil)
	if _, ok := c.parse([]policy.SourceFile{f}); !ok {
		return nil, c.diagnostics()
	}
	tokens, _ := hclsyntax.LexConfig(f.Data, f.Name, hcl.InitialPos) // parse lexed the same bytes
	lines := layout(words(f.Data, tokens))
	align(lines)
	return render(lines), nil
}

// word is a piece of a line that is never broken: a token, or a whole string.
type word struct {
	text    string
	kind    hclsyntax.TokenType
	newline bool // a line ends after it
}

// line is one line of output.
type line struct {
	indent  int
	name    string // "name" of `name = value` when the whole value is on this line
	text    string // without name and comment
	comment string
	verb    bool // ends in a heredoc, whose bytes stay as they are
}

// words joins the tokens of strings and heredocs into one word each.
func words(src []byte, tokens hclsyntax.Tokens) []word {
	var out []word
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		w := word{text: string(t.Bytes), kind: t.Type}
		switch t.Type {
		case hclsyntax.TokenEOF:
			return out
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			end := closing(tokens, i)
			w.text = string(src[t.Range.Start.Byte:tokens[end].Range.End.Byte])
			i = end
		case hclsyntax.TokenComment:
			w.text = strings.TrimRight(w.text, " \t\r\n")
			w.newline = bytes.HasSuffix(t.Bytes, []byte("\n"))
		case hclsyntax.TokenNewline:
			w = word{newline: true, kind: t.Type}
		}
		out = append(out, w)
	}
	return out
}

// closing finds the token that ends the string or heredoc opened at i.
func closing(tokens hclsyntax.Tokens, i int) int {
	depth := 0
	for ; i < len(tokens)-1; i++ {
		switch tokens[i].Type {
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}

// layout breaks words into lines with their indents. Blank lines are kept, one
// at most, and none directly inside of brackets.
func layout(all []word) []line {
	var lines []line
	depth, blank := 0, false
	for len(all) > 0 {
		var row []word
		for len(all) > 0 {
			w := all[0]
			all = all[1:]
			if w.kind != hclsyntax.TokenNewline {
				row = append(row, w)
			}
			if w.newline {
				break
			}
		}
		if len(row) == 0 {
			blank = true
			continue
		}
		l := line{indent: depth - leading(row)}
		depth += balance(row)
		if blank && len(lines) > 0 && !opens(lines[len(lines)-1]) && leading(row) == 0 {
			lines = append(lines, line{})
		}
		blank = false
		fill(&l, row)
		lines = append(lines, l)
	}
	return lines
}

// fill puts the words of a row into its line.
func fill(l *line, row []word) {
	if last := row[len(row)-1]; last.kind == hclsyntax.TokenComment && len(row) > 1 {
		l.comment = last.text
		row = row[:len(row)-1]
	}
	l.verb = row[len(row)-1].kind == hclsyntax.TokenOHeredoc
	if len(row) > 2 && row[0].kind == hclsyntax.TokenIdent && row[1].kind == hclsyntax.TokenEqual && balance(row) == 0 && !l.verb {
		l.name = row[0].text
		row = row[1:]
	}
	var b strings.Builder
	for i, w := range row {
		if i > 0 && spaced(row[i-1], w) {
			b.WriteByte(' ')
		}
		b.WriteString(w.text)
	}
	l.text = b.String()
}

// balance is how many brackets a row opens beyond those it closes.
func balance(row []word) int {
	n := 0
	for _, w := range row {
		switch w.kind {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen:
			n++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen:
			n--
		}
	}
	return n
}

// leading is how many brackets a row closes before it says anything else.
func leading(row []word) int {
	for i, w := range row {
		switch w.kind {
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen:
		default:
			return i
		}
	}
	return len(row)
}

func opens(l line) bool {
	return l.comment == "" && strings.HasSuffix(l.text, "{") || strings.HasSuffix(l.text, "[") || strings.HasSuffix(l.text, "(")
}

// spaced tells whether a space stands between two words of a line.
func spaced(a, b word) bool {
	switch {
	case a.kind == hclsyntax.TokenComment || b.kind == hclsyntax.TokenComment:
		return true
	case a.kind == hclsyntax.TokenOBrace && b.kind == hclsyntax.TokenCBrace:
		return false
	case b.kind == hclsyntax.TokenComma, b.kind == hclsyntax.TokenDot, a.kind == hclsyntax.TokenDot,
		a.kind == hclsyntax.TokenOBrack, b.kind == hclsyntax.TokenCBrack, a.kind == hclsyntax.TokenOParen,
		b.kind == hclsyntax.TokenCParen, b.kind == hclsyntax.TokenColon:
		return false
	case b.kind == hclsyntax.TokenOParen:
		return a.kind != hclsyntax.TokenIdent
	}
	return true
}

// align pads names and comments of neighbouring lines to one column.
func align(lines []line) {
	for i := 0; i < len(lines); {
		j := i + 1
		for j < len(lines) && lines[i].name != "" && lines[j].name != "" && lines[j].indent == lines[i].indent {
			j++
		}
		if lines[i].name != "" {
			pad(lines[i:j])
		}
		i = j
	}
}

func pad(run []line) {
	wide := 0
	for _, l := range run {
		wide = max(wide, utf8.RuneCountInString(l.name))
	}
	for i := range run {
		l := &run[i]
		l.text = l.name + strings.Repeat(" ", wide-utf8.RuneCountInString(l.name)+1) + l.text
	}
	for i := 0; i < len(run); {
		j, column := i, 0
		for ; j < len(run) && run[j].comment != ""; j++ {
			column = max(column, utf8.RuneCountInString(run[j].text))
		}
		for k := i; k < j; k++ {
			run[k].text += strings.Repeat(" ", column-utf8.RuneCountInString(run[k].text))
		}
		i = max(j, i+1)
	}
}

func render(lines []line) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		if l.text == "" && l.comment == "" {
			b.WriteByte('\n')
			continue
		}
		b.WriteString(strings.Repeat("  ", max(l.indent, 0)))
		b.WriteString(l.text)
		if l.comment != "" {
			b.WriteString(" " + l.comment)
		}
		if !strings.HasSuffix(l.text, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}
