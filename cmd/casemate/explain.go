package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate/acl"
	"casemate/cmd/confine"
	"casemate/policy/control"
	"casemate/policy/explain"

	"github.com/spf13/cobra"
)

func (a *app) explainCmd() *cobra.Command {
	var name, local, expect, when string
	var batch, raw, compat, live bool
	var tables *hostTables
	cmd := &cobra.Command{
		Use:   "explain SERVICE CLIENT [PATH...]",
		Short: "Tell what would happen to a client, and why",
		Long: `explain answers for one client address which rule of which line decides, which
limits apply, and which user and sandbox its program gets.

With a PATH (a file, a directory, a compiled document, git:REV:PATH for what a commit has,
or - for standard input) it reads that policy and needs nothing else; without, it asks the
running casemated for the policy it runs, and for what its counters and this host add:
"refused now" when a limit or a penalty stands against the client whom the rules would let
in, "not served now" when the service is broken or none of its listeners is open. A
built-in's limits are counted by its own worker: casemate status has what it refused.

CLIENT is an IPv4 or IPv6 address, or unix for a client of a unix socket: uid=NUMBER where
rules name users, or its limits are asked of the running casemated. cid=NUMBER, or
vsock:NUMBER, is a client of a vsock.

No name is looked up. Rules with host names are decided by --name, which stands
for what a lookup would find: a host name that is confirmed, unknown (the address
has no name), paranoid (name and address disagree) or no-answer. With --resolve the
name is looked up as casemated does it, and CLIENT may be a host name: each of its
addresses is explained, and --expect is about all of them.

Of a compiled document, and of what casemated runs, explain looks at what the service is
made of, and at the digest of the whole; that the rest of it is sound, casemate check tells.
Of sources all is compiled first, since a policy that does not compile decides nothing: of
a thousand services with many rules that takes twenty times as long as to ask the document
of casemate compile --write, or the running casemated. For many questions, --batch asks once.

Rules with during are asked about now, or the time of --at; of the two clocks, the
broker's is the one that counts for its clients. Sessions go on when their time is over.

With --live the policy of a PATH is asked, and the running casemated for its counters, which
count under the policy that runs; without a PATH it asks for them anyway, and --live shows all.

With --decision it takes service, client, name, addresses and time from the record of a
decision in casemated's log (or that of --log), and explains it by the policy that made it,
as casemated runs it or has kept it (casemate history), or by the one at PATH instead: what
would have come of it there. It says where the rules come to something else than the log has.

With --batch it answers many questions: standard input has one JSON object on a line,

  {"service":"finger","client":"192.0.2.66","name":"www.example.org","local":"192.0.2.1"}

in the words of a policy's tests, and each is answered by one line with "decision" (allow or
deny), "rule" (its number, -1 for the default, -2 without an acl, -4 of a disabled service)
and "origin" (file:line). "at" is when the client comes, as 2026-11-26T18:30:00Z, or now.
client may be unix or uid=NUMBER, name unknown, paranoid or no-answer; a word that is none of
these is refused. The same code as the broker's decides.

With --hosts-access as well, the two paths are tables of tcp wrappers, hosts.allow and
hosts.deny, and service is the name of the daemon ("local_port" and "user" count too;
"name" may be left out, unknown or paranoid). Lines that tcp wrappers take otherwise than
they read are refused, with what to write instead, and everybody is denied; --compat
decides as Debian's libwrap does instead, in every quirk. What only the host would tell
(netgroups, commands of aclexec, accounts) is decided against the client.

Exit status: 0 explained, 1 could not (with --batch: a case, or the tables are refused),
3 the decision is not the one of --expect, which is about the rules: what a limit refuses
now, the rules still allow.`,
		Example: `  casemate explain finger 192.0.2.66 /etc/casemate
  casemate explain finger 198.51.100.7 --name www.example.org
  casemate explain finger www.example.org /etc/casemate --resolve
  casemate explain rsync 2001:db8::1 --expect deny
  casemate explain --decision 1871466496000042
  casemate explain --batch /etc/casemate <cases.jsonl
  casemate explain --batch --hosts-access /etc/hosts.allow /etc/hosts.deny --compat <cases.jsonl`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case raw && len(args) != 2:
				return errors.New("--hosts-access takes two paths: hosts.allow and hosts.deny")
			case raw && !batch:
				return errors.New("--hosts-access is for --batch: ask about the acl of a policy, or import the tables")
			case compat && !raw:
				return errors.New("--compat is for --hosts-access")
			case batch && live:
				return errors.New("--batch asks the rules alone: no counter has a place in its answers")
			case batch && (name+local+expect+when != ""):
				return errors.New("--batch takes name, local address and time from each case, and has no --expect")
			case batch:
				return nil
			}
			return cobra.MinimumNArgs(2)(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if raw {
				return a.batchTables(tables, compat)
			}
			if batch {
				doc, err := a.documentOf(args)
				if err != nil {
					return err
				}
				return a.batch(explain.NewBatch(doc).Ask)
			}
			if expect != "" && expect != "allow" && expect != "deny" {
				return fmt.Errorf("expect %q is not known: write allow or deny", expect)
			}
			at := time.Now()
			if when != "" {
				var err error
				if at, err = explain.ParseTime(when); err != nil {
					return err
				}
			}
			e, err := a.explanation(args[2:], args[0], args[1], name, local, at, live)
			if err != nil {
				return err
			}
			if a.json() {
				err = a.printJSON(struct {
					FormatVersion int `json:"format_version"`
					*explain.Explanation
				}{1, e})
			} else {
				a.explain(e)
				if live {
					a.counters(e)
				}
			}
			if err != nil {
				return err
			}
			if expect != "" && (string(e.Decision) != expect || e.NeedsName) {
				fmt.Fprintf(a.err, "casemate: expected %s\n", expect)
				return errNo
			}
			return nil
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		if raw {
			return tablesGrant(args, compat, &tables)
		}
		if batch && len(args) > 0 {
			return reads(args)
		}
		if batch || len(args) <= 2 {
			return confine.Grant{} // the control socket alone
		}
		return reads(args[2:])
	}
	a.revisions(cmd, "")
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "the client's host name, or unknown, paranoid, no-answer")
	f.StringVar(&local, "local", "", "the local address the client connects to")
	f.StringVar(&when, "at", "", "when the client comes, as 2026-11-26T18:30:00Z (now)")
	f.BoolVar(&batch, "batch", false, "answer the cases of standard input, one JSON object on a line")
	f.BoolVar(&raw, "hosts-access", false, "with --batch: by the tables ALLOW and DENY of tcp wrappers")
	f.BoolVar(&compat, "compat", false, "with --hosts-access: decide as Debian's libwrap does, in every quirk")
	f.BoolVar(&live, "live", false, "with a PATH: add what the running casemated counts and refuses now")
	f.StringVar(&expect, "expect", "", "exit with 3 unless the decision is this: allow or deny")
	return a.resolving(a.ofDecision(cmd))
}

