package lang

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"casemate/policy"
	"casemate/policy/suggest"

	"github.com/hashicorp/hcl/v2"
)

// The codes of diagnostics: package codes says what each is about.
const (
	codeSize        = "CM101"
	codeSyntax      = "CM102"
	codeFeature     = "CM103"
	codeEntry       = "CM104"
	codeBlock       = "CM201"
	codeAttr        = "CM202"
	codeDuplicate   = "CM203"
	codeMissing     = "CM204"
	codeLabel       = "CM205"
	codeReference   = "CM301"
	codeCycle       = "CM302"
	codeBounds      = "CM303"
	codeCall        = "CM304"
	codeType        = "CM401"
	codeValue       = "CM402"
	codeMeaning     = "CM501"
	codeWidens      = "CM502"
	codeSpare       = "CM503"
	codeEvadable    = "CM504"
	codePerilous    = "CM505"
	codeReach       = "CM506"
	codeUnasked     = "CM507"
	codeNobody      = "CM508"
	codeHabit       = "CM509"
	codeUnreachable = "CM510"
	codeTogether    = "CM511"
	codeOutlived    = "CM512"
	codeUnserved    = "CM513"
	codeLoss        = "CM514"
	codeIncapable   = "CM515"
	codeAbstract    = "CM516"
	codeNoJIT       = "CM517"
	codeHost        = "CM601"
	codeProgram     = "CM602"
	codeLibrary     = "CM603"
	codeUnknown     = "CM604"
	codeDeprecated  = "CM731"
)

// maxDiagnostics bounds the report, and maxFindings what is kept to sort it
// from: every line of a large hostile file can be an error.
const (
	maxDiagnostics = 100
	maxFindings    = 5000
)

// finding is a diagnostic that still knows its range.
type finding struct {
	policy.Diagnostic
	rng hcl.Range
}

// report adds an error at rng; next is the one step that repairs it.
func (c *compiler) report(code string, rng hcl.Range, next, format string, args ...any) {
	c.add(policy.SeverityError, code, rng, next, fmt.Sprintf(format, args...))
}

func (c *compiler) warn(code string, rng hcl.Range, next, format string, args ...any) {
	c.add(policy.SeverityWarning, code, rng, next, fmt.Sprintf(format, args...))
}

func (c *compiler) add(severity, code string, rng hcl.Range, next, summary string) {
	f := finding{rng: rng, Diagnostic: policy.Diagnostic{Severity: severity, Code: code, Summary: clip(summary), Detail: clip(next)}}
	if len(c.found) < maxFindings {
		c.found = append(c.found, f)
		return
	}
	// One more error must not pass as none, after however many warnings; nor a warning as an error.
	if last := &c.found[maxFindings-1]; severity == policy.SeverityError && last.Severity != severity {
		*last = f
	}
	if c.leftOut < 1<<30 {
		c.leftOut++
	}
}

// failed tells whether an error was reported since the first n findings.
func (c *compiler) failed(n int) bool {
	return slices.ContainsFunc(c.found[n:], func(f finding) bool { return f.Severity == policy.SeverityError })
}

// clip shortens a message that quotes a long value.
func clip(s string) string {
	const most = 600
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// diagnostics returns the findings by file, line and column, one for each
// place: of several about the same text only the first found is kept, and an
// error rather than a warning.
func (c *compiler) diagnostics() []policy.Diagnostic {
	slices.SortStableFunc(c.found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.rng.Filename, b.rng.Filename), cmp.Compare(a.rng.Start.Byte, b.rng.Start.Byte),
			cmp.Compare(a.Severity, b.Severity))
	})
	var out []policy.Diagnostic
	left := c.leftOut
	if n := len(c.found); n > maxDiagnostics && c.failed(0) { // however many warnings, the errors are shown
		c.found = slices.DeleteFunc(c.found, func(f finding) bool { return f.Severity != policy.SeverityError })
		left += n - len(c.found)
	}
	for i, f := range c.found {
		if i > 0 && f.rng.Filename == c.found[i-1].rng.Filename && f.rng.Start.Byte == c.found[i-1].rng.Start.Byte {
			continue
		}
		if len(out) == maxDiagnostics {
			left++
			continue
		}
		out = append(out, c.placed(f))
	}
	if left > 0 {
		last := &out[len(out)-1]
		last.Detail += fmt.Sprintf(" (%d more findings are left out)", left)
	}
	return out
}

