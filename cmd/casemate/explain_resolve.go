package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"casemate/acl/decide"
	"casemate/acl/pattern"
	"casemate/cmd/confine"
	"casemate/cmd/confirm"
	"casemate/policy"
	"casemate/policy/explain"

	"github.com/spf13/cobra"
)

// resolveDeadline is how long each question of explain --resolve may take: as long as the broker waits for a name.
const resolveDeadline = 2 * time.Second

// mostResolved is how many addresses of one name are explained.
const mostResolved = 32

// resolverFiles are what a resolver reads; one that is not there is empty to it.
var resolverFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf"}

// resolved is the JSON of explain --resolve: one explanation of each address.
type resolved struct {
	FormatVersion int                    `json:"format_version"`
	Client        string                 `json:"client"` // as it was asked for
	Explanations  []*explain.Explanation `json:"explanations"`
}

// resolving gives explain its --resolve: CLIENT may be a name, and names are looked up, as the names worker does.
func (a *app) resolving(cmd *cobra.Command) *cobra.Command {
	var resolve bool
	f := cmd.Flags()
	f.BoolVar(&resolve, "resolve", false, "look names up: explain each address of CLIENT, with the name that it leads back to")
	args, run, grant := cmd.Args, cmd.RunE, a.grants[cmd]
	cmd.Args = func(c *cobra.Command, list []string) error {
		if !resolve {
			return args(c, list)
		}
		for _, other := range []string{"name", "batch", "hosts-access", "live", "decision"} {
			if f.Changed(other) {
				return fmt.Errorf("explain: --resolve looks names up for CLIENT: leave --%s out", other)
			}
		}
		return cobra.MinimumNArgs(2)(c, list)
	}
	cmd.RunE = func(c *cobra.Command, list []string) error {
		if !resolve {
			return run(c, list)
		}
		at := time.Now()
		if when := f.Lookup("at").Value.String(); when != "" {
			var err error
			if at, err = explain.ParseTime(when); err != nil {
				return err
			}
		}
		expect := f.Lookup("expect").Value.String()
		if expect != "" && expect != "allow" && expect != "deny" {
			return fmt.Errorf("expect %q is not known: write allow or deny", expect)
		}
		return a.explainResolved(&net.Resolver{PreferGo: true}, list, f.Lookup("local").Value.String(), at, expect)
	}
	a.grants[cmd] = func(list []string) confine.Grant {
		g := grant(list)
		if resolve {
			g.Read, g.Connect = append(slices.Clone(g.Read), resolverFiles...), []uint16{53}
		}
		return g
	}
	return cmd
}

// explainResolved explains each address of a client, with the name that it has.
func (a *app) explainResolved(r confirm.Resolver, list []string, local string, at time.Time, expect string) error {
	service, client, paths := list[0], list[1], list[2:]
	addrs, err := addressesOf(r, client)
	if err != nil {
		return err
	}
	var doc *policy.Document
	if len(paths) > 0 {
		if doc, err = a.documentOf(paths, service); err != nil {
			return err
		}
	}
	out := resolved{FormatVersion: 1, Client: client}
	for _, addr := range addrs {
		name := nameOf(r, addr)
		var e *explain.Explanation
		if doc == nil {
			e, err = a.explanation(nil, service, addr.String(), name, local, at, false)
		} else {
			q, qerr := queryOf(addr.String(), name, local, at)
			if qerr != nil {
				return qerr
			}
			q.Service = service
			e, err = explain.Ask(doc, q)
		}
		if err != nil {
			return err
		}
		out.Explanations = append(out.Explanations, e)
	}
	if a.json() {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		for i, e := range out.Explanations {
			if i > 0 {
				a.printf("\n")
			}
			a.explain(e)
		}
	}
	if expect != "" && slices.ContainsFunc(out.Explanations, func(e *explain.Explanation) bool { return string(e.Decision) != expect }) {
		fmt.Fprintf(a.err, "casemate: expected %s\n", expect)
		return errNo
	}
	return nil
}

// addressesOf are the addresses of a client: its own, or those of a host name, in order and each once.
func addressesOf(r confirm.Resolver, client string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(client); err == nil {
		return []netip.Addr{addr.Unmap().WithZone("")}, nil
	}
	host := pattern.Lower(strings.TrimSuffix(client, "."))
	if err := pattern.CheckHost(host); err != nil {
		return nil, fmt.Errorf("client %q is neither an address nor a host name: %w", client, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveDeadline)
	defer cancel()
	asked := host
	if strings.Contains(host, ".") {
		asked += "." // without resolv.conf's search list
	}
	found, err := r.LookupNetIP(ctx, "ip", asked)
	if err != nil {
		return nil, fmt.Errorf("look %q up: %w", host, err)
	}
	var addrs []netip.Addr
	for _, a := range found {
		addrs = append(addrs, a.Unmap().WithZone(""))
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	switch {
	case len(addrs) == 0:
		return nil, fmt.Errorf("look %q up: %w", host, errors.New("it has no address"))
	case len(addrs) > mostResolved:
		return nil, fmt.Errorf("%q has %d addresses, more than %d: ask about one of them", host, len(addrs), mostResolved)
	}
	return addrs, nil
}

// nameOf is the name of an address as --name has it.
func nameOf(r confirm.Resolver, addr netip.Addr) string {
	ctx, cancel := context.WithTimeout(context.Background(), resolveDeadline)
	defer cancel()
	switch n := confirm.Lookup(ctx, r, addr); n.State {
	case decide.Known:
		return n.Host
	case decide.Unknown:
		return "unknown"
	case decide.Paranoid:
		return "paranoid"
	}
	return "no-answer"
}