// queryOf is a question about a client as the flags of explain and show say it.
func queryOf(client, name, local string, at time.Time) (q explain.Query, err error) {
	q = explain.Query{Name: name, At: at}
	if q.Peer, err = explain.ParsePeer(client); err != nil {
		return q, err
	}
	if q.Peer == "" {
		if q.Client, err = netip.ParseAddr(client); err != nil && exists(client) {
			return q, fmt.Errorf("client %q is a path: the client stands in front of it", client)
		}
		if err != nil {
			return q, fmt.Errorf("client %q is not an address: write an IPv4 or IPv6 address, unix or uid=NUMBER for a client of a unix socket, or cid=NUMBER for one of a vsock", client)
		}
	}
	if local != "" {
		if q.Local, err = netip.ParseAddr(local); err != nil {
			return q, fmt.Errorf("local %q is not an address", local)
		}
	}
	return q, nil
}

// explanation asks the files, or casemated when there are none.
func (a *app) explanation(paths []string, service, client, name, local string, at time.Time, live bool) (*explain.Explanation, error) {
	q, err := queryOf(client, name, local, at)
	if err != nil && exists(service) {
		err = fmt.Errorf("%w (and %q is a path: write %s)", err, service, command("explain", "SERVICE", "CLIENT", service))
	}
	if err != nil {
		return nil, err
	}
	q.Service = service
	who := control.Request{Service: service, Client: q.Client}
	if q.Peer != "" {
		_, number, _ := strings.Cut(string(q.Peer), "=")
		n, _ := strconv.ParseUint(number, 10, 32) // of a user who is not said, root's counters
		if who.UID = uint32(n); strings.HasPrefix(string(q.Peer), "cid=") {
			who.UID, who.CID = 0, uint32(n)
		}
	}
	if len(paths) == 0 {
		doc, resp, err := a.runningDocument(who, service)
		if err != nil {
			return nil, err
		}
		e, err := explain.Ask(doc, q)
		if err == nil {
			e.Live, e.LiveDigest = resp.Live, resp.Digest
		}
		return e, err
	}
	doc, ds, _ := a.load(paths, service)
	if doc == nil {
		return nil, a.refuse(ds, nil)
	}
	e, err := explain.Ask(doc, q)
	if err == nil && live {
		who.Verb = control.VerbDocument
		resp, aerr := a.ask(who)
		if aerr != nil {
			return nil, aerr
		}
		e.Live, e.LiveDigest = resp.Live, resp.Digest
	}
	return e, err
}

