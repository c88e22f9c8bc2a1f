package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"casemate/acl/ban"
	"casemate/policy/control"
	"casemate/policy/explain"
	"casemate/policy/lang"

	"github.com/spf13/cobra"
)

// banFor is how long a ban lasts that nobody gives a time.
const banFor = time.Hour

func (a *app) banCmd() *cobra.Command {
	var lasting string
	var q control.Request
	cmd := &cobra.Command{
		Use:   "ban ADDRESS|PREFIX [SERVICE...]",
		Short: "Refuse an address at once",
		Long: `ban has the running casemated refuse an address, or all of a prefix, from now on: at the
services that are named or, without any, at all of them, whatever their acl says. A client
is refused before any rule is asked, with the reason "ban" in the log, in status and in explain
--live. Where a service has refuse = "silent" the kernel drops it at the SYN as well.

It lasts an hour, or as long as --for says ("90s", "10m", "2h", "7d"; 366d is the most); with
--for 0 until casemate unban. Banned again, an address has the new time. Sessions that are there
go on, but for --end, which ends them as casemate kill does; ban then returns when they have
ended. Of a built-in it ends those of the address alone.

Bans outlive reloads, the broker, casemated and a restart of the host, as far as their file can be
written (/var/lib/casemate/.history/.bans, or in PATH.history beside another control socket); ban
says so where it cannot. There are at most 1024, where one for three services counts as three, and
a prefix of any size as one: prefer prefixes, or an acl for what is to stay. Only root bans; the log has
who asked (asked_uid).

A service with wait = true takes its clients itself, and none of it is held to bans: one that is
named is an error, and for all services ban says which are left out. So are clients without an
address (unix, vsock).

Exit status: 0 it is in force, 1 otherwise, or a session to be ended has not.`,
		Example: `  casemate ban 192.0.2.66
  casemate ban 2001:db8::/48 --for 7d ftp telnet
  casemate ban 192.0.2.0/24 --end`,
		Args: prefixFirst("ban", &q.Prefix),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := lang.Duration(lasting)
			switch {
			case lasting == "0":
				d, err = 0, nil
			case err != nil:
				return fmt.Errorf("ban: --for: %w", err)
			case d <= 0 || d > ban.MaxFor:
				return fmt.Errorf("ban: --for %s: write a time up to 366d, or 0 for one without an end", lasting)
			}
			q.Verb, q.For, q.Services = control.VerbBan, d, args[1:]
			return a.ban(q)
		},
	}
	cmd.Flags().StringVar(&lasting, "for", explain.FormatDuration(banFor), "how long; 0 is until unban")
	cmd.Flags().BoolVar(&q.Ends, "end", false, "end the sessions that it has as well")
	return cmd
}

func (a *app) unbanCmd() *cobra.Command {
	var q control.Request
	return &cobra.Command{
		Use:   "unban ADDRESS|PREFIX [SERVICE...]",
		Short: "Take a ban back",
		Long: `unban takes back the bans of exactly this address or prefix, as casemate bans shows it: those
for the services that are named or, without any, all of them. A wider or a narrower prefix that
is banned stays so; unban says which ones still hold for all of what was named.

Exit status: 0 it is done, 3 there was no such ban, 1 otherwise.`,
		Example: `  casemate unban 192.0.2.66
  casemate unban 2001:db8::/48 ftp`,
		Args: prefixFirst("unban", &q.Prefix),
		RunE: func(_ *cobra.Command, args []string) error {
			q.Verb, q.Services = control.VerbUnban, args[1:]
			return a.unban(q)
		},
	}
}

