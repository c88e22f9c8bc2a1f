package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/policy/explain"
	"casemate/policy/granted"

	"github.com/spf13/cobra"
)

// decided is the JSON of explain --decision: what the policy says, and what the log has.
type decided struct {
	FormatVersion int `json:"format_version"`
	*explain.Explanation
	Record logged `json:"record"` // as it is in the log
	// Agrees: the rules come to what the record says of them.
	Agrees bool `json:"agrees"`
	// Assumed: the log does not say what a lookup of the name has found, and Name is what fits it.
	Assumed bool `json:"name_assumed,omitempty"`
}

// ofDecision gives explain its --decision: SERVICE, CLIENT and the rest come from a record of the log.
func (a *app) ofDecision(cmd *cobra.Command) *cobra.Command {
	var id uint64
	var w why
	f := cmd.Flags()
	f.Uint64Var(&id, "decision", 0, "explain the decision of this id in the log, by the policy that made it, or by that at PATH")
	f.StringVar(&w.log, "log", "", "with --decision: the log to read; - is standard input")
	args, run, grant := cmd.Args, cmd.RunE, a.grants[cmd]
	asked := func() bool { return f.Changed("decision") }
	cmd.Args = func(c *cobra.Command, list []string) error {
		switch {
		case !asked() && f.Changed("log"):
			return errors.New("explain: --log is for --decision")
		case !asked():
			return args(c, list)
		case id == 0:
			return errors.New("explain: 0 is the id of no decision: write the number that the log shows")
		}
		for _, other := range []string{"name", "local", "at", "batch", "hosts-access", "live"} {
			if f.Changed(other) {
				return fmt.Errorf("explain: --decision has what --%s says from the log", other)
			}
		}
		return nil
	}
	cmd.RunE = func(c *cobra.Command, list []string) error {
		if !asked() {
			return run(c, list)
		}
		return a.decision(&w, list, f.Lookup("expect").Value.String())
	}
	a.grants[cmd] = func(list []string) confine.Grant {
		if !asked() {
			return grant(list)
		}
		if w.id = id; w.log == "" { // whatever is wrong is said behind the confinement
			w.log, w.unknown = a.logOf(&w)
		}
		if len(list) == 0 {
			return confine.Grant{Read: reads([]string{w.log}).Read}
		}
		return reads(append([]string{w.log}, list...))
	}
	return cmd
}

// decision explains a record.
func (a *app) decision(w *why, paths []string, expect string) error {
	r, err := a.decisionRecord(w)
	if err != nil {
		return err
	}
	q, err := r.query()
	if err != nil {
		return fmt.Errorf("explain: decision %d: %w", w.id, err)
	}
	doc, err := a.decidedBy(r.text("digest"), q.Service, paths)
	if err != nil {
		return err
	}
	d := decided{FormatVersion: 1, Record: r}
	if d.Explanation, err = explain.Ask(doc, q); err != nil {
		return err
	}
	if d.Agrees = r.agrees(d.Explanation); d.NeedsName {
		for _, q.Name = range []string{"unknown", "paranoid", "no-answer"} { // a name that was found is in the record
			if e, err := explain.Ask(doc, q); err == nil && r.agrees(e) {
				d.Explanation, d.Agrees, d.Assumed = e, true, true
				break
			}
		}
	}
	if a.json() {
		err = a.printJSON(d)
	} else {
		a.recorded(&d, len(paths) > 0)
		a.explain(d.Explanation)
	}
	if err == nil && expect != "" && (string(d.Decision) != expect || d.NeedsName) {
		fmt.Fprintf(a.err, "casemate: expected %s\n", expect)
		return errNo
	}
	return err
}

