// Package waiver is what a policy accepts of what is found in it: for which code and service, why,
// and until when. Waivers are the checker's: no compiled policy has them, so that they change no digest.
// It is pure; the day is an argument.
package waiver

import (
	"fmt"
	"slices"
	"time"

	"casemate/policy"
	"casemate/policy/codes"
)

// Day is how a policy writes the last day of a waiver.
const Day = "2006-01-02"

// Soon is how long before its end a waiver is told of.
const Soon = 30 * 24 * time.Hour

// The codes of what is wrong with waivers themselves, which no waiver accepts.
const (
	CodeUnused  = "CM721"
	CodeExpired = "CM722"
	CodeSoon    = "CM723"
)

// Waiver is one waiver block. Without Services it is for findings that are about no service.
type Waiver struct {
	Code     string
	Services []string
	Reason   string
	Expires  time.Time // the last day that it holds, 00:00 UTC
	// Place is where it stands: of a diagnostic the file, the range and the snippet.
	Place policy.Diagnostic
}

// Accepts says why a code cannot be waived, nil where it can.
func Accepts(code string) error {
	r, err := codes.Find(code)
	switch {
	case err != nil:
		return err
	case r.Code != code:
		return fmt.Errorf("write %s", r.Code)
	case r.Severity == policy.SeverityError:
		return fmt.Errorf("%s is an error, which nothing waives: repair it", code)
	case code == CodeUnused || code == CodeExpired || code == CodeSoon:
		return fmt.Errorf("%s is about waivers, and no waiver is for it: remove it, or repair the other one", code)
	}
	return nil
}

// Finding is a diagnostic, the service that it is about, "" for none alone, and the waiver that accepts it.
type Finding struct {
	policy.Diagnostic
	Service string
	Waived  *Waiver
}

// Apply marks the findings that waivers accept on a day, and adds what is wrong with waivers: unused ones among the codes
// that were looked for, expired ones, and those that end soon.
func Apply(findings []Finding, waivers []Waiver, now time.Time, looked func(code string) bool) []Finding {
	used := make([]bool, len(waivers))
	for i := range findings {
		f := &findings[i]
		if f.Severity == policy.SeverityError {
			continue
		}
		for k := range waivers {
			if w := &waivers[k]; w.is(f) {
				used[k] = true
				if f.Waived == nil && !w.over(now) {
					f.Waived = w
				}
			}
		}
	}
	for k := range waivers {
		w := &waivers[k]
		last := w.Expires.Format(Day)
		switch {
		case !looked(w.Code):
		case !used[k]:
			findings = append(findings, w.finding(policy.SeverityWarning, CodeUnused, "remove it", "nothing that this waiver of %s accepts is found", w.Code))
		case w.over(now):
			findings = append(findings, w.finding(policy.SeverityWarning, CodeExpired, "repair what it accepted, or decide until when anew", "this waiver of %s ended with %s", w.Code, last))
		case w.Expires.Sub(now) < Soon:
			findings = append(findings, w.finding(codes.Notice, CodeSoon, "repair what it accepts", "this waiver of %s ends with %s", w.Code, last))
		}
	}
	return findings
}

func (w *Waiver) is(f *Finding) bool {
	return w.Code == f.Code && (slices.Contains(w.Services, f.Service) || len(w.Services) == 0 && f.Service == "")
}

func (w *Waiver) over(now time.Time) bool { return !now.Before(w.Expires.Add(24 * time.Hour)) }

func (w *Waiver) finding(severity, code, next, format string, args ...any) Finding {
	d := w.Place
	d.Severity, d.Code, d.Summary, d.Detail = severity, code, fmt.Sprintf(format, args...), next
	return Finding{Diagnostic: d}
}
