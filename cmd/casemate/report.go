package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/policy/input"
	"casemate/policy/report"
	"casemate/policy/waiver"

	"github.com/spf13/cobra"
)

func (a *app) reportCmd() *cobra.Command {
	var date, against string
	cmd := &cobra.Command{
		Use:   "report [PATH...]",
		Short: "Write what a policy exposes as one page of HTML",
		Long: `report writes one HTML file for people who review a policy. It shows who can reach what, from
networks to services to what the layers around each leave open, as a picture; and of each service
what it listens on and runs, who gets in exactly, the rules of its acl and where each is written,
its limits, its sandbox layer by layer in words, its score with the table, and what casemate check
finds in it, with what is waived and why.

With --against OLD it begins with what the change from OLD does, as casemate diff tells it: every
widening with a client or a system call that shows it.

PATH is that of casemate check, git:REV:PATH or running; without one it is the policy that the
running casemated has. OLD is one of these too. Of a compiled document nobody knows what the policy
waives, and the page says so.

The page is one file: it loads nothing, runs no script, and allows itself neither (its
Content-Security-Policy names the one style that it has). It is made for light and dark screens, a
phone's width and a desk's, and paper.

The same policy gives the same bytes: no clock is asked. --date DAY writes that day on the page and
judges waivers by it; --date today takes this machine's. Without it waivers hold for ever.

-o html, the page, is the default; -o json has the same facts for programs. --output-into
html=FILE replaces a file at once or not at all.

Exit status: 0 written, 1 could not.`,
		Example: `  casemate report /etc/casemate >report.html
  casemate report site.cm.hcl --date today --output-into html=report.html -o json
  casemate report /etc/casemate --against git:main:casemate >review.html`,
		RunE: func(_ *cobra.Command, args []string) error {
			day, err := dayOf(date)
			if err != nil {
				return err
			}
			return a.report(args, against, day)
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		return confine.Grant{Read: onDisk(append(slices.Clone(args), against))}
	}
	a.revisions(cmd, "")
	a.pages(cmd)
	f := cmd.Flags()
	f.StringVar(&against, "against", "", "begin with what changed since the policy at that `path`")
	f.StringVar(&date, "date", "", "the `day` of the page, as 2027-01-31, or today")
	return cmd
}

// dayOf reads a day; "" is the zero Time.
func dayOf(word string) (time.Time, error) {
	switch word {
	case "":
		return time.Time{}, nil
	case "today":
		return time.Now().UTC(), nil
	}
	day, err := time.Parse(waiver.Day, word)
	if err != nil {
		return day, fmt.Errorf("--date %q is no day: write one as 2027-01-31, or today", word)
	}
	return day, nil
}

// report writes the page.
func (a *app) report(paths []string, against string, day time.Time) error {
	in := report.Input{Of: paths}
	if !day.IsZero() {
		in.Date = day.Format(waiver.Day)
	}
	var l loaded
	var ds []policy.Diagnostic
	switch {
	case len(paths) == 0 || len(paths) == 1 && paths[0] == running:
		doc, _, err := a.runningDocument(control.Request{})
		if err != nil {
			return err
		}
		l.doc, in.Of = doc, []string{running}
	default:
		if l, ds = a.loadReviewed(paths); l.doc == nil {
			return a.refuse(ds, nil)
		}
	}
	in.Doc, in.Unwaived = l.doc, l.review == nil
	for _, f := range (&checkOptions{}).findings(l, ds, nil, day) {
		in.Findings = append(in.Findings, reported(&f))
	}
	if against != "" {
		if err := a.reportAgainst(&in, against); err != nil {
			return err
		}
	}
	r, ds := bounded(input.CompileDeadline, input.CompileMemory, func() (madePage, []policy.Diagnostic) {
		r, err := report.New(&in)
		return madePage{r, err}, nil
	})
	switch {
	case r.err != nil:
		return fmt.Errorf("report: %w", r.err)
	case r.page == nil:
		return a.refuse(ds, nil)
	}
	return a.emit(forms{
		output.HTML: r.page.Write,
		output.JSON: func(w io.Writer) error { return writeJSON(w, r.page) },
	})
}

// madePage is a page, or why there is none.
type madePage struct {
	page *report.Report
	err  error
}

// reported is a finding as a page has it.
func reported(f *output.Finding) report.Finding {
	one := report.Finding{Code: f.Code, Severity: f.Severity, Summary: f.Summary, Detail: f.Detail, Service: f.Service}
	if f.File != "" {
		one.Origin = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	if w := f.Waived; w != nil {
		one.Waived = &report.Waived{Reason: w.Reason, Expires: w.Expires, Origin: w.Origin}
	}
	return one
}

// reportAgainst adds what a change does.
func (a *app) reportAgainst(in *report.Input, path string) error {
	old, err := a.document(path)
	if err != nil {
		return err
	}
	p, err := a.compared(old, in.Doc)
	if err != nil {
		return err
	}
	t := told{old: a.policyWords(path), new: a.policyWords(in.Of...), p: p, groups: alike(p)}
	out := &report.Against{Old: path, Digest: old.Digest, Summary: t.summary(), Policy: slices.Clone(p.Policy), Groups: []report.Group{}}
	for i := range t.groups {
		g := &t.groups[i]
		names, more := g.named(mostNames)
		one := report.Group{Verdict: string(g.of.Verdict), Grave: g.of.Verdict.MayWiden(), Names: slices.Clone(names), More: more}
		if len(g.names) == 1 {
			one.Origin = g.of.NewOrigin
		}
		for k := range g.of.Dimensions {
			d := &g.of.Dimensions[k]
			dim := report.Dimension{Name: d.Name, By: d.By, Again: t.again(g.of, d), Lines: []report.Remark{}}
			if dim.Again == "" {
				for _, line := range t.lines(g.of, d) {
					dim.Lines = append(dim.Lines, report.Remark{Sign: line.sign, Text: line.text, Proof: line.proof, Why: line.why})
				}
				dim.Calls = proofs(d)
			}
			one.Dimensions = append(one.Dimensions, dim)
		}
		out.Groups = append(out.Groups, one)
	}
	in.Against = out
	return nil
}
