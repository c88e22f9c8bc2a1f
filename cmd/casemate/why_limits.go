package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"casemate/acl/limit"
	"casemate/acl/limit/admission"
	"casemate/policy/explain"
	"casemate/policy/lang"
	"casemate/sandbox"
	"casemate/sandbox/learn"
)

// bound is a limit that a session ran into (journal.Bound), of any size that a log can have.
type bound struct {
	Of, Limit string
	Value     int64
	Count     uint64
	Others    int
}

// cameOf is what it means to have run into a limit, by its attribute.
var cameOf = map[string]string{
	"session":             "no session lasts longer",
	"first_byte":          "by then its client had sent nothing",
	"min_rate":            "its client sent a message, or took what was written to it, more slowly, over half a minute",
	"idle":                "so long neither the program nor its client sent anything",
	"resources.file_size": "a file that it wrote would have grown beyond that",
	"resources.cpu_time":  "it had used that much of a processor",
	"resources.tasks":     "the user that it was to run as had as many processes and threads as its services may have in all (that times concurrent, added up, and 64)",
	"tasks":               "the service had as many as all of its sessions may have, and got no further process or thread",
	"resources.memory":    "the service had used that up, and for want of it the kernel ended",
	"resources.processes": "the service had that many, and got no further process or thread",
	"memory":              "the host's, or that of what casemated runs in (MemoryMax= of its unit), was used up, and for want of it the kernel ended",
}

// read takes a field apart, and reports whether there is one that is what it should be.
func (r logged) read(key string, into any) bool {
	text, err := json.Marshal(r[key])
	return r[key] != nil && err == nil && json.Unmarshal(text, into) == nil
}

// tellLimits prints what limits a session ran into, with what raises them.
func (a *app) tellLimits(r logged, line func(what, format string, args ...any)) {
	var bounds []bound
	r.read("limits", &bounds)
	for _, b := range bounds {
		present, raised := b.raised()
		if b.Limit == "resources.tasks" && !strings.HasPrefix(r.text("detail"), "exec: ") {
			b.Limit = "tasks" // by its control group
		}
		if b.Of == "host" {
			line("limit", "memory: %s", b.how())
			continue
		}
		line("limit", "%s: %s: %s", oneLine(b.Of), present, b.how())
		how := "raised"
		if b.Limit == "min_rate" {
			how = "lowered"
		}
		line("", "%s by, in %s:", how, ownOf(oneLine(b.Of)))
		for l := range strings.Lines(raised) {
			a.printf("      %s\n", strings.TrimRight(l, "\n"))
		}
	}
}

// how tells what came of it, and whose it was.
func (b *bound) how() string {
	text := cameOf[b.Limit]
	switch b.Limit {
	case "resources.memory", "memory":
		text += " " + several(int(b.Count), "process", "processes")
	case "resources.processes", "tasks":
		text += ", " + several(int(b.Count), "time", "times")
	default:
		return text
	}
	if b.Others > 0 {
		return text + fmt.Sprintf(": of this session, or of %s that ran then", several(b.Others, "other", "others"))
	}
	return text
}

// raised is the limit as it is in the policy, and what is to be written to double it.
func (b *bound) raised() (present, raised string) {
	row := slices.IndexFunc(sandbox.ResourceRows[:], func(r sandbox.ResourceRow) bool { return "resources."+r.Name == b.Limit })
	if row < 0 {
		if b.Limit == "min_rate" {
			attr := func(n int64) string { return fmt.Sprintf("min_rate = %q", explain.FormatPace(int(n))) }
			return attr(b.Value), attr(max(b.Value/2, 1))
		}
		d := time.Duration(b.Value)
		attr := func(d time.Duration) string {
			return fmt.Sprintf("%s = %q", oneLine(b.Limit), explain.FormatDuration(d))
		}
		return attr(d), attr(2 * d)
	}
	twice, present := learn.Twice(sandbox.Resource(row), b.Value)
	return "resources { " + present + " }", "widens = [\"resources\"] # beside what it widens, where its base has less\nresources { " + twice + " }"
}

