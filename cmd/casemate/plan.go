package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"casemate/cmd/casemate/facts"
	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/control"
	"casemate/policy/diff"
	"casemate/sandbox/landlock"

	"github.com/spf13/cobra"
)

// planReport is the JSON of plan.
type planReport struct {
	FormatVersion int         `json:"format_version"`
	Digest        string      `json:"digest"` // of what there is to load
	Running       planRunning `json:"running"`
	Same          bool        `json:"same"` // the digests are equal: a reload changes nothing
	// Diff is what it comes to, as casemate diff has it.
	Diff      *diff.Policies `json:"diff"`
	Listeners planListeners  `json:"listeners"`
	Services  []planService  `json:"services"`
	// Older are sessions of services that the policy in force has no more.
	Older int `json:"older_sessions,omitempty"`
	// Narrow is what becomes of sessions whose client the policy does not admit.
	Narrow planNarrow `json:"narrow"`
	// Refused says why a reload would refuse this policy on this host now, and Host which layers its kernel does not enforce.
	Refused     []string         `json:"refused"`
	Host        *hostReport      `json:"host"`
	Diagnostics []output.Finding `json:"diagnostics"`
	// Reload is what loads this policy and no other, in place of the one that it was compared with.
	Reload []string `json:"reload"`
}

// planRunning is what runs.
type planRunning struct {
	Digest     string   `json:"digest"`
	Generation uint64   `json:"generation"`
	Paths      []string `json:"policy_paths"`
	RolledBack bool     `json:"rolled_back,omitempty"`
}

func (a *app) planCmd() *cobra.Command {
	var p plan
	cmd := &cobra.Command{
		Use:   "plan [PATH...]",
		Short: "Tell what a reload would do",
		Long: `plan asks the running casemated what it has in force, compares that with the policy at PATH
(a file, a directory, a compiled document or git:REV:PATH; by default what casemated itself is
to load), and tells what casemate reload would do with it now, without doing it:

  what the policy comes to changes, as casemate diff running PATH says it
  listeners that stay open, get other options, are opened and are closed
  services whose sandbox is made anew, while the old one serves
  sessions, which go on under what they were started with, and how many of the first 1000 have a
  client that the policy does not admit, which reload --end-disallowed or on_narrow = "end" ends
  layers that this kernel does not enforce, where best_effort allows that
  what casemated would refuse on this host, as casemate check --host finds it: users,
  programs, and addresses that others have

At the end stands the command that loads this policy and no other, in the place of the one
that it was compared with (casemate reload --if-digest ... --if-running ...).

plan changes nothing: it needs the control socket and the right to read what it looks
at, and says what it could not look at without root. What casemated alone knows, as its
--digest and --trust, it leaves to the reload.

Exit status: 0 told, whatever it is, 1 could not, 3 with --fail-on: widened, that somebody
gets more than before, or may; changed, that anything is other; refused, that it would be
refused.`,
		Example: `  casemate plan
  casemate plan ./casemate --fail-on widened --fail-on refused
  casemate plan -o json | jq -r .digest`,
		RunE: func(_ *cobra.Command, args []string) error { return a.plan(&p, args) },
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		if len(args) == 0 { // whatever is wrong is said behind the confinement
			p.own, p.unknown = a.ownPaths()
			args = p.own
		}
		p.net = facts.ReadNet()
		return confine.Grant{Read: append(onDisk(args), "/")}
	}
	a.revisions(cmd, "")
	a.formats(cmd, output.SARIF)
	p.gate = a.gated(cmd, onWidened, onChanged, onRefused)
	return cmd
}

// plan is what a run of the verb found before it confined itself.
type plan struct {
	gate    *gate
	net     *facts.Net
	own     []string // what casemated loads
	unknown error    // why that is not known
	diff    *diff.Policies
	paths   []string // that it is about
	loads   bool     // they are what casemated loads
}

// ownPaths are those of casemated's policy.
func (a *app) ownPaths() ([]string, error) {
	resp, err := a.ask(control.Request{Verb: control.VerbStatus})
	if err != nil {
		return nil, err
	}
	if resp.Status == nil || len(resp.Status.PolicyPaths) == 0 {
		return nil, fmt.Errorf("%s: casemated does not say what it loads: name a PATH", a.control)
	}
	return resp.Status.PolicyPaths, nil
}

// inForce is the policy in force, and the status of casemated under it.
func (a *app) inForce() (*policy.Document, *control.Status, error) {
	for range 3 { // a reload may come in between
		doc, _, err := a.runningDocument(control.Request{})
		if err != nil {
			return nil, nil, err
		}
		resp, err := a.ask(control.Request{Verb: control.VerbStatus})
		if err != nil {
			return nil, nil, err
		}
		if resp.Status != nil && resp.Status.Digest == doc.Digest {
			return doc, resp.Status, nil
		}
	}
	return nil, nil, fmt.Errorf("ask casemated: its policy changes all the time: ask again")
}