func (a *app) bansCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "bans",
		Short: "List what operators have banned and drained",
		Long: `bans lists the addresses that casemate ban has shut out and whose time is not over, with the
services that each is for, until when, since when, and the uid of who asked; and the services that
casemate drain keeps new clients from. Members of the group of casemated --operators may ask.`,
		Example: `  casemate bans
  casemate bans -o json | jq -r '.bans[].prefix'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			resp, err := a.ask(control.Request{Verb: control.VerbBans})
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(banReport{FormatVersion: 1, Bans: listed(resp.Bans), Drains: resp.Drains})
			}
			a.bans(resp)
			return nil
		},
	}
}

// prefixFirst checks that the first argument is an address or a prefix, and keeps it.
func prefixFirst(verb string, p *netip.Prefix) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) (err error) {
		if len(args) == 0 {
			return errors.New(verb + ": write an address or a prefix")
		}
		if *p, err = prefixOf(args[0]); err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		return nil
	}
}

// prefixOf reads an address or a canonical prefix.
func prefixOf(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if !strings.Contains(s, "/") {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(s); err == nil {
			p = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		}
		if addr.Zone() != "" {
			return p, fmt.Errorf("%q has a zone, which no ban has: leave %%%s out", s, addr.Zone())
		}
	}
	if err != nil {
		return p, fmt.Errorf("%q is no address and no prefix: write one as 192.0.2.66, 192.0.2.0/24 or 2001:db8::/48", s)
	}
	return p, ban.CheckPrefix(p)
}

// banReport is the JSON of ban, unban and bans.
type banReport struct {
	FormatVersion int `json:"format_version"`
	*failure
	Bans   []ban.Ban               `json:"bans"` // set, taken back, or all
	Drains []ban.Drain             `json:"drains,omitempty"`
	Ended  []control.SessionStatus `json:"ended,omitempty"`  // by --end
	Left   []control.SessionStatus `json:"left,omitempty"`   // did not end
	Still  []ban.Ban               `json:"still,omitempty"`  // hold for it after unban
	Unheld []string                `json:"unheld,omitempty"` // services that no ban holds for
	Unkept string                  `json:"unkept,omitempty"` // why a restart ends it
}

func listed(bans []ban.Ban) []ban.Ban {
	if bans == nil {
		return []ban.Ban{}
	}
	return bans
}

func (a *app) ban(q control.Request) error {
	resp, err := a.ask(q)
	if err != nil {
		return err
	}
	r := banReport{FormatVersion: 1, Bans: listed(resp.Bans), Unheld: resp.Unheld, Unkept: resp.Unkept}
	r.Ended, r.Left, err = a.await(resp.Sessions, false)
	if err != nil {
		return err
	}
	if n := len(r.Left); n > 0 {
		r.failure = &failure{false, fmt.Sprintf("it is banned, and %d of %d sessions have not ended", n, n+len(r.Ended))}
		fmt.Fprintf(a.err, "casemate: %s\n", r.failure.Error)
	}
	if a.json() {
		err = a.printJSON(r)
	} else {
		for _, b := range r.Bans {
			a.linef("banned %s from %s, %s\n", b.Prefix.String(), allOr(b.Service), until(b))
		}
		for _, s := range r.Ended {
			a.linef("ended %d %s %s\n", s.ID, s.Service, dash(s.Client))
		}
		if len(r.Unheld) > 0 {
			fmt.Fprintf(a.err, "casemate: this does not hold for %s, whose programs take their clients themselves (wait = true)\n", oneLine(strings.Join(r.Unheld, ", ")))
		}
		a.tellUnkept(r.Unkept)
	}
	if err == nil && len(r.Left) > 0 {
		err = errReported
	}
	return err
}

// tellUnkept says that what was said ends with casemated's broker.
func (a *app) tellUnkept(why string) {
	if why != "" {
		fmt.Fprintf(a.err, "casemate: it is in force, but ends with casemated's broker: it cannot be written down: %s\n", oneLine(why))
	}
}

func (a *app) unban(q control.Request) error {
	resp, err := a.ask(q)
	if err != nil {
		return err
	}
	if a.json() {
		err = a.printJSON(banReport{FormatVersion: 1, Bans: listed(resp.Bans), Still: resp.Still, Unkept: resp.Unkept})
	} else {
		for _, b := range resp.Bans {
			a.linef("unbanned %s from %s\n", b.Prefix.String(), allOr(b.Service))
		}
		for _, b := range resp.Still {
			fmt.Fprintf(a.err, "casemate: %s is still banned from %s, by %s, %s\n", q.Prefix, oneLine(allOr(b.Service)), b.Prefix, until(b))
		}
		if len(resp.Bans) == 0 {
			fmt.Fprintf(a.err, "casemate: there is no ban of %s%s: casemate bans lists those there are\n", q.Prefix, map[bool]string{true: " from these services"}[len(q.Services) > 0])
		}
		a.tellUnkept(resp.Unkept)
	}
	if err == nil && len(resp.Bans) == 0 {
		err = errNo
	}
	return err
}

// bans prints what is banned and drained.
func (a *app) bans(r *control.Response) {
	if len(r.Bans) == 0 {
		a.printf("nothing is banned\n")
	} else {
		var b bytes.Buffer
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "SOURCE\tSERVICE\tUNTIL\tSINCE\tUID")
		for _, one := range r.Bans {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\n", one.Prefix, oneLine(allOr(one.Service)), strings.TrimPrefix(until(one), "until "), one.Since.UTC().Format(time.RFC3339), one.UID)
		}
		a.flush(w, &b)
	}
	for _, d := range r.Drains {
		a.linef("%s is drained since %s, by uid %d\n", d.Service, d.Since.UTC().Format(time.RFC3339), d.UID)
	}
}

func allOr(service string) string {
	if service == "" {
		return "all services"
	}
	return service
}

func until(b ban.Ban) string {
	if b.Until.IsZero() {
		return "until it is taken back"
	}
	return "until " + b.Until.UTC().Format(time.RFC3339)
}

// bannedNow are the sources that are banned.
func (a *app) bannedNow() (out []cobra.Completion) {
	quiet := a.hushed()
	resp, err := quiet.ask(control.Request{Verb: control.VerbBans})
	if err != nil {
		return nil
	}
	for _, b := range resp.Bans {
		source := b.Prefix.String()
		if b.Prefix.IsSingleIP() {
			source = b.Prefix.Addr().String()
		}
		if !slices.ContainsFunc(out, func(c cobra.Completion) bool { return strings.HasPrefix(c, source+"\t") }) {
			out = append(out, cobra.CompletionWithDesc(source, until(b)))
		}
	}
	return out
}
