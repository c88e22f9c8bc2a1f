package main

import (
	"fmt"

	"casemate/sandbox/learn"
)

// learnReport is the JSON of learn.
type learnReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Profile   string       `json:"profile"` // HCL
	Base      string       `json:"base"`
	Lines     []lineReport `json:"lines"`
	NotNeeded []lineReport `json:"not_needed"` // used, and the clients are served without
	Sessions  int          `json:"sessions"`   // observed
	Runs      int          `json:"runs"`       // of all clients
}

type lineReport struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
	Count     int    `json:"count"`
	Example   string `json:"example,omitempty"`
	Program   string `json:"program,omitempty"`
	Without   string `json:"without,omitempty"` // what happens without it
}

func lineReports(list []learn.Need) []lineReport {
	out := []lineReport{}
	for _, n := range list {
		out = append(out, lineReport{n.Attr, n.Value, n.Count, n.Example, n.Program, n.Without})
	}
	return out
}

// printLearnt prints a proved profile.
func (a *app) printLearnt(l *learner, d *learn.Draft, dropped []learn.Need, n *learn.Needs, name, of string) error {
	processes := 0
	for _, s := range l.want.sessions {
		processes += s.Processes
	}
	head := []string{
		"Learnt from " + oneLine(of) + ":",
		fmt.Sprintf("%s with %s followed on %s, served again under this profile,", several(len(l.want.sessions), "session", "sessions"),
			several(processes, "process", "processes"), l.started.Format("2006-01-02")),
		"and not without any one of its lines that say so. The other files were read, and may say what no client tests;",
		"init is for signals and orphans. Other bases may serve with other lines.",
	}
	if l.earlier != nil {
		head[2] = "and not without those of its lines that say so. The others are what real sessions used;"
	}
	head = append(head, l.leftOut...)
	for _, status := range l.normal {
		head = append(head, fmt.Sprintf("An exit status of %d was taken for normal.", status))
	}
	for i, c := range l.clients {
		head = append(head, fmt.Sprintf("Client %d: %s", i+1, oneLine(c)))
	}
	return a.printDraft(&learnReport{Sessions: len(l.want.sessions), Runs: l.runs}, d, dropped, n, head, name)
}

// printDraft prints a draft with what it does not hold.
func (a *app) printDraft(r *learnReport, d *learn.Draft, dropped []learn.Need, n *learn.Needs, head []string, name string) error {
	if len(dropped) > 0 {
		head = append(head, "Used, and not needed by these clients:")
		for _, o := range dropped {
			head = append(head, fmt.Sprintf("  %s %s (%s)", o.Attr, oneLine(o.Value), oneLine(o.Example)))
		}
	}
	for _, o := range n.Never {
		head = append(head, fmt.Sprintf("Used, and never granted: %s (%s)", oneLine(o.Value), oneLine(o.Example)))
	}
	text, err := draftText(name, d, head)
	if err != nil {
		return err
	}
	if a.json() {
		r.FormatVersion, r.Profile, r.Base = 1, text, d.Base.Profile.Name
		r.Lines, r.NotNeeded = lineReports(d.Lines), lineReports(dropped)
		return a.printJSON(r)
	}
	a.printf("%s", text)
	return nil
}
