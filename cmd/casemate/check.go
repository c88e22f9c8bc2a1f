package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"casemate/cmd/casemate/facts"
	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/cmd/version"
	"casemate/policy"
	"casemate/policy/explain"
	"casemate/policy/signed"
	"casemate/policy/valid"

	"github.com/spf13/cobra"
)

// checkReport is the JSON of check.
type checkReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Valid       bool             `json:"valid"`
	Digest      string           `json:"digest,omitempty"`
	Services    []checkService   `json:"services,omitempty"`
	Disabled    []checkService   `json:"disabled,omitempty"`
	Diagnostics []output.Finding `json:"diagnostics"`
	Host        *hostReport      `json:"host,omitempty"`
}

// checkService is one line of check's table.
type checkService struct {
	Name    string   `json:"name"`
	Listen  []string `json:"listen"`
	User    string   `json:"user"`
	ACL     string   `json:"acl"`
	Limit   string   `json:"limit"`
	Profile string   `json:"profile"`
	Widens  []string `json:"widens,omitempty"`
	Because string   `json:"because,omitempty"`
	// Entry is the line of the inetd.conf that the service is of, and ExtendedBy the block
	// that extends it, "" for none.
	Entry      string            `json:"entry,omitempty"`
	ExtendedBy string            `json:"extended_by,omitempty"`
	Origins    []explain.Written `json:"origins"`
}