// ownOf is the block to write something of a block into: one that casemate ships cannot be changed.
func ownOf(of string) string {
	kind, name, _ := strings.Cut(of, ".")
	switch {
	case lang.ShippedBlock(kind, name) == nil:
		return of
	case kind == "profile":
		return "a profile with base = " + of
	}
	return "a " + kind + " of its own, in place of " + of
}

// tellLimit prints the limit that refused a client.
func tellLimit(r logged, line func(what, format string, args ...any)) {
	var l limit.Spec
	if !r.read("limit", &l) {
		return
	}
	rate := func(of limit.Rate, burst int) string {
		return fmt.Sprintf("rate = %q, burst = %d", explain.FormatRate(of), burst)
	}
	attr, ok := map[admission.Reason]string{
		admission.ByPenalty: fmt.Sprintf("penalty { on = [%s], first = %q, max = %q%s }", quoted(l.Penalty.On), explain.FormatDuration(l.Penalty.First), explain.FormatDuration(l.Penalty.Max), owns(&l.Penalty)),
		admission.ByRate:    rate(l.Rate, l.Burst), admission.ByConcurrency: fmt.Sprintf("concurrent = %d", l.Concurrent),
		admission.ByEarlyDrop:         fmt.Sprintf("early_drop { start = %d, percent = %d }, up to concurrent = %d", l.EarlyDrop.Start, l.EarlyDrop.Percent, l.Concurrent),
		admission.BySourceRate:        "per_source { " + rate(l.PerSource.Rate, l.PerSource.Burst) + " }",
		admission.BySourceConcurrency: fmt.Sprintf("per_source { concurrent = %d }", l.PerSource.Concurrent),
		admission.ByWiderConcurrency:  fmt.Sprintf("per_source { concurrent = %d, %s }", l.PerSource.Concurrent, wider(l.PerSource.Wider)),
		admission.ByWiderRate:         fmt.Sprintf("per_source { %s, %s }", rate(l.PerSource.Rate, l.PerSource.Burst), wider(l.PerSource.Wider)),
		admission.ByTableFull:         "rate and concurrent, by which so many sources come at once that no more are told apart",
	}[admission.Reason(r.text("reason"))]
	if ok {
		if net := r.text("source"); net != "" {
			line("counted", "%s", oneLine(net))
		}
		of := "limit." + oneLine(l.Name)
		line("limit", "%s: %s", of, attr)
		if own := ownOf(of); own != of {
			line("", "to change that: %s", own)
		}
	}
}

func wider(rungs []limit.Wider) string {
	var out []string
	for _, w := range rungs {
		var attrs []string
		for _, a := range []struct {
			name string
			n    int
		}{{"ipv4_prefix", w.Prefix4}, {"ipv6_prefix", w.Prefix6}, {"times", w.Times}} {
			if a.n != 0 {
				attrs = append(attrs, fmt.Sprintf("%s = %d", a.name, a.n))
			}
		}
		out = append(out, "wider { "+strings.Join(attrs, ", ")+" }")
	}
	return strings.Join(out, ", ")
}

// owns are the amounts of a penalty's classes, each behind a comma.
func owns(p *limit.Penalty) (text string) {
	for _, c := range limit.Classes {
		if own := *p.Own(c); own != 0 {
			text += fmt.Sprintf(", %s = %q", c, explain.FormatDuration(own))
		}
	}
	return text
}

func quoted(classes []limit.Class) string {
	var out []string
	for _, c := range classes {
		out = append(out, fmt.Sprintf("%q", oneLine(string(c))))
	}
	return strings.Join(out, ", ")
}

// shellEnds are exit statuses by which a shell says that its last program died of a signal that a limit sends.
var shellEnds = map[string]string{
	"152": "SIGXCPU: resources { cpu_time } of its profile",
	"153": "SIGXFSZ: resources { file_size } of its profile",
	"137": "SIGKILL: resources { cpu_time } of its profile, or want of memory",
}