// placed is a finding with its place as others read it.
func (c *compiler) placed(f finding) policy.Diagnostic {
	d := f.Diagnostic
	d.File = f.rng.Filename
	d.Line, d.Column = f.rng.Start.Line, f.rng.Start.Column
	d.EndLine, d.EndColumn = f.rng.End.Line, f.rng.End.Column
	d.Snippet = snippet(c.sources[f.rng.Filename], f.rng)
	return d
}

// Underline gives a diagnostic that has but the beginning of its range the end, which is that of the word, the
// list or the block's head that begins there, and the snippet.
func Underline(d *policy.Diagnostic, sources map[string][]byte) {
	text, known := sources[d.File]
	if !known || d.Line < 1 || d.Snippet != "" {
		return
	}
	start := 0
	for n := 1; n < d.Line; n++ {
		i := bytes.IndexByte(text[start:], '\n')
		if i < 0 {
			return
		}
		start += i + 1
	}
	line, _, _ := bytes.Cut(text[start:], []byte("\n"))
	skip, column := 0, 1
	for ; column < d.Column && skip < len(line); column++ {
		_, n := utf8.DecodeRune(line[skip:])
		skip += n
	}
	word := wordAt(string(line[skip:]))
	d.EndLine, d.EndColumn = d.Line, column+utf8.RuneCountInString(word)
	d.Snippet = snippet(text, hcl.Range{Start: hcl.Pos{Byte: start + skip}, End: hcl.Pos{Byte: start + skip + len(word)}})
}

// wordAt is what a line begins with: a list, a text, a name, or a block's type and names.
func wordAt(line string) string {
	depth, quoted := 0, false
	for i, r := range line {
		switch {
		case quoted:
			quoted = r != '"' || i > 0 && line[i-1] == '\\'
		case r == '"':
			quoted = true
		case r == '[' || r == '(':
			depth++
		case (r == ']' || r == ')') && depth > 0:
			depth--
		case depth == 0 && (r == '{' || r == '#' || r == ',' || r == ']' || r == '}'):
			return strings.TrimSpace(line[:i])
		}
	}
	return strings.TrimSpace(line)
}

// snippet returns the first source line of rng and, below, its underline. Long
// lines are cut to a window, other control characters than tab shown as "?".
func snippet(src []byte, rng hcl.Range) string {
	start := min(max(rng.Start.Byte, 0), len(src))
	end := min(max(rng.End.Byte, start), len(src))
	lineStart, lineEnd := start, start
	const window = 100
	for lineStart > 0 && src[lineStart-1] != '\n' && start-lineStart < window {
		lineStart--
	}
	for lineEnd < len(src) && src[lineEnd] != '\n' && lineEnd-start < window {
		lineEnd++
	}
	end = min(max(end, start), lineEnd)
	text := printable(src[lineStart:lineEnd])
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, printable(src[lineStart:start]))
	width := max(1, utf8.RuneCountInString(printable(src[start:end])))
	return text + "\n" + pad + strings.Repeat("^", width)
}

func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case r == '\t', unicode.IsPrint(r) && r != utf8.RuneError:
			return r
		}
		return '?'
	}, string(b))
}

// fromHCL takes over what the parser found.
func (c *compiler) fromHCL(ds hcl.Diagnostics) {
	for _, d := range ds {
		rng := hcl.Range{Filename: "policy"}
		if d.Subject != nil {
			rng = *d.Subject
		} else if d.Context != nil {
			rng = *d.Context
		}
		next := d.Detail
		if d.Summary == "Attribute redefined" {
			next += " Keep one; of two lists, one with the elements of both."
		}
		if hint := c.syntaxHint(rng); hint != "" {
			next = hint
		}
		c.report(codeSyntax, rng, next, "%s", lowerFirst(d.Summary))
	}
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

// didYouMean is the next step for an unknown name: the nearest known one, or
// the list of them.
func didYouMean(name string, known []string, write string) string {
	if w := suggest.Word(name, known); w != "" {
		return fmt.Sprintf("did you mean %s?", write+w)
	}
	if len(known) == 0 {
		return "there is none to choose from"
	}
	more := ""
	const most = 40
	if len(known) > most {
		first := func(s string) bool { return name == "" || s == "" || s[0] != name[0] }
		if near := slices.DeleteFunc(slices.Clone(known), first); len(near) > 0 {
			known = near
		}
		known, more = known[:min(len(known), most)], ", and others"
	}
	return "choose one of: " + write + strings.Join(known, ", "+write) + more
}
