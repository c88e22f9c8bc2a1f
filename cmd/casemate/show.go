package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"casemate/cmd/casemate/output"
	"casemate/cmd/confine"
	"casemate/policy"
	"casemate/policy/canon"
	"casemate/policy/explain"
	"casemate/policy/lang"
	"casemate/policy/show"
	"casemate/policy/unit"

	"github.com/spf13/cobra"
)

func (a *app) showCmd() *cobra.Command {
	var client, name, local, when string
	var units bool
	cmd := &cobra.Command{
		Use:   "show [SERVICE...] [PATH...]",
		Short: "Print the effective policy, with where each value comes from",
		Long: `show prints services as they are after defaults, bases of profiles and entries of an
inetd.conf: each as a block of the policy language, with the acl, the limit and the
profile that it has, and on each line the place where that was written, or "default".
Shipped blocks stand there as comments. The text compiles to the same services; a
profile stands on its nearest shipped base.

SERVICE is the name of a service, or acl.NAME, limit.NAME or profile.NAME for a block
alone; without one it is the whole policy. PATH is a file, a directory, a compiled
document, git:REV:PATH for what a commit has, or - for standard input; a directory that is
called as a service may be is written ./NAME. Without a PATH it is the policy that the running casemated has.

Of a compiled document show SERVICE looks at what it shows, and at the digest of the whole;
that the rest of it is sound, casemate check tells.

With --client it is what applies to that client (as of explain, with --name, --local and
--at): the listeners that it can come to, the rule that decides and the patterns of it
that the client matches, its command and variables, the limit. Of a service that denies
the client there is the rule alone.

With -o json it prints the compiled form of what it shows, as compile does: a document
that has its own digest, and that every verb takes. With --client that is the "document"
beside the decisions.

With --unit it prints the systemd units that come nearest to each service, a socket and a
service: with its listeners, command, user, limits and profile, and its acl as
IPAddressAllow= where that says exactly the same. Comments tell what systemd cannot say.

Exit status: 0 shown, 1 could not.`,
		Example: `  casemate show finger /etc/casemate
  casemate show finger /etc/casemate --client 192.0.2.66
  casemate show acl.office site.cm.hcl
  casemate show finger -o json >finger.json
  casemate show finger --unit`,
		RunE: func(_ *cobra.Command, args []string) error {
			if client == "" && name+local+when != "" {
				return errors.New("--name, --local and --at are about a --client")
			}
			if client != "" && units {
				return errors.New("--unit is about all clients: leave --client out")
			}
			names, paths := named(args)
			doc, err := a.namedDocument(names, paths)
			if err != nil {
				return err
			}
			shown, err := show.Select(doc, names)
			if err != nil {
				return notAName(err, names)
			}
			switch {
			case units:
				return a.showUnits(shown, len(names) > 0)
			case client != "":
				at := time.Now()
				if when != "" {
					if at, err = explain.ParseTime(when); err != nil {
						return err
					}
				}
				q, err := queryOf(client, name, local, at)
				if err != nil {
					return err
				}
				return a.showClient(doc.Digest, shown, client, q)
			}
			return a.showDocument(doc, shown)
		},
	}
	a.grants[cmd] = namedGrant
	a.revisions(cmd, "")
	a.formats(cmd)
	f := cmd.Flags()
	f.StringVar(&client, "client", "", "only what applies to the client of that `address`, unix, uid=NUMBER or cid=NUMBER")
	f.StringVar(&name, "name", "", "the client's host name, or unknown, paranoid, no-answer")
	f.StringVar(&local, "local", "", "the local address the client connects to")
	f.StringVar(&when, "at", "", "when the client comes, as 2026-11-26T18:30:00Z (now)")
	f.BoolVar(&units, "unit", false, "print the systemd units that come nearest")
	return cmd
}

// named takes the names of blocks from the paths, which begin at the first word that cannot be a name.
func named(args []string) (names, paths []string) {
	for i, word := range args {
		if !show.Named(word) {
			return args[:i], args[i:]
		}
	}
	return args, nil
}

// namedGrant is the grant of a verb that takes names, and paths behind them.
func namedGrant(args []string) confine.Grant {
	if _, paths := named(args); len(paths) > 0 {
		return reads(paths)
	}
	return confine.Grant{} // the control socket alone
}

