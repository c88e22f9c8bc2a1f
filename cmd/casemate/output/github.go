package output

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// What stands in the place of characters that mean something to GitHub's runner, in a
// message and in a property of it.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// WriteGitHub writes one workflow command for each finding that is not waived: an annotation
// of its line.
func (r *Report) WriteGitHub(to io.Writer) error {
	w := bufio.NewWriter(to)
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Waived != nil {
			continue
		}
		message := OneLine(f.Summary)
		if f.Detail != "" {
			message += "\n" + EachLine(f.Detail)
		}
		var at []string
		if f.File != "" {
			at = append(at, "file="+githubProperty.Replace(OneLine(r.Place.Name(f.File))))
			if f.Line > 0 {
				at = append(at, fmt.Sprintf("line=%d", f.Line), fmt.Sprintf("endLine=%d", max(f.Line, f.EndLine)))
			}
			if f.Line > 0 && f.EndLine <= f.Line && f.Column > 0 { // columns are of one line alone
				at = append(at, fmt.Sprintf("col=%d", f.Column), fmt.Sprintf("endColumn=%d", max(f.Column, f.EndColumn)))
			}
		}
		at = append(at, "title="+githubProperty.Replace(strings.TrimSpace("casemate "+f.Code)))
		fmt.Fprintf(w, "::%s %s::%s\n", f.Severity, strings.Join(at, ","), githubText.Replace(message))
	}
	return w.Flush()
}
