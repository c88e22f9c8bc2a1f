package lang

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/input"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	// maxDepth is how deep brackets and templates may nest. The parser is
	// recursive and dies on some 100,000 levels; a policy needs about five.
	maxDepth = 64
	// maxLines is how many lines one heredoc may have: the parser joins them in
	// a time that grows with the square of their number.
	maxLines = 2000
	// maxDigits keeps numbers within int64; HCL itself reads 1e999999999.
	maxDigits = 18
)

// precheck looks at a file before the parser sees it: the parser is recursive
// and slow on hostile text, the scanner is neither. It reports and returns
// false when the file must not be parsed.
func (c *compiler) precheck(f policy.SourceFile) bool {
	if len(f.Data) > input.MaxSourceFile {
		c.report(codeSize, at(f, 0), "split it into several files", "the file is larger than %s", explain.FormatSize(input.MaxSourceFile))
		return false
	}
	if i := notText(f.Data); i >= 0 {
		c.report(codeSize, at(f, i), "write UTF-8 text", "byte %#02x at offset %d is not text", f.Data[i], i)
		return false
	}
	tokens, ds := hclsyntax.LexConfig(f.Data, f.Name, hcl.InitialPos)
	if ds.HasErrors() {
		c.fromHCL(ds)
		return false
	}
	if isTests(f.Name) {
		return c.testTokens(tokens)
	}
	return c.tokens(tokens)
}

// notText returns the offset of the first byte that no text has, or -1.
func notText(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r < 0x20 && r != '\n' && r != '\t' && r != '\r' || r == 0x7f || r == '\uFEFF' {
			return i
		}
		i += n
	}
	return -1
}

// at is the range of the one byte at offset i.
func at(f policy.SourceFile, i int) hcl.Range {
	before := f.Data[:i]
	line := bytes.LastIndexByte(before, '\n') + 1
	pos := hcl.Pos{Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(before[line:]) + 1, Byte: i}
	end := pos
	if i < len(f.Data) {
		end.Column++
		end.Byte++
	}
	return hcl.Range{Filename: f.Name, Start: pos, End: end}
}

// tokens checks depth and refuses what is not in the language and makes the
// parser nest without brackets: operators, conditions, splats and indexes.
func (c *compiler) tokens(tokens hclsyntax.Tokens) bool {
	before, line := len(c.found), 0
	var n nesting
	var prev hclsyntax.TokenType
	for _, t := range tokens {
		if !c.nests(&n, t) {
			return false
		}
		switch t.Type {
		case hclsyntax.TokenOBrack:
			if indexable(prev) {
				c.report(codeFeature, t.Range, "give the item a local of its own", "indexing is not part of the policy language")
			}
		case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd: // nests has counted them
		case hclsyntax.TokenNumberLit:
			if !decimal(t.Bytes) {
				c.report(codeFeature, t.Range, "write a whole number of at most 18 digits; sizes, times and rates are strings, as \"64MiB\"", "%q is not a whole number", clip(string(t.Bytes)))
			}
		default:
			loop := t.Type == hclsyntax.TokenIdent && string(t.Bytes) == "for" && (prev == hclsyntax.TokenOBrack || prev == hclsyntax.TokenOBrace)
			if loop {
				c.report(codeFeature, t.Range, "write the items out, or use concat and setsubtract", "loops are not part of the policy language")
				return false
			}
			if what := foreign(t); what != "" && t.Range.Start.Line != line {
				line = t.Range.Start.Line // one for each line: operators come in pairs
				c.report(codeFeature, t.Range, plainly(t), "%s not part of the policy language", what)
			}
		}
		if len(c.found)-before > maxDiagnostics {
			break
		}
		prev = t.Type
	}
	c.pastedLines(before)
	return !c.failed(before)
}

// pastedLines puts one finding in the place of those since the first n, for each line
// that is of another language as a whole.
func (c *compiler) pastedLines(n int) {
	line := 0
	c.found = append(c.found[:n], slices.DeleteFunc(c.found[n:], func(f finding) bool {
		if f.Code != codeFeature || c.syntaxHint(f.rng) == "" {
			return false
		}
		again := f.rng.Start.Line == line
		line = f.rng.Start.Line
		return again
	})...)
	for i := n; i < len(c.found); i++ {
		if hint := c.syntaxHint(c.found[i].rng); hint != "" && c.found[i].Code == codeFeature {
			c.found[i].Detail = clip(hint)
		}
	}
}

// nesting is how deep the tokens so far are, and how long the text among them is that is being written.
type nesting struct{ depth, literals int }

// nests takes a token, and refuses what makes the parser nest by brackets or a text too long.
func (c *compiler) nests(n *nesting, t hclsyntax.Token) bool {
	if n.literals++; t.Type != hclsyntax.TokenStringLit && t.Type != hclsyntax.TokenQuotedLit {
		n.literals = 0
	}
	if n.literals > maxLines {
		c.report(codeSize, t.Range, "shorten it", "a text is longer than %d lines", maxLines)
		return false
	}
	switch t.Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp:
		n.depth++
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
		n.depth--
	}
	if n.depth > maxDepth {
		c.report(codeSize, t.Range, "close some brackets first", "brackets nest deeper than %d", maxDepth)
		return false
	}
	return true
}

// indexable tells whether a bracket after this token is an index.
func indexable(prev hclsyntax.TokenType) bool {
	switch prev {
	case hclsyntax.TokenIdent, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace,
		hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenNumberLit:
		return true
	}
	return false
}

func decimal(b []byte) bool {
	for _, d := range b {
		if d < '0' || d > '9' {
			return false
		}
	}
	return len(b) <= maxDigits
}

// plainly is the next step for a foreign token.
func plainly(t hclsyntax.Token) string {
	switch t.Type {
	case hclsyntax.TokenTemplateControl:
		return "write %%{ for the text %{"
	case hclsyntax.TokenMinus:
		return "write 1 or more, or leave the attribute out for its default; nice alone goes below 0, in quotes: nice = \"-5\""
	}
	return "write the value itself, or a local"
}

// foreign names what a token is for, if the language has no use for it.
func foreign(t hclsyntax.Token) string {
	switch t.Type {
	case hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenPercent,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenBang:
		return fmt.Sprintf("operators (%s) are", t.Bytes)
	case hclsyntax.TokenQuestion:
		return "conditions are"
	case hclsyntax.TokenEllipsis, hclsyntax.TokenFatArrow, hclsyntax.TokenDoubleColon:
		return "loops, expansions and name spaces are"
	case hclsyntax.TokenTemplateControl:
		return "template directives are"
	}
	return ""
}
