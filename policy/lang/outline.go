package lang

import (
	"slices"
	"strings"

	"casemate/policy"
	"casemate/policy/input"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Span is a part of a source, in bytes, without End.
type Span struct{ Start, End int }

// Holds tells whether an offset is in the span or right behind it, where a cursor stands that has just written it.
func (s Span) Holds(offset int) bool { return s.Start <= offset && offset <= s.End }

// Part is a block or an attribute as it stands in a source, whether or not the rest of it can be read.
type Part struct {
	Block bool
	Kind  string // of a block its type, of an attribute its name
	Label string // of a block; "" for none

	Name, LabelAt Span // LabelAt is within the quotes
	Value         Span // of an attribute: all between = and the line's end
	All           Span
	Inside        []*Part // of a block
}

// Mention is a reference in a value: acl.office, local.net.
type Mention struct {
	Kind, Name string
	At         Span // of the name
}

// Outline is what a source holds, by its tokens: a file that somebody is writing rarely parses. Mentions are in the
// order of the text. A source that Compile would not read for its size has none.
func Outline(f policy.SourceFile) (parts []*Part, mentions []Mention) {
	if len(f.Data) > input.MaxSourceFile || input.IsTable(f.Name) || strings.HasSuffix(f.Name, input.BannerSuffix) {
		return nil, nil
	}
	tokens, _ := hclsyntax.LexConfig(f.Data, f.Name, hcl.InitialPos) // what is wrong with it, Compile says
	o := outline{tokens: slices.DeleteFunc(tokens, func(t hclsyntax.Token) bool {
		return t.Type == hclsyntax.TokenComment && !strings.HasSuffix(string(t.Bytes), "\n")
	})}
	o.read()
	return o.top, o.mentions()
}

// outline is an Outline being made.
type outline struct {
	tokens hclsyntax.Tokens
	top    []*Part
	open   []*Part // blocks around, outermost first
}

func (o *outline) at(i int) hclsyntax.TokenType {
	if i < len(o.tokens) {
		return o.tokens[i].Type
	}
	return hclsyntax.TokenEOF
}

func (o *outline) span(i int) Span {
	r := o.tokens[i].Range
	return Span{r.Start.Byte, r.End.Byte}
}

func (o *outline) add(p *Part) {
	if n := len(o.open); n > 0 {
		o.open[n-1].Inside = append(o.open[n-1].Inside, p)
	} else {
		o.top = append(o.top, p)
	}
}

func (o *outline) read() {
	for i := 0; i < len(o.tokens); {
		switch o.at(i) {
		case hclsyntax.TokenIdent:
			i = o.item(i)
			continue
		case hclsyntax.TokenCBrace:
			if n := len(o.open); n > 0 {
				o.open[n-1].All.End = o.span(i).End
				o.open = o.open[:n-1]
			}
		}
		i++
	}
	for _, p := range o.open { // that nobody has closed yet
		p.All.End = o.span(len(o.tokens) - 1).End
	}
}

// item reads an attribute, or a block up to its brace, and returns what follows.
func (o *outline) item(i int) int {
	p := &Part{Kind: string(o.tokens[i].Bytes), Name: o.span(i), All: o.span(i)}
	next := i + 1
	switch o.at(next) {
	case hclsyntax.TokenEqual:
		next = o.value(p, next+1)
	case hclsyntax.TokenOQuote:
		if o.at(next+1) == hclsyntax.TokenQuotedLit && o.at(next+2) == hclsyntax.TokenCQuote {
			p.Label, p.LabelAt = string(o.tokens[next+1].Bytes), o.span(next+1)
			next += 3
		}
	}
	if o.at(next) == hclsyntax.TokenOBrace && p.Value == (Span{}) {
		p.Block = true
		p.All.End = o.span(next).End
		if o.add(p); len(o.open) < maxDepth { // what is deeper belongs to nobody
			o.open = append(o.open, p)
		}
		return next + 1
	}
	o.add(p)
	return next
}

// value reads what follows an = up to the end of the line that is in no bracket.
func (o *outline) value(p *Part, i int) int {
	p.Value.Start, p.Value.End = o.span(i-1).End, o.span(i-1).End
	depth := 0
	for ; i < len(o.tokens); i++ {
		t := o.at(i)
		switch t {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCHeredoc:
			depth--
		}
		if depth < 0 || t == hclsyntax.TokenEOF || depth == 0 && (t == hclsyntax.TokenNewline || t == hclsyntax.TokenComment) {
			break
		}
		p.Value.End = o.span(i).End
	}
	if i < len(o.tokens) {
		p.Value.End = max(p.Value.End, o.span(i).Start) // blanks before the line's end are of it
	}
	p.All.End = p.Value.End
	return i
}

// referable are the words in front of the names of blocks and locals.
var referable = []string{kindACL, kindLimit, kindProfile, "local"}

func (o *outline) mentions() (out []Mention) {
	for i := range o.tokens {
		if kind := string(o.tokens[i].Bytes); o.at(i) == hclsyntax.TokenIdent && o.at(i+1) == hclsyntax.TokenDot && slices.Contains(referable, kind) && (i == 0 || o.at(i-1) != hclsyntax.TokenDot) {
			m := Mention{Kind: kind, At: Span{o.span(i + 1).End, o.span(i + 1).End}}
			if o.at(i+2) == hclsyntax.TokenIdent {
				m.Name, m.At = string(o.tokens[i+2].Bytes), o.span(i+2)
			}
			out = append(out, m)
		}
	}
	return out
}

// Find is the blocks around an offset, outermost first, and the attribute there, nil for none.
func Find(parts []*Part, offset int) (around []*Part, attribute *Part) {
	for parts != nil {
		i := slices.IndexFunc(parts, func(p *Part) bool { return p.All.Holds(offset) })
		if i < 0 {
			return around, nil
		}
		p := parts[i]
		if !p.Block {
			return around, p
		}
		around, parts = append(around, p), p.Inside
	}
	return around, nil
}

// RowsOf is the block of Reference that these blocks are, outermost first, nil for locals and what is not known.
func RowsOf(around []*Part) *Block {
	list := Reference()
	var at *Block
	for _, p := range around {
		kind := p.Kind
		if kind == "deny" { // has the rows of allow
			kind = "allow"
		}
		i := slices.IndexFunc(list, func(b Block) bool { word, _, _ := strings.Cut(b.Name, " "); return word == kind })
		if i < 0 {
			return nil
		}
		at = &list[i]
		list = at.Blocks
	}
	return at
}

// Offset is the byte of a line and a column as diagnostics count them, from 1 and in characters. What is not in the
// text is its nearest end.
func Offset(text []byte, line, column int) int {
	from := 0
	for n := 1; n < line; n++ {
		i := slices.Index(text[from:], '\n')
		if i < 0 {
			return len(text)
		}
		from += i + 1
	}
	row := text[from:]
	if i := slices.Index(row, '\n'); i >= 0 {
		row = row[:i]
	}
	at := 0
	for ; column > 1 && at < len(row); column-- {
		n, _, _ := textseg.ScanGraphemeClusters(row[at:], true)
		at += max(n, 1)
	}
	return from + at
}
