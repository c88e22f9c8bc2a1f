package policytest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/policy"
	"casemate/policy/explain"
)

// judge compares what became of one client with what a case wants.
func (r *runner) judge(w *Want, got *result, at Place, res *Result) {
	if got.lacks != "" {
		r.undecided(got, at, res)
		return
	}
	if w.Expect != nil && (w.Expect.Value == acl.Allow) != got.Admitted {
		r.fail(res, got, "expect", string(w.Expect.Value), says(got), w.Expect.At)
		return // the others follow from it
	}
	r.judgeMatch(w, got, res)
	if w.Reason != nil && (len(w.Reason.Value) != 1 || w.Reason.Value[0] != got.Reason) {
		r.fail(res, got, "reason", strings.Join(w.Reason.Value, ", "), says(got), w.Reason.At)
	}
	r.judgeGiven(w, got, res)
}

// What a test may leave unsaid as long as nothing depends on it.
const (
	lacksName = `it depends on the client's host name: write name = "host.example.org", or "unknown"`
	lacksDraw = `it depends on the draw of early_drop: write draw = "refuse", or "admit"`
)

// undecided fails a test about a client for whom something decides that it does not say.
func (r *runner) undecided(got *result, at Place, res *Result) {
	r.fail(res, got, "error", "a decision", got.lacks, at)
}

func (r *runner) judgeMatch(w *Want, got *result, res *Result) {
	if w.Matched == nil {
		return
	}
	l, m := r.doc.Policy.ACL(got.service.ACL), w.Matched.Value
	match := m.ACL == "" || m.ACL == got.service.ACL
	if is := ruleText(l, got.rule); match && (m.Rule == "none" || m.Rule == "disabled" || l == nil) {
		match = is == m.Rule
	} else if match {
		i, ok := FindRule(l, m.Rule)
		match = ok && i == got.rule
	}
	if !match {
		r.fail(res, got, "matched", m.String(), ruleText(l, got.rule), w.Matched.At)
	}
}

// judgeGiven compares what an admitted client gets.
func (r *runner) judgeGiven(w *Want, got *result, res *Result) {
	s := got.service
	group := cmp.Or(string(s.Group), "")
	for _, t := range []struct {
		what string
		want *Said[string]
		got  string
	}{{"user", w.User, string(s.User)}, {"group", w.Group, group}, {"profile", w.Profile, s.Profile}, {"limit", w.Limit, s.Limit}} {
		if t.want != nil {
			r.given(res, got, t.what, t.want.Value, t.got, t.want.At)
		}
	}
	if w.Command != nil {
		r.given(res, got, "command", strings.Join(w.Command.Value, " "), strings.Join(r.command(got), " "), w.Command.At)
	}
	if w.Listen != nil {
		r.given(res, got, "listen", listText(w.Listen.Value), listText(Listens(s)), w.Listen.At)
	}
	if w.Env != nil {
		env := r.env(got)
		for _, v := range w.Env.Value {
			is, set := env[v[0]]
			if is = v[0] + "=" + is; !set {
				is = v[0] + " is not set"
			}
			r.given(res, got, "env", v[0]+"="+v[1], is, w.Env.At)
		}
	}
}

// given fails where an admitted client gets something else, or is none.
func (r *runner) given(res *Result, got *result, what, want, is string, at Place) {
	if !got.Admitted && what != "listen" {
		r.fail(res, got, what, want, says(got), at)
	} else if want != is {
		r.fail(res, got, what, want, cmp.Or(is, "none"), at)
	}
}

// command is what serves a client: its rule's, or the service's.
func (r *runner) command(got *result) []string {
	if l := r.doc.Policy.ACL(got.service.ACL); l != nil && got.rule >= 0 && len(l.Rules[got.rule].Command) > 0 {
		return l.Rules[got.rule].Command
	}
	return got.service.Command
}

// env is what the policy sets for a client's program; none of the two sets what the other has.
func (r *runner) env(got *result) map[string]string {
	env := maps.Clone(got.service.Env)
	if env == nil {
		env = map[string]string{}
	}
	if l := r.doc.Policy.ACL(got.service.ACL); l != nil && got.rule >= 0 {
		maps.Copy(env, l.Rules[got.rule].Env)
	}
	return env
}

// Listens are the addresses of a service as they are written.
func Listens(s *policy.Service) (out []string) {
	for _, l := range s.Listen {
		out = append(out, l.String())
	}
	for _, name := range s.Mux {
		out = append(out, "tcpmux:"+name)
	}
	return out
}