func (a *app) checkCmd() *cobra.Command {
	var o checkOptions
	var hostnet *facts.Net
	cmd := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Check a policy and show what it exposes",
		Long: `check compiles the policy and prints, for each service, where it listens, who it
runs as, and the acl, limit and profile it has, which ones are disabled, then the digest that casemated
will show in its status and its log.

check is pure: it needs no root, opens no socket, asks no DNS and writes nothing,
and its answer of a day is the same on every machine. A policy file that others than its
owner and root may write is an error.

With --host it adds what casemated would refuse on this host, and asks the same code
as casemated does: a policy that others than root can change; users and groups that
do not exist; programs that are not there, cannot be run, or that others than root
can change; interpreters, dynamic loaders and libraries of the host that the profile does
not show (only what is certain: not what a program loads later by itself); paths of
files { read, write, exec } that are not there; addresses that another process has
(and which), or that the host has not; Landlock rights that its kernel does not know,
where nothing else holds them. It warns where a name of a port is another number in
its /etc/services (which may be among the sources), and where what a service may take in all
(concurrent, times what its profile gives each session) is more than this host has. It
needs no root, and says what it could not look at without; for what it looks at it
keeps the right to read any file. With --facts FILE it decides the same on any machine, from
what casemate facts has written on the host.

With --trust FILE it asks first for what casemated --trust asks for: that PATH is one compiled
document with a signature beside it (PATH.sig) by a key of FILE. It takes keys in hardware as
well (sk-ssh-ed25519@openssh.com), which casemated does not, and says so.

PATH is a file, a directory of *.cm.hcl files, git:REV:PATH for what a commit has, or - for
standard input; the default is ` + policyPath + `. Several paths are one policy. One of the name inetd.conf or *.inetd, or
a directory inetd.d, holds entries of inetd, which are services too: help inetd.

Beside what is wrong it finds what a reviewer would ask about, each with a code: casemate
explain-rule lists them, and prints of each why it matters, with an example. A finding is
an error, a warning or a notice; --fail-on makes a gate of them. A waiver block in the
policy accepts a warning or a notice of one code and service until a day:

  waiver "CM707" {
    service = "telnet"
    reason  = "two customers still need it"
    expires = "2027-01-31"
  }

What a waiver accepts is still in JSON and SARIF, as waived; one that accepts nothing, has
expired or soon will is found itself. The day is this machine's, and the one thing of it
that counts.

Exit status: 0 the policy is valid, 1 it is not, 3 --trust has no signature that it admits, or it is
valid and something as grave as --fail-on says is found: by itself that is what the host would refuse of it (--host, --facts).`,
		Example: `  casemate check
  casemate check examples/quickstart
  casemate check --host
  casemate check --fail-on warning -o github --output-into sarif=casemate.sarif
  casemate check -o json policy.cm.hcl | jq .digest`,
		RunE: func(_ *cobra.Command, args []string) error {
			if o.list {
				return a.explainRules(nil)
			}
			if err := o.settle(); err != nil {
				return err
			}
			if len(args) == 0 {
				args = []string{policyPath}
			}
			if o.trust != "" {
				if err := a.trusted(o.trust, args); err != nil {
					return err
				}
			}
			l, ds := a.loadReviewed(args)
			h, err := o.hostFacts(hostnet, args)
			if err != nil {
				return err
			}
			var host []policy.Diagnostic
			if l.doc != nil && h != nil {
				host = hostFindings(h, l.doc, l.sources)
			}
			found := &output.Report{Verb: "check", Version: version.Word(), Findings: o.findings(l, ds, host, time.Now()), Rules: outputRules(), FailOn: o.failOn, Place: output.Here()}
			if l.doc == nil {
				return a.invalid(found)
			}
			r := checkReportOf(l.doc, found.Findings)
			if h != nil {
				r.Host = onKernel(l.doc.Policy, h.LandlockABI)
			}
			err = a.emit(checkForms(found, r, func(io.Writer) error {
				if err := output.WriteText(a.err, found.Findings, a.coloring); err != nil {
					return err
				}
				if !o.quiet {
					a.table(l.doc)
					a.waived(found.Findings)
				}
				a.host(r.Host, o.facts)
				return nil
			}))
			switch {
			case err != nil:
				return err
			case found.Fails():
				a.shut(found.FailOn, findingsShut(found))
				return errNo
			}
			return r.Host.answer()
		},
	}
	a.grants[cmd] = func(args []string) confine.Grant {
		g := reads(args)
		if o.host {
			hostnet = facts.ReadNet()
			g.Read = append(g.Read, "/")
		}
		if o.facts != "" {
			g.Read = append(g.Read, o.facts)
		}
		if o.trust != "" {
			g.Read = append(g.Read, o.trust)
			for _, path := range onDisk(args) {
				g.Read = append(g.Read, path+signed.Suffix)
			}
		}
		return g
	}
	a.revisions(cmd, "")
	a.formats(cmd, output.Markdown, output.SARIF, output.GitHub, output.JUnit)
	f := cmd.Flags()
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print diagnostics only")
	f.BoolVar(&o.host, "host", false, "add what this host cannot enforce or does not have")
	f.StringVar(&o.facts, "facts", "", "add what the host lacks whose facts are in this file (casemate facts)")
	f.StringVar(&o.trust, "trust", "", "first ask for a signature beside the one document, by a key of this file (as casemated --trust)")
	f.StringVar(&o.failOn, "fail-on", policy.SeverityError, "exit with 3 where something as grave is found: error, warning or notice")
	f.StringArrayVar(&o.rules, "rule", nil, "look for this code alone, beside errors (repeatable)")
	f.BoolVar(&o.list, "list-rules", false, "list the codes of all that is looked for")
	return cmd
}

