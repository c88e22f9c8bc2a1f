package output

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Outcome is what became of a Case.
type Outcome int

// The outcomes: Failed is a wrong answer, Broken one that could not be had.
const (
	Passed Outcome = iota
	Failed
	Broken
	Skipped
)

// Case is the result of one test.
type Case struct {
	Name    string
	Outcome Outcome
	// Message says in one line why it did not pass, Text at length.
	Message, Text string
	File          string
	Line          int
	Took          time.Duration
}

// Suite is the cases of one file, or of one run.
type Suite struct {
	Name  string
	Cases []Case
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	File    string       `xml:"file,attr,omitempty"`
	Line    int          `xml:"line,attr,omitempty"`
	Time    string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure,omitempty"`
	Error   *junitReason `xml:"error,omitempty"`
	Skipped *junitReason `xml:"skipped,omitempty"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the results of tests as the XML that JUnit's readers take. Of place it
// takes the names of files.
func WriteJUnit(w io.Writer, name string, suites []Suite, place Places) error {
	all := junitSuites{Name: legible(name)}
	var took time.Duration
	for _, s := range suites {
		one := junitSuite{Name: legible(s.Name)}
		var sum time.Duration
		for _, c := range s.Cases {
			jc := junitCase{Name: legible(c.Name), Class: one.Name, File: legible(place.Name(c.File)), Line: c.Line, Time: seconds(c.Took)}
			reason := &junitReason{Message: legible(c.Message), Text: legible(c.Text)}
			switch one.Tests++; c.Outcome {
			case Failed:
				jc.Failure = reason
				one.Failures++
			case Broken:
				jc.Error = reason
				one.Errors++
			case Skipped:
				jc.Skipped = reason
				one.Skipped++
			default:
				jc.Out = legible(c.Text)
			}
			sum += c.Took
			one.Cases = append(one.Cases, jc)
		}
		one.Time = seconds(sum)
		took += sum
		all.Tests, all.Failures, all.Errors, all.Skipped = all.Tests+one.Tests, all.Failures+one.Failures, all.Errors+one.Errors, all.Skipped+one.Skipped
		all.Suites = append(all.Suites, one)
	}
	all.Time = seconds(took)
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// legible has every character of s that XML 1.0 has no way to write, or a reader no way to
// see, as an escape; lines and tabs stay.
func legible(s string) string {
	return EachLine(s)
}

// WriteJUnit writes each finding as a test that failed, or that passed where the gate lets
// it be, or was skipped where it is waived; without a finding there is one that passed.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := Suite{Name: "casemate " + r.Verb}
	for i := range r.Findings {
		f := &r.Findings[i]
		c := Case{Name: strings.TrimSpace(f.Code + " " + r.where(f)), Message: f.Severity + ": " + f.Summary, Text: f.Summary + "\n" + f.Detail, File: f.File, Line: f.Line}
		if f.Service != "" {
			c.Name += " " + f.Service
		}
		switch {
		case f.Waived != nil:
			c.Outcome, c.Message = Skipped, "waived until "+f.Waived.Expires+": "+f.Waived.Reason
		case r.fails(f):
			c.Outcome = Failed
		}
		s.Cases = append(s.Cases, c)
	}
	if len(s.Cases) == 0 {
		s.Cases = []Case{{Name: "no findings"}}
	}
	return WriteJUnit(w, s.Name, []Suite{s}, r.Place)
}