func listText(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ", ") }

// judgeAll compares what became of all clients of arrivals.
func (r *runner) judgeAll(w *Want, all []*result, res *Result) {
	admitted, waited, reasons := 0, 0, map[string]*result{}
	for _, got := range all {
		switch {
		case got.Admitted:
			admitted++
		case reasons[got.Reason] == nil:
			reasons[got.Reason] = got
		}
		if got.Waited {
			waited++
		}
	}
	words := slices.Sorted(maps.Keys(reasons))
	first := all[0]
	if len(words) > 0 {
		first = reasons[words[0]]
	}
	tally := fmt.Sprintf("%d of %d allowed", admitted, len(all))
	if len(words) > 0 {
		tally += ", the others refused: " + strings.Join(words, ", ")
	}
	if w.Expect != nil {
		for _, got := range all {
			if (w.Expect.Value == acl.Allow) != got.Admitted {
				r.fail(res, got, "expect", string(w.Expect.Value)+" for all", tally, w.Expect.At)
				break
			}
		}
	}
	if w.Allowed != nil && w.Allowed.Value != admitted {
		r.fail(res, first, "allowed", fmt.Sprint(w.Allowed.Value), tally, w.Allowed.At)
	}
	if w.Waited != nil && w.Waited.Value != waited {
		r.fail(res, first, "waited", fmt.Sprint(w.Waited.Value), fmt.Sprint(waited), w.Waited.At)
	}
	if w.Reason != nil && !slices.Equal(slices.Sorted(slices.Values(w.Reason.Value)), words) {
		r.fail(res, first, "reason", strings.Join(w.Reason.Value, ", "), tally, w.Reason.At)
	}
	for _, got := range all {
		if before := len(res.Failures) + res.Left; got.Admitted || w.Matched != nil {
			r.judgeMatch(w, got, res)
			if got.Admitted {
				r.judgeGiven(w, got, res)
			}
			if len(res.Failures)+res.Left > before {
				break // the others are as wrong
			}
		}
	}
}

// says is what became of a client, in words.
func says(got *result) string {
	if got.Admitted {
		return "allow"
	}
	return fmt.Sprintf("deny (reason %s)", got.Reason)
}

// fail adds a failure about a client, with its trace.
func (r *runner) fail(res *Result, got *result, what, want, is string, at Place) {
	f := Failure{What: what, Service: got.service.Name, Client: got.client.Text, Want: want, Got: is, Place: at}
	if !res.full() {
		r.explain(&f, got.query)
		if got.Reason == reasonNowhere {
			f.Trace = append(f.Trace, "and no listener of the service takes such a client: it has "+listText(Listens(got.service)))
		}
		if got.Reason != "" && got.Reason != reasonACL && got.Reason != reasonDisabled && got.Reason != reasonNowhere {
			f.Trace = append(f.Trace, r.limitTrace(got)...)
		}
	}
	res.fail(f)
}

// explain adds what explain says of a client.
func (r *runner) explain(f *Failure, q explain.Query) {
	e, err := explain.Ask(r.doc, q)
	if err != nil {
		f.Trace = []string{err.Error()}
		return
	}
	f.Origin = e.Origin
	for _, s := range e.Steps {
		mark, name := "-", fmt.Sprintf("rule %d", s.Number)
		if s.Matched {
			mark = "*"
		}
		if s.Name != "" {
			name += fmt.Sprintf(" %q", s.Name)
		}
		f.Trace = append(f.Trace, fmt.Sprintf("%s %s %s (%s): %s", mark, name, s.Verdict, explain.Line(s.Origin), s.Why))
	}
	at := ""
	if e.Origin != "" && e.Origin != "default" {
		at = " (" + explain.Line(e.Origin) + ")"
	}
	f.Trace = append(f.Trace, fmt.Sprintf("= %s: %s%s", e.Decision, e.Reason, at))
}

// limitTrace says what the limit that refused is.
func (r *runner) limitTrace(got *result) []string {
	l := r.doc.Policy.Limit(got.service.Limit)
	at := r.doc.Origins.Lookup("limits." + l.Name)
	out := []string{fmt.Sprintf("= then refused: %s, by limit %s (%s)", got.Reason, l.Name, explain.Line(at))}
	for _, line := range explain.LimitLines(l) {
		out = append(out, "  "+line)
	}
	return out
}
