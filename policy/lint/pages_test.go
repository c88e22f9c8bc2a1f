package lint

import (
	"slices"
	"strings"
	"testing"
	"time"

	"casemate/policy"
	"casemate/policy/codes"
	"casemate/policy/lang"
	"casemate/policy/waiver"
)

// today is the day of the examples.
var today = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// check is what casemate check finds in the files of an example.
func check(files []codes.File) (doc *policy.Document, found []waiver.Finding) {
	var sources []policy.SourceFile
	for _, f := range files {
		sources = append(sources, policy.SourceFile{Name: f.Name, Data: []byte(f.Text)})
	}
	doc, ds, review := lang.CompileForReview(sources)
	for _, d := range ds {
		found = append(found, waiver.Finding{Diagnostic: d, Service: review.Service(d.File, d.Line)})
	}
	if doc == nil {
		return doc, found
	}
	return doc, waiver.Apply(append(found, Run(doc, review.Unused)...), review.Waivers, today, func(string) bool { return true })
}

// elsewhere are the codes whose examples need a file system, a host or a table of attributes: they are tested there.
var elsewhere = []string{"CM001", "CM601", "CM602", "CM603", "CM604", "CM605", "CM731"}

// beside are pairs of codes that are found in one example.
var beside = map[string]bool{"CM722CM707": true, "CM712CM511": true}

// TestPages: every code has a page, each bad example yields its code, with the severity of the table, and each good one
// nothing at all but notices of other kinds.
func TestPages(t *testing.T) {
	for _, r := range codes.All() {
		p := r.Page()
		if len(p.Why) < 80 || !strings.HasSuffix(r.Sentence, ".") {
			t.Errorf("%s: the page says too little: %q", r.Code, p.Why)
		}
		if slices.Contains(elsewhere, r.Code) {
			continue
		}
		_, bad := check(p.Bad)
		if !slices.ContainsFunc(bad, func(f waiver.Finding) bool { return f.Code == r.Code && f.Severity == r.Severity && f.Waived == nil }) {
			t.Errorf("%s: the bad example yields %v", r.Code, list(bad))
		}
		for _, f := range bad {
			if f.Code != r.Code && !(f.Severity == codes.Notice && r.Severity != codes.Notice) && f.Waived == nil && !beside[r.Code+f.Code] {
				t.Errorf("%s: the bad example yields %v as well", r.Code, list(bad))
			}
			if f.Line == 0 || f.Summary == "" || f.Detail == "" {
				t.Errorf("%s: no place, or no step: %+v", r.Code, f)
			}
		}
		doc, good := check(p.Good)
		for _, f := range good {
			if doc == nil || f.Code == r.Code || f.Severity != codes.Notice && f.Waived == nil {
				t.Errorf("%s: the good example yields %v", r.Code, list(good))
			}
		}
	}
}

func list(found []waiver.Finding) (out []string) {
	for _, f := range found {
		out = append(out, f.Code+" "+f.Severity+" "+f.File+": "+f.Summary)
	}
	return out
}
