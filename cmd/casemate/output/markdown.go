package output

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxMarkdown is the most bytes of a review comment: services that take them refuse 65536
// characters.
const MaxMarkdown = 60000

// MarkdownText is s as plain text of Markdown on one line: nothing in it is markup, a mention
// of somebody, a reference to an issue or a link.
func MarkdownText(s string) string {
	var b strings.Builder
	for _, r := range OneLine(s) {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '@' || r == '#':
			b.WriteByte('\\')
			b.WriteRune(r)
			b.WriteString("\u200b") // who is mentioned is found after escapes are gone
		case r < utf8.RuneSelf && strings.ContainsRune("\\`*_{}[]()+.!|~:=^$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	text := strings.TrimLeft(b.String(), " ") // four of them begin a block of code
	if strings.HasPrefix(text, "-") {
		text = "\\" + text // at the beginning of a line, a list
	}
	return strings.ReplaceAll(text, "GH-", "GH\u200b-")
}

// MarkdownCode is s as a code span on one line, which may also stand in a table.
func MarkdownCode(s string) string {
	s = OneLine(s)
	if s == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence, pad := strings.Repeat("`", longest+1), ""
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.TrimSpace(s) == "" {
		pad = " "
	}
	return fence + pad + strings.ReplaceAll(s, "|", `\|`) + pad + fence
}

// CapMarkdown ends a text of whole lines that is too long for a comment before the line that
// is too much, and says so.
func CapMarkdown(text []byte) []byte {
	if len(text) <= MaxMarkdown {
		return text
	}
	cut := bytes.LastIndexByte(text[:MaxMarkdown], '\n') + 1
	left := bytes.Count(text[cut:], []byte("\n"))
	return fmt.Appendf(text[:cut:cut], "\n%d more lines are left out.\n", left)
}

// WriteMarkdown writes the findings as a table, below a line of how many there are.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b bytes.Buffer
	count := Count(r.Findings)
	if count == "" {
		count = "no findings"
	}
	fmt.Fprintf(&b, "**casemate %s**: %s\n", r.Verb, count)
	waived := 0
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Waived != nil {
			waived++
			continue
		}
		if i == waived {
			b.WriteString("\n| | where | what | instead |\n|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s |\n", f.Severity, f.Code, MarkdownCode(r.where(f)), MarkdownText(f.Summary), MarkdownText(f.Detail))
	}
	if waived > 0 {
		fmt.Fprintf(&b, "\n%d waived:\n\n", waived)
		for i := range r.Findings {
			if f := &r.Findings[i]; f.Waived != nil {
				fmt.Fprintf(&b, "- %s %s %s (until %s: %s)\n", f.Code, MarkdownCode(r.where(f)), MarkdownText(f.Summary), MarkdownText(f.Waived.Expires), MarkdownText(f.Waived.Reason))
			}
		}
	}
	_, err := w.Write(CapMarkdown(b.Bytes()))
	return err
}

// where is the place of a finding as others read it: file:line.
func (r *Report) where(f *Finding) string {
	name := r.Place.Name(f.File)
	if name != "" && f.Line > 0 {
		name = fmt.Sprintf("%s:%d", name, f.Line)
	}
	return name
}
