package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"casemate/sandbox/learn"
)

// traceReport is the JSON of trace.
type traceReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Service  string          `json:"service"`
	Profile  string          `json:"profile"`
	Sessions []sessionReport `json:"sessions"`
}

type sessionReport struct {
	PID       int             `json:"pid"`
	Program   string          `json:"program"`
	Processes int             `json:"processes"`
	Calls     int             `json:"calls"`
	Seconds   float64         `json:"seconds"`
	Ended     string          `json:"ended"` // of its first process
	Said      []string        `json:"said"`  // to descriptor 2
	Failed    []failureReport `json:"failed"`
	Probes    []failureReport `json:"probes"`
	LeftOut   int             `json:"left_out,omitempty"`
}

type failureReport struct {
	PID     int    `json:"pid"`
	Program string `json:"program"`
	Call    string `json:"call"` // with its arguments
	Path    string `json:"path,omitempty"`
	Host    string `json:"host_path,omitempty"` // where it is another
	Error   string `json:"error"`
	Count   int    `json:"count"`
	Before  string `json:"before,omitempty"` // what went wrong then
	Found   string `json:"found,omitempty"`  // where it was after all
	Limit   bool   `json:"limit,omitempty"`  // that is what refused it, and the program went on
	Remedy  string `json:"remedy"`
}

func reportOf(s *learn.Session, c *learn.Confines) sessionReport {
	r := sessionReport{PID: s.PID, Program: s.Program, Processes: s.Processes, Seconds: s.Took.Seconds(), Ended: "still running",
		Said: []string{}, Failed: []failureReport{}, Probes: []failureReport{}, LeftOut: s.LeftOut}
	for _, f := range s.Facts {
		r.Calls += f.Count
	}
	for _, e := range s.Ends {
		if e.PID == s.PID && !e.Exec {
			r.Ended = e.String()
		}
	}
	for _, said := range s.Complaints {
		r.Said = append(r.Said, strings.ToValidUTF8(said.Text, "?"))
	}
	for _, f := range learn.Tell(s, c) {
		one := failureReport{PID: f.PID, Program: f.Program, Call: f.String(), Path: f.Path, Error: f.Outcome(), Count: f.Count, Before: f.Before, Found: f.Found, Remedy: f.Remedy}
		if host := f.Host(f.Path); host != f.Path {
			one.Host = host
		}
		if f.Before != "" {
			r.Failed = append(r.Failed, one)
		} else {
			one.Limit = f.Limited()
			r.Probes = append(r.Probes, one)
		}
	}
	return r
}

// told prints what the sessions met.
func (a *app) told(r *traceReport) error {
	if a.json() {
		return a.printJSON(r)
	}
	if len(r.Sessions) == 0 {
		a.linef("%s: no session came\n", r.Service)
	}
	for i := range r.Sessions {
		a.tellSession(i+1, &r.Sessions[i])
	}
	return nil
}

func (a *app) tellSession(n int, s *sessionReport) {
	a.printf("%s", a.paint("1")(fmt.Sprintf("session %d", n)))
	a.linef("  pid %d, %s, %s, %s, %.3f s: %s\n", s.PID, s.Program,
		several(s.Processes, "process", "processes"), several(s.Calls, "call", "calls"), s.Seconds, s.Ended)
	for _, said := range s.Said {
		a.linef("  it wrote %s\n", strconv.Quote(strings.TrimRight(said, "\n")))
	}
	a.failures(s.Failed)
	limits, probes := []failureReport{}, []failureReport{}
	for _, f := range s.Probes {
		if f.Limit {
			limits = append(limits, f)
		} else {
			probes = append(probes, f)
		}
	}
	a.probes(a.paint("33")("limits that it went on with"), limits)
	a.probes(a.paint("2")("harmless probes"), probes)
	if len(s.Failed)+len(s.Probes) == 0 {
		a.printf("  nothing was refused, and nothing missing\n")
	}
	if s.LeftOut > 0 {
		a.printf("  and %d calls and ends of processes more, which were too many to keep\n", s.LeftOut)
	}
}

// failures prints those before one trouble together, and of these last what is nowhere.
func (a *app) failures(list []failureReport) {
	if len(list) == 0 {
		return
	}
	order := map[string]int{}
	head := func(f failureReport) string { return fmt.Sprintf("before %s (pid %d, %s)", f.Before, f.PID, f.Program) }
	for i, f := range list {
		if _, ok := order[head(f)]; !ok {
			order[head(f)] = i
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(x, y failureReport) int {
		nowhere := func(f failureReport) int {
			return map[bool]int{true: 1}[f.Remedy == learn.Nowhere]
		}
		return cmp.Or(cmp.Compare(order[head(x)], order[head(y)]), cmp.Compare(nowhere(x), nowhere(y)))
	})
	a.printf("  %s:\n", a.paint("31")("then it failed"))
	last := ""
	for _, f := range list {
		if h := head(f); h != last {
			last = h
			a.linef("    %s:\n", h)
		}
		a.failure("      ", f, "")
	}
}

func (a *app) failure(indent string, f failureReport, times string) {
	a.linef("%s%s %s%s\n", indent, f.Call, f.Error, times)
	if f.Host != "" {
		a.linef("%s  on the host: %s\n", indent, f.Host)
	}
	for l := range strings.Lines(f.Remedy) {
		a.linef("%s  %s\n", indent, strings.TrimRight(l, "\n"))
	}
}

// probes prints each once for all processes: first what something would grant, then
// searches with what they found, then what is nowhere.
func (a *app) probes(head string, list []failureReport) {
	if len(list) == 0 {
		return
	}
	a.printf("  %s:\n", head)
	times, places := map[string]int{}, map[string]map[string]bool{}
	for _, f := range list {
		times[f.Call+f.Error] += f.Count
		if f.Found != "" {
			if places[f.Found] == nil {
				places[f.Found] = map[string]bool{}
			}
			places[f.Found][f.Path] = true
		}
	}
	var nowhere []string
	for _, f := range list {
		switch id := f.Call + f.Error; {
		case f.Found != "" || times[id] == 0:
			continue
		case f.Remedy == learn.Nowhere:
			nowhere = append(nowhere, f.Call)
		case times[id] > 1:
			a.failure("    ", f, fmt.Sprintf(" (%d times)", times[id]))
		default:
			a.failure("    ", f, "")
		}
		times[f.Call+f.Error] = 0
	}
	for _, found := range slices.Sorted(maps.Keys(places)) {
		a.linef("    %s: found after %s where it was not\n", found, several(len(places[found]), "look", "looks"))
	}
	for i, call := range nowhere {
		if i == 0 {
			a.linef("    %s:\n", learn.Nowhere)
		}
		a.linef("      %s\n", call)
	}
}

func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