// findingsShut says which findings a gate is shut by, and where each is explained.
func findingsShut(found *output.Report) string {
	var by []output.Finding
	var codes []string
	for _, f := range found.Findings {
		if f.Waived != nil || !output.AtLeast(f.Severity, found.FailOn) {
			continue
		}
		by = append(by, f)
		if f.Code != "" && !slices.Contains(codes, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	return fmt.Sprintf("%s; why: casemate explain-rule %s", output.Count(by), strings.Join(codes, " "))
}

// checkForms are the formats of check.
func checkForms(found *output.Report, r checkReport, text func(io.Writer) error) forms {
	return forms{
		output.Text:     text,
		output.JSON:     func(w io.Writer) error { return writeJSON(w, r) },
		output.Markdown: found.WriteMarkdown,
		output.SARIF:    found.WriteSARIF,
		output.GitHub:   found.WriteGitHub,
		output.JUnit:    found.WriteJUnit,
	}
}

// invalid tells of a policy that is not valid.
func (a *app) invalid(found *output.Report) error {
	f := failure{false, output.Count(found.Findings) + "; the policy is not valid"}
	tell := func(io.Writer) error { return output.WriteText(a.err, found.Findings, a.coloring) }
	if err := a.emit(checkForms(found, checkReport{FormatVersion: 1, failure: &f, Diagnostics: found.Findings}, tell)); err != nil {
		return err
	}
	if output.Format(a.format) != output.Text {
		_ = tell(nil) // as every verb that fails does
	}
	fmt.Fprintf(a.err, "casemate: %s\n", f.Error)
	return errReported
}

func checkReportOf(doc *policy.Document, ds []output.Finding) checkReport {
	r := checkReport{FormatVersion: 1, Valid: true, Digest: doc.Digest, Diagnostics: append([]output.Finding{}, ds...)}
	for i := range doc.Policy.Services {
		r.Services = append(r.Services, checked(doc, &doc.Policy.Services[i]))
	}
	for i := range doc.Policy.Disabled {
		r.Disabled = append(r.Disabled, checked(doc, &doc.Policy.Disabled[i]))
	}
	return r
}

func checked(doc *policy.Document, s *policy.Service) checkService {
	c := checkService{Name: s.Name, User: string(s.User), ACL: s.ACL, Limit: s.Limit, Profile: s.Profile, Because: valid.Reason(doc.Policy, s)}
	if f := doc.Policy.Profile(s.Profile); f != nil {
		c.Widens = f.Widens
	}
	for _, l := range s.Listen {
		c.Listen = append(c.Listen, l.String())
	}
	for _, name := range s.Mux {
		c.Listen = append(c.Listen, "tcpmux:"+name)
	}
	c.Origins = explain.Origins(doc, s)
	c.Entry, c.ExtendedBy = entryOf(doc, &c)
	return c
}

// entryOf is the entry of a service: where its block, or what it does not say, stands in
// an inetd.conf.
func entryOf(doc *policy.Document, c *checkService) (entry, by string) {
	block := doc.Origins.Lookup("services." + c.Name)
	if explain.FromEntry(block) {
		return block, ""
	}
	for _, w := range c.Origins {
		if explain.FromEntry(w.Origin) {
			return w.Origin, block
		}
	}
	return "", ""
}

// entries prints which line of an inetd.conf is which service, and what extends it.
func (a *app) entries(services []checkService) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	any := false
	for _, s := range services {
		if s.Entry == "" {
			continue
		}
		if !any {
			any = true
			a.printf("\n")
			fmt.Fprintln(w, "ENTRY\tSERVICE\tEXTENDED BY")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", explain.Line(s.Entry), s.Name, dash(explain.Line(s.ExtendedBy)))
	}
	a.flush(w, &b)
}

// table prints one line for each service and the digest.
func (a *app) table(doc *policy.Document) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	r := checkReportOf(doc, nil)
	services := r.Services
	if len(services) == 0 {
		a.printf("no service: casemated listens nowhere\n")
	} else {
		fmt.Fprintln(w, "SERVICE\tLISTEN\tUSER\tACL\tLIMIT\tPROFILE\tWIDENS")
	}
	for _, s := range services {
		who := s.ACL
		if who == "" {
			who = "nobody"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Listen[0], s.User, who, s.Limit, s.Profile, dash(strings.Join(s.Widens, " ")))
		for _, l := range s.Listen[1:] {
			fmt.Fprintf(w, "\t%s\t\t\t\t\t\n", l)
		}
	}
	a.flush(w, &b)
	a.entries(append(services[:len(services):len(services)], r.Disabled...))
	if len(r.Disabled) > 0 {
		a.printf("\n")
	}
	for i := range r.Disabled {
		name := r.Disabled[i].Name
		a.linef("disabled: %s, at %s\n", name, explain.Line(doc.Origins.Lookup(explain.OffAt(name))))
	}
	a.printf("\ndigest %s\n", doc.Digest)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
