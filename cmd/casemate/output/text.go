package output

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"casemate/policy"
	"casemate/policy/codes"
)

// Style is the code of an ANSI style: painted text begins with it.
type Style string

// The styles of findings.
const (
	red    Style = "31"
	yellow Style = "33"
	cyan   Style = "36"
	bold   Style = "1"
	faint  Style = "2"
)

// WriteText writes findings for a terminal, with colors or without, as
//
//	error CM301: there is no acl "ofice"
//	  --> site.cm.hcl:12:17
//	   |
//	12 |   acl = acl.ofice
//	   |             ^^^^^
//	   = did you mean acl.office?
//
// Those that are waived are left out. A name of a file, which whoever proposes a change chooses, breaks no line.
// Findings may come from a casemated, whose compiler and broker are of less worth than who
// reads them: nothing of their text moves a terminal.
func WriteText(to io.Writer, findings []Finding, colored bool) error {
	paint := func(style Style, s string) string {
		if !colored {
			return s
		}
		return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
	}
	w := bufio.NewWriter(to)
	for i := range findings {
		if findings[i].Waived != nil {
			continue
		}
		d := findings[i].Diagnostic
		for _, s := range []*string{&d.Severity, &d.Code, &d.Summary, &d.File, &d.Snippet, &d.Detail} {
			*s = EachLine(*s)
		}
		style := map[string]Style{policy.SeverityError: red, policy.SeverityWarning: yellow, codes.Notice: cyan}[d.Severity]
		fmt.Fprintf(w, "%s %s: %s\n", paint(style, d.Severity), OneLine(d.Code), paint(bold, OneLine(d.Summary)))
		number, bar := fmt.Sprint(d.Line), paint(faint, "|")
		margin := strings.Repeat(" ", len(number))
		if d.File != "" && d.Line > 0 {
			fmt.Fprintf(w, "%s--> %s:%d:%d\n", margin, OneLine(d.File), d.Line, d.Column)
		} else if d.File != "" {
			fmt.Fprintf(w, "%s--> %s\n", margin, OneLine(d.File))
		}
		if source, mark, ok := strings.Cut(d.Snippet, "\n"); ok {
			fmt.Fprintf(w, "%s %s\n%s %s %s\n%s %s %s\n", margin, bar, number, bar, source, margin, bar, paint(style, mark))
		}
		if d.Detail != "" {
			fmt.Fprintf(w, "%s = %s\n", margin, strings.ReplaceAll(EachLine(d.Detail), "\n", "\n"+margin+"   "))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// Count writes "1 error" or "3 errors and 1 warning", of what is not waived.
func Count(findings []Finding) string {
	n := map[string]int{}
	for _, f := range findings {
		if f.Waived == nil {
			n[f.Severity]++
		}
	}
	var parts []string
	for _, word := range codes.Severities {
		switch {
		case n[word] == 1:
			parts = append(parts, "1 "+word)
		case n[word] > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n[word], word))
		}
	}
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