// explain prints an explanation for people.
func (a *app) explain(e *explain.Explanation) {
	verdict := a.paint("32")("allow")
	switch {
	case e.Disabled:
		verdict = a.paint("31")("disabled")
	case e.NeedsName:
		verdict = a.paint("33")("depends on the client's name")
	case e.Decision == acl.Deny:
		verdict = a.paint("31")("deny")
	case e.Live != nil && !served(e.Live):
		verdict = a.paint("31")("not served now")
	case e.Live != nil && e.Live.Refusal != "":
		verdict = a.paint("31")(refusedNow(e.Live))
	}
	a.printf("%s  %s from %s", verdict, oneLine(e.Service), oneLine(e.Client))
	if e.Name != "" {
		a.linef(" (name %s)", e.Name)
	}
	if e.Local != "" {
		a.linef(" to %s", e.Local)
	}
	if e.At != "" {
		a.linef(" at %s", e.At)
	}
	a.linef("\n  %s\n", e.Reason)
	if e.Origin != "" && e.Origin != "default" { // the reason says that it is the default
		a.linef("  at %s\n", e.Origin)
	}
	a.comesTo(e)
	if len(e.Steps) > 0 {
		a.linef("\nacl %s\n", e.ACL)
	}
	for _, s := range e.Steps {
		mark := "-"
		if s.Matched {
			mark = "*"
		}
		name := fmt.Sprintf("rule %d", s.Number)
		if s.Name != "" {
			name += fmt.Sprintf(" %q", s.Name)
		}
		a.linef("  %s %s %-5s %s\n      %s\n", mark, name, s.Verdict, s.Why, s.Origin)
		for _, name := range slices.Sorted(maps.Keys(s.Env)) {
			a.linef("      sets %s=%s\n", name, s.Env[name])
		}
		if len(s.Command) > 0 {
			a.linef("      runs %s\n", strings.Join(s.Command, " "))
		}
	}
	if e.Limit != nil {
		a.linef("\nlimit %s\n", e.Limit.Name)
		for _, line := range explain.LimitLines(e.Limit) {
			a.linef("  %s\n", line)
		}
		if e.Source != "" {
			a.linef("  counted as one source: %s\n", e.Source)
		}
		if e.Exempt != nil {
			a.linef("  this source is exempt: nothing is counted of it, by %s of exempt\n      %s\n", e.Exempt.Value, e.Exempt.Origin)
		}
		for _, line := range e.Notes {
			a.linef("  %s\n", line)
		}
	}
	a.live(e.Live)
	program := strings.Join(e.Command, " ")
	if e.Builtin != "" {
		program = "builtin " + e.Builtin
	} else if e.Redirect != "" {
		program = "a relay to " + e.Redirect
		if e.ProxyProtocol != "" {
			program += ", which is told the client by PROXY " + e.ProxyProtocol
		}
	}
	a.linef("\nruns %s\n  user %s", program, e.User)
	if e.Group != "" {
		a.linef(", group %s", e.Group)
	}
	if len(e.Groups) > 0 {
		a.linef(", groups %s", strings.Join(e.Groups, ", "))
	}
	a.linef("\n\nprofile %s\n", e.Profile)
	for _, line := range e.Layers {
		a.linef("  %s\n", line)
	}
	if e.Live != nil && len(e.Live.Losses) > 0 {
		a.linef("  not enforced on this host: %s\n", strings.Join(e.Live.Losses, "; "))
	}
	if len(e.Widens) > 0 {
		a.linef("  widens: %s\n", strings.Join(e.Widens, ", "))
	}
	a.origins(e.Origins)
	a.linef("\ndigest %s\n", e.Digest)
}

// comesTo prints the listeners that such a client can come to.
func (a *app) comesTo(e *explain.Explanation) {
	switch {
	case e.Disabled:
	case len(e.Listeners) == 0:
		a.printf("  and no listener of the service takes such a client: nobody asks the rules\n")
	default:
		a.linef("  comes to %s\n", strings.Join(e.Listeners, ", "))
	}
}

// origins prints where each value was written. What nobody wrote is not there.
func (a *app) origins(list []explain.Written) {
	a.printf("\nwritten\n")
	width, place := 0, 0
	for _, w := range list {
		if w.Origin != "default" {
			width, place = max(width, len(w.Name)), max(place, len(oneLine(w.Origin)))
		}
	}
	for _, w := range list {
		if w.Origin != "default" {
			a.linef("  %-*s  %-*s  %s\n", place, w.Origin, width, w.Name, w.Value)
		}
	}
}

// live prints what the running broker would do whatever the rules say.
func (a *app) live(l *control.Live) {
	if l == nil {
		return
	}
	if l.Refusal != "" {
		a.linef("  %s\n", refusedNow(l))
	}
	if l.Error != "" {
		a.linef("  %s\n", l.Error)
	}
	for _, at := range l.Listeners {
		if at.State == "retrying" || at.State == "shedding" {
			a.linef("  %s is %s: %s\n", at.Key, at.State, at.Error)
		}
	}
}

// served tells whether a client can come at all.
func served(l *control.Live) bool {
	return !l.Broken && slices.ContainsFunc(l.Listeners, func(at control.ListenerStatus) bool { return at.State != "retrying" })
}

// refusedNow tells which limit refuses, and for how long.
func refusedNow(l *control.Live) string {
	if l.Retry == 0 {
		return fmt.Sprintf("refused now (%s)", l.Refusal)
	}
	return fmt.Sprintf("refused now (%s, %d s left)", l.Refusal, (l.Retry+time.Second-1)/time.Second)
}
