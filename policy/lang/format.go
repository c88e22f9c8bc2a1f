package lang

import (
	"bytes"

	"casemate/policy"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns the canonical layout of a policy file: that of hclwrite, which
// every editor for HCL knows, and at most one blank line between others, none
// directly inside of brackets or at the ends of the file. Only white space
// changes, and a second Format changes nothing. A file that does not parse gives
// diagnostics and no bytes.
func Format(f policy.SourceFile) ([]byte, []policy.Diagnostic) {
	c := newCompiler(nil)
	if _, ok := c.parse([]policy.SourceFile{f}); !ok {
		return nil, c.diagnostics()
	}
	src := bytes.ReplaceAll(bytes.TrimPrefix(f.Data, byteOrderMark), []byte("\r\n"), []byte("\n"))
	for range 4 { // hclwrite now and then needs a second look at comments
		out := squeeze(hclwrite.Format(src))
		if bytes.Equal(out, src) {
			break
		}
		src = out
	}
	return src, nil
}

// lineInfo is what squeeze knows of one line.
type lineInfo struct {
	kept   bool // it is inside of a heredoc or a comment: its bytes stay
	first  hclsyntax.TokenType
	last   hclsyntax.TokenType
	filled bool
}

// squeeze drops blank lines that the layout does not have.
func squeeze(src []byte) []byte {
	lines := bytes.SplitAfter(src, []byte("\n"))
	info := look(src, len(lines))
	var out []byte
	blank, prev := false, -1
	for i, l := range lines {
		if len(l) == 0 {
			continue
		}
		if !info[i].filled && !info[i].kept {
			blank = true
			continue
		}
		if blank && prev >= 0 && !opens(info[prev].last) && !closes(info[i].first) {
			out = append(out, '\n')
		}
		blank, prev = false, i
		out = append(out, l...)
	}
	return out
}

// look sorts the tokens of src into its lines.
func look(src []byte, n int) []lineInfo {
	info := make([]lineInfo, n+1)
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos) // it has parsed already
	heredoc := -1
	for _, t := range tokens {
		first, last := t.Range.Start.Line-1, min(t.Range.End.Line-1, n)
		switch t.Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenEOF:
			continue
		case hclsyntax.TokenOHeredoc:
			heredoc = first
		case hclsyntax.TokenCHeredoc:
			for i := heredoc + 1; i < last; i++ {
				info[i].kept = true
			}
			heredoc = -1
		case hclsyntax.TokenComment:
			if bytes.HasSuffix(t.Bytes, []byte("\n")) {
				last-- // a line comment has its newline in it
			}
			for i := first; i <= last; i++ {
				info[i].kept = true
			}
		}
		for i := first; i <= last && i < n; i++ {
			if l := &info[i]; !l.filled {
				l.filled, l.first = true, t.Type
			}
			info[i].last = t.Type
		}
	}
	return info
}

func opens(t hclsyntax.TokenType) bool {
	return t == hclsyntax.TokenOBrace || t == hclsyntax.TokenOBrack || t == hclsyntax.TokenOParen
}

func closes(t hclsyntax.TokenType) bool {
	return t == hclsyntax.TokenCBrace || t == hclsyntax.TokenCBrack || t == hclsyntax.TokenCParen
}