// namedDocument is the policy at the paths, or without any the one that the running casemated has. Where that cannot be
// asked, and what was taken for a name is there as a path, the error says so.
func (a *app) namedDocument(names, paths []string) (*policy.Document, error) {
	doc, err := a.documentOf(paths, names...)
	if err == nil || len(paths) > 0 || len(names) == 0 {
		return doc, err
	}
	for i, name := range names {
		if exists(name) {
			return doc, notAName(err, names[:i+1])
		}
	}
	return doc, err
}

// exists tells whether there is something at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// notAName adds to an error about a name that there was no path.
func notAName(err error, names []string) error {
	return fmt.Errorf("%w (a path that reads like a name is written ./%s)", err, names[len(names)-1])
}

// showDocument prints what is shown of a document.
func (a *app) showDocument(whole, shown *policy.Document) error {
	return a.emit(forms{
		output.Text: func(io.Writer) error {
			text, err := lang.EffectivePolicy(shown)
			if err != nil {
				return err
			}
			if shown != whole {
				a.printf("# of the policy %s\n", whole.Digest)
			} else {
				a.printf("# %s\n", whole.Digest)
			}
			a.printf("%s", text)
			return nil
		},
		output.JSON: func(w io.Writer) error {
			b, err := canon.EncodeDocument(shown)
			if err == nil {
				_, err = fmt.Fprintf(w, "%s\n", b)
			}
			return err
		},
	})
}

// clientView is the JSON of show --client.
type clientView struct {
	FormatVersion int              `json:"format_version"`
	Client        string           `json:"client"`
	Digest        string           `json:"digest"` // of the whole policy
	Services      []show.Client    `json:"services"`
	Document      *policy.Document `json:"document"`
}

func (a *app) showClient(digest string, doc *policy.Document, client string, q explain.Query) error {
	shown, services, err := show.For(doc, q)
	if err != nil {
		return err
	}
	return a.emit(forms{
		output.Text: func(io.Writer) error {
			text, err := lang.EffectivePolicy(shown)
			if err != nil {
				return err
			}
			a.printf("# what applies to %s, of the policy %s\n", client, digest)
			for _, c := range services {
				a.printf("# %s: %s\n", c.Service, clientDecided(doc.Policy, &c))
			}
			a.printf("%s", text)
			return nil
		},
		output.JSON: func(w io.Writer) error {
			return writeJSON(w, clientView{1, client, digest, services, shown})
		},
	})
}

// clientDecided tells in one line what becomes of a client.
func clientDecided(p *policy.Policy, c *show.Client) string {
	list := p.Service(c.Service).ACL
	rule := fmt.Sprintf("rule %d of acl %q", c.Rule, list)
	switch {
	case c.RuleName != "":
		rule = fmt.Sprintf("rule %q of acl %q", c.RuleName, list)
	case list == "":
		rule = "it has no acl"
	case c.Rule < 0:
		rule = fmt.Sprintf("the default of acl %q", list)
	}
	where := ""
	if c.Origin != "" && c.Origin != "default" {
		where = " at " + oneLine(explain.Line(c.Origin))
	}
	switch {
	case c.NeedsName:
		return fmt.Sprintf("depends on the client's name (%s%s): ask with --name", rule, where)
	case c.Decision == "allow" && c.Source != "":
		return fmt.Sprintf("allowed (%s%s), counted as %s", rule, where, c.Source)
	case c.Decision == "allow":
		return fmt.Sprintf("allowed (%s%s)", rule, where)
	case c.Sent != "":
		return fmt.Sprintf("denied (%s%s), and sent %q", rule, where, c.Sent)
	}
	return fmt.Sprintf("denied (%s%s)", rule, where)
}

// showUnits prints the units of services; those that systemd cannot have are an error where they were named.
func (a *app) showUnits(doc *policy.Document, chosen bool) error {
	var all []unit.Unit
	for i := range doc.Policy.Services {
		units, err := unit.OfService(doc.Policy, &doc.Policy.Services[i])
		if err != nil && chosen {
			return err
		} else if err != nil {
			fmt.Fprintf(a.err, "casemate: %v\n", err)
		}
		all = append(all, units...)
	}
	if len(all) == 0 {
		return errors.New("there is no service to print: a disabled one has no unit")
	}
	return a.printUnits(all)
}