// decisionRecord finds the record of a decision in the log.
func (a *app) decisionRecord(w *why) (logged, error) {
	if w.unknown != nil {
		return nil, w.unknown
	}
	in := a.in
	if w.log != "-" {
		f, err := os.Open(w.log)
		if err != nil {
			return nil, fmt.Errorf("explain: %w: name a log that you may read", err)
		}
		defer f.Close()
		in = f
	}
	found, err := w.find(in)
	if err != nil {
		return nil, fmt.Errorf("explain: read the log %s: %w", w.log, err)
	}
	for _, r := range found {
		if r.text("msg") == "decision" {
			return r, nil
		}
	}
	return nil, fmt.Errorf("explain: %s has no decision %d: name an older log with --log, if it was rotated (a service with log = \"sessions\" has no record of whom it refuses)", w.log, w.id)
}

// decidedBy is the policy of a digest, as it runs or ran, or the one at the paths: what of it is about a service.
func (a *app) decidedBy(digest, service string, paths []string) (*policy.Document, error) {
	if len(paths) > 0 {
		return a.documentOf(paths, service)
	}
	if !granted.ValidDigest(digest) {
		return nil, errors.New("explain: the record does not say which policy decided: name one as PATH")
	}
	doc, _, err := a.runningDocument(control.Request{Digest: digest}, service)
	if err != nil {
		return nil, fmt.Errorf("explain: the policy that decided: %w", err)
	}
	return doc, nil
}

// query is what was decided.
func (r logged) query() (q explain.Query, err error) {
	q = explain.Query{Service: r.text("service"), Name: r.text("client_name"), At: r.at()}
	who := r.whom()
	if who == "" {
		return q, errors.New("it is the start of a program that takes its clients itself: whom that admits has no record here, or one of its own")
	}
	if q.Peer, err = explain.ParsePeer(who); err == nil && q.Peer == "" {
		q.Client, err = netip.ParseAddr(who)
	}
	if local, lerr := netip.ParseAddrPort(r.text("local")); lerr == nil {
		q.Local = local.Addr()
	}
	if err != nil {
		return q, fmt.Errorf("its client %q: %w", who, err)
	}
	return q, nil
}

// agrees tells whether the rules come to what the record says: who is refused by a limit, the rules have let in.
func (r logged) agrees(e *explain.Explanation) bool {
	verdict := r.text("verdict")
	if verdict == "deny" && r.text("reason") != "acl" {
		verdict = "allow"
	}
	rule := e.Origin
	switch {
	case e.Rule == -1:
		rule = "default"
	case e.Rule < -1:
		rule = "none"
	}
	return !e.NeedsName && string(e.Decision) == verdict && rule == r.text("rule")
}

// recorded prints what the log has.
func (a *app) recorded(d *decided, other bool) {
	r := d.Record
	verdict := r.text("verdict")
	if v := r.text("reason"); v != "" {
		verdict += " by " + v
	}
	a.printf("decision %s at %s: %s, rule %s\n", r.text("id"), r.text("time"), verdict, r.text("rule"))
	switch {
	case other:
		a.printf("it was made under %s; here is what the policy %s says to such a client\n", r.text("digest"), d.Digest)
	case !d.Agrees:
		a.printf("%s\n", a.paint("33")("the policy of its digest comes to something else for what the log has of the client: here is what"))
	}
	if d.Assumed {
		a.printf("the log does not say what a lookup of its name has found: %s comes to this\n", d.Name)
	}
	a.printf("\n")
}

// counters prints what the running casemated has counted of a service since its start.
func (a *app) counters(e *explain.Explanation) {
	if e.LiveDigest != e.Digest {
		a.printf("counted under the policy that runs, %s\n", e.LiveDigest)
	}
	l := e.Live
	if l == nil {
		a.printf("the policy that runs does not have the service %s\n", e.Service)
		return
	}
	a.printf("now %d live, of limit %s; at most %d, admitted %d, refused %d, failed %d\n", l.Live, l.Limit, l.Peak, l.Admitted, l.Refused, l.Failed)
	if l.Queued > 0 {
		a.printf("%d wait for a place\n", l.Queued)
	}
	a.reasons(e.Service, "refused", l.RefusedBy)
	a.reasons(e.Service, "ended", l.EndedBy)
}
