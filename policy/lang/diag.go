package lang

import (
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

// The codes of diagnostics. They are stable: what a code means never changes.
const (
	codeSize      = "CM101" // too large, too deep, or not text
	codeSyntax    = "CM102" // not HCL
	codeFeature   = "CM103" // HCL, but not part of the policy language
	codeEntry     = "CM104" // a line of inetd.conf that cannot be read
	codeBlock     = "CM201" // unknown block
	codeAttr      = "CM202" // unknown attribute
	codeDuplicate = "CM203" // the same thing twice
	codeMissing   = "CM204" // something is missing
	codeLabel     = "CM205" // a block's labels
	codeReference = "CM301" // unknown acl, limit, profile, local or function
	codeCycle     = "CM302" // locals or profiles that depend on themselves
	codeBounds    = "CM303" // evaluation grew beyond its bounds
	codeCall      = "CM304" // a function cannot work on its arguments
	codeType      = "CM401" // the wrong kind of value
	codeValue     = "CM402" // a value that cannot be read
	codeMeaning   = "CM501" // an invariant of the compiled policy
	codeWidens    = "CM502" // a profile grants more than its base and does not say so
	codeSpare     = "CM503" // warning: widens names what is not widened
	codeEvadable  = "CM504" // warning: a rule against names that a client without one gets around
	codePerilous  = "CM505" // warning: a call that no group has, without a reason
	codeReach     = "CM506" // a profile without network that reaches it
	codeUnasked   = "CM507" // warning: names in the rules of a datagram service
	codeNobody    = "CM508" // warning: a service or a listener that admits nobody
	codeHabit     = "CM509" // warning: what means something else in other programs
	// codeUnreachable is a warning: a rule behind one that everybody matches.
	codeUnreachable = "CM510"
	codeTogether    = "CM511" // warning: what several sessions or services have together is too little, or shared
	codeOutlived    = "CM512" // warning: files that outlive the uid of user = "dynamic"
	codeUnserved    = "CM513" // warning: an entry of inetd.conf that is not served
	codeLoss        = "CM514" // warning: what an entry of inetd.conf says and nothing here does
	codeIncapable   = "CM515" // warning: a call that the kernel refuses for want of a capability
	codeAbstract    = "CM516" // warning: an abstract unix socket that every local user may connect to
	codeHost        = "CM601" // warning: more than this host has
	codeProgram     = "CM602" // what casemated does not serve, or cannot open, on this host
	codeLibrary     = "CM603" // a program that does not find a library on this host
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
	if len(c.found) < maxFindings {
		c.found = append(c.found, finding{rng: rng, Diagnostic: policy.Diagnostic{
			Severity: severity, Code: code, Summary: clip(summary), Detail: clip(next)}})
		return
	}
	// One more error must not pass as none, after however many warnings.
	if c.found[0].Severity = policy.SeverityError; c.leftOut < 1<<30 {
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
		d := f.Diagnostic
		d.File = f.rng.Filename
		d.Line, d.Column = f.rng.Start.Line, f.rng.Start.Column
		d.EndLine, d.EndColumn = f.rng.End.Line, f.rng.End.Column
		d.Snippet = snippet(c.sources[f.rng.Filename], f.rng)
		out = append(out, d)
	}
	if left > 0 {
		last := &out[len(out)-1]
		last.Detail += fmt.Sprintf(" (%d more findings are left out)", left)
	}
	return out
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