func (a *app) plan(p *plan, paths []string) error {
	if len(paths) == 0 {
		if paths = p.own; p.unknown != nil {
			return p.unknown
		}
	}
	was, st, err := a.inForce()
	if err != nil {
		return err
	}
	doc, ds, sources := a.load(paths)
	if doc == nil {
		return a.refuse(ds, nil)
	}
	p.diff, err = a.compared(was, doc)
	if err != nil {
		return err
	}
	ds = append(ds, hostFindings(gathered(p.net, paths), doc, sources)...)
	from, to := groundOf(was), groundOf(doc)
	r := &planReport{FormatVersion: 1, Digest: doc.Digest, Same: doc.Digest == was.Digest, Diff: p.diff, Host: onKernel(doc.Policy, landlock.ABI()), Diagnostics: output.Of(ds), Refused: []string{},
		Running:   planRunning{st.Digest, st.Generation, st.PolicyPaths, !st.RolledBack.IsZero()},
		Listeners: listeners(st, from, to), Services: services(st, from, to),
		Reload: []string{"casemate", "reload", "--if-digest", doc.Digest, "--if-running", was.Digest}}
	r.Reload = append(r.Reload, a.asked()...)
	r.Host.known(st, was.Policy, doc.Policy)
	r.refusals(ds, blocked(st, from, to, r.Listeners))
	r.Narrow = narrowed(st.Sessions, doc.Policy, time.Now())
	for _, s := range st.Sessions {
		if was.Policy.Service(s.Service) == nil {
			r.Older++
		}
	}
	p.paths = paths
	p.loads = slices.Equal(absPaths(paths), st.PolicyPaths)
	err = a.emit(forms{
		output.Text: func(io.Writer) error { a.printPlan(p, r, ds); return nil },
		output.JSON: func(w io.Writer) error { return writeJSON(w, r) },
		output.SARIF: func(w io.Writer) error {
			return findingsOf("plan", r.findings(&told{old: a.policyWords(running), new: p.paths, p: p.diff})).WriteSARIF(w)
		},
	})
	if err != nil {
		return err
	}
	why := shutBy(p.diff, "the policy to load", "what runs")
	if len(r.Refused) > 0 {
		why[onRefused] = "casemated would refuse it: " + enumerate(r.Refused)
	}
	return a.pass(p.gate, why)
}

// absPaths are paths as casemated has them, which has none for what is not on disk.
func absPaths(paths []string) (out []string) {
	for _, p := range paths {
		if abs, err := filepath.Abs(p); err == nil && len(onDisk([]string{p})) > 0 {
			p = abs
		}
		out = append(out, p)
	}
	return out
}

// refusals gathers why a reload would be refused.
func (r *planReport) refusals(ds []policy.Diagnostic, more []string) {
	for _, d := range ds {
		if d.Severity == policy.SeverityError {
			r.Refused = append(r.Refused, d.Summary)
		}
	}
	for _, s := range r.Host.Services {
		if s.Refused != "" {
			r.Refused = append(r.Refused, s.Name+": "+s.Refused)
		}
	}
	r.Refused = append(r.Refused, more...)
}

// printPlan is a plan for people.
func (a *app) printPlan(p *plan, r *planReport, ds []policy.Diagnostic) {
	a.diagnose(ds)
	if r.Same {
		a.printf("the policy that runs is this one: generation %d, digest %s\n", r.Running.Generation, r.Digest)
	} else {
		a.printf("runs     %s, generation %d\nto load  %s\n", r.Running.Digest, r.Running.Generation, r.Digest)
	}
	if r.Running.RolledBack {
		a.printf("what runs was rolled back to\n")
	}
	if !r.Same {
		a.printf("\n")
		a.diffText(told{old: a.policyWords(running), new: p.paths, p: p.diff, groups: alike(p.diff)})
	}
	l := &r.Listeners
	a.printf("\nlisteners: %d kept, %d with other options, %d opened, %d closed\n", len(l.Kept), len(l.Changed), len(l.Opened), len(l.Closed))
	a.planned("+", "32", l.Opened, "")
	a.planned("-", "31", l.Closed, "")
	a.planned("~", "33", l.Changed, "other options")
	for _, k := range l.Kept {
		if k.Was != "" {
			a.printf("  = %s  %s, of %s until now\n", k.Key, k.Service, k.Was)
		}
	}
	by, live := map[string][]string{}, 0
	for _, s := range r.Services {
		by[s.Sandbox] = append(by[s.Sandbox], s.Name)
		live += s.Live
	}
	a.printf("sandboxes: %d kept, %d made anew\n", len(by[kept]), len(by[anew]))
	if len(by[anew]) > 0 {
		a.printf("  + %s\n", strings.Join(by[anew], ", "))
	}
	if len(by[removed]) > 0 {
		a.printf("services that are served no more: %s\n", strings.Join(by[removed], ", "))
	}
	a.printf("sessions: %d go on under what they were started with%s\n", live+r.Older, map[bool]string{true: ", but for"}[r.Narrow.Ends && r.Narrow.Disallowed > 0])
	a.printNarrow(&r.Narrow)
	for _, s := range r.Services {
		if s.Live > 0 && s.Sandbox != kept {
			a.printf("  %s: %d live, %s\n", s.Name, s.Live, map[string]string{anew: "the next ones get the new sandbox", removed: "there are no next ones"}[s.Sandbox])
		}
		if s.Broken {
			a.printf("%s is not served now: %s\n", s.Name, map[bool]string{true: "it is tried again", false: "a reload fails if it cannot be prepared"}[s.Retried])
		}
	}
	var lost losses
	for _, s := range r.Host.Services {
		lost.add(s.Name, s.Losses...)
	}
	a.losses(&lost, "this host")
	if len(r.Refused) > 0 {
		a.printf("\n%s\n", a.paint("31")("casemated would refuse this policy on this host:"))
		for _, why := range r.Refused {
			a.linef("  %s\n", why)
		}
	}
	a.printf("\ndigest %s\n", r.Digest)
	switch {
	case r.Same:
	case !p.loads:
		a.linef("casemated loads %s: it is there that this policy has to be for\n", strings.Join(r.Running.Paths, " "))
		fallthrough
	default:
		a.linef("  %s\n", shellLine(r.Reload))
	}
}

// planned lists listeners.
func (a *app) planned(mark, style string, list []planListener, what string) {
	for _, one := range list {
		a.printf("  %s %s  %s%s\n", a.paint(style)(mark), one.Key, one.Service, cmp.Or(map[bool]string{true: ": " + what}[what != ""], ""))
	}
}
