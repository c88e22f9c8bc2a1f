package lang

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxOperators is how many operators, conditions, loops and indexes one expression of a test may have:
// the parser nests for each, without brackets.
const maxOperators = 256

// testTokens is tokens for a file of tests, whose expressions have operators.
func (c *compiler) testTokens(tokens hclsyntax.Tokens) bool {
	before, operators := len(c.found), 0
	var n nesting
	var open []hclsyntax.TokenType
	var prev hclsyntax.TokenType
	for _, t := range tokens {
		if !c.nests(&n, t) {
			return false
		}
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp:
			if open = append(open, t.Type); t.Type == hclsyntax.TokenOBrack && indexable(prev) {
				operators++
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			open = open[:max(len(open)-1, 0)]
		case hclsyntax.TokenNewline:
			if len(open) == 0 || open[len(open)-1] == hclsyntax.TokenOBrace {
				operators = 0 // the end of an attribute, or of an item of an object
			}
		case hclsyntax.TokenNumberLit:
			if !decimal(t.Bytes) {
				c.report(codeFeature, t.Range, "write a whole number of at most 18 digits; times and sizes are duration(\"10m\") and size(\"64MiB\")", "%q is not a whole number", clip(string(t.Bytes)))
			}
		case hclsyntax.TokenEllipsis, hclsyntax.TokenDoubleColon, hclsyntax.TokenTemplateControl:
			c.report(codeFeature, t.Range, plainly(t), "%s not part of the language of tests", foreign(t))
		case hclsyntax.TokenDot:
			operators++
		default:
			if foreign(t) != "" || t.Type == hclsyntax.TokenColon {
				operators++
			}
		}
		if operators > maxOperators {
			c.report(codeSize, t.Range, "split it into several invariants", "the expression has more than %d operators", maxOperators)
			return false
		}
		if len(c.found)-before > maxDiagnostics {
			break
		}
		prev = t.Type
	}
	return !c.failed(before)
}
