package show

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/trace"
	"casemate/policy"
	"casemate/policy/explain"
)

// Client is what a service comes to for one client.
type Client struct {
	Service string `json:"service"`
	// Decision is as explain has it: Rule counts from 1, -1 is the default, -2 a service without an acl.
	explain.Verdict
	// Source is the network that the per_source numbers of the limit count it in, "" where they count no address.
	Source string `json:"source,omitempty"`
	// Sent is what it is sent and nothing else, where it is denied.
	Sent string `json:"sent,omitempty"`
}

// For gives what of the services of doc applies to the client of q, whose Service is not used: of each acl the deciding
// rule with the patterns of it that the client matches, of each service the listeners that it can come to, and the
// command and variables of the rule that admits it. Of a service that denies it there is the acl alone. Services that no
// such client can come to, and those that are disabled, are left out, and it is an error if none is left. What depends on a name that q does not have is there whole, with NeedsName.
func For(doc *policy.Document, q explain.Query) (*policy.Document, []Client, error) {
	name, err := trace.ParseName(q.Name)
	if err != nil {
		return nil, nil, fmt.Errorf("name: %w", err)
	}
	c := decide.Client{Addr: q.Client.Unmap().WithZone(""), Local: q.Local.Unmap().WithZone(""), Name: name, Peer: q.Peer, At: q.At}.Normal()
	p := *doc.Policy
	p.Services, p.Disabled, p.ACLs = nil, nil, nil
	lists, want := map[string]acl.List{}, map[string]bool{}
	var out []Client
	batch := explain.NewBatch(doc)
	for i := range doc.Policy.Services {
		s := doc.Policy.Services[i]
		if s.Listen = explain.Reached(&s, c); len(s.Listen) == 0 && (len(s.Mux) == 0 || c.Peer != "") {
			continue // tcpmux is a tcp port
		}
		v, err := batch.Decide(s.Name, c)
		if err != nil {
			return nil, nil, err
		}
		list := doc.Policy.ACL(s.ACL)
		if v.Rule > 0 && !v.NeedsName {
			r := &list.Rules[v.Rule-1]
			own := *list
			own.Rules = []acl.Rule{{Verdict: r.Verdict, Name: r.Name, From: patterns(r.From, matching(r.From, c)), To: r.To, During: r.During, Env: r.Env, Command: r.Command}}
			lists[s.ACL] = own
			if r.Verdict == acl.Allow && len(r.Command) > 0 {
				s.Command, s.Argv0 = r.Command, ""
			}
			if r.Verdict == acl.Allow && len(r.Env) > 0 {
				env := maps.Clone(s.Env)
				if env == nil {
					env = map[string]string{}
				}
				maps.Copy(env, r.Env)
				s.Env = env
			}
		} else if list != nil {
			own := *list
			if !v.NeedsName {
				own.Rules = nil
			}
			lists[s.ACL] = own
		}
		want["acl."+s.ACL] = true
		if v.Decision == acl.Deny && !v.NeedsName {
			out = append(out, Client{Service: s.Name, Verdict: v, Sent: s.BannerAccept + s.Banner})
			continue
		}
		for kind, name := range map[string]string{"service": s.Name, "limit": s.Limit, "profile": s.Profile} {
			want[kind+"."+name] = true
		}
		p.Services = append(p.Services, s)
		out = append(out, Client{Service: s.Name, Verdict: v, Source: explain.Source(doc.Policy, &s, c.Addr)})
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("no such client can come to any of these services")
	}
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		p.ACLs = append(p.ACLs, lists[name])
	}
	shown, err := cut(&policy.Document{FormatVersion: doc.FormatVersion, Policy: &p, Origins: moved(doc, out, c)}, want)
	if err != nil {
		return nil, nil, err
	}
	return shown, out, nil
}

// moved are the origins with those of the deciding rules where they stand now, as the first of their lists.
func moved(doc *policy.Document, of []Client, client decide.Client) policy.Origins {
	o := maps.Clone(doc.Origins)
	done := map[string]bool{}
	for _, c := range of {
		s := doc.Policy.Service(c.Service)
		if c.Rule <= 0 || c.NeedsName {
			continue
		}
		rules := "acls." + s.ACL + ".rules."
		from := fmt.Sprintf("%s%d", rules, c.Rule-1)
		r := &doc.Policy.ACL(s.ACL).Rules[c.Rule-1]
		if !done[s.ACL] {
			done[s.ACL] = true
			maps.DeleteFunc(o, func(path, _ string) bool { return strings.HasPrefix(path, rules) })
			o[rules+"0"] = doc.Origins.Lookup(from)
			for _, name := range []string{"to", "during", "command"} {
				o[rules+"0."+name] = doc.Origins.Lookup(from + "." + name)
			}
			for name := range r.Env {
				o[rules+"0.env."+name] = doc.Origins.Lookup(from + ".env." + name)
			}
			for now, before := range matching(r.From, client) {
				o[fmt.Sprintf("%s0.from.%d", rules, now)] = doc.Origins.Lookup(fmt.Sprintf("%s.from.%d", from, before))
			}
		}
		at := "services." + s.Name + "."
		if r.Verdict == acl.Allow && len(r.Command) > 0 {
			for i := range max(len(r.Command), len(s.Command)) {
				o[fmt.Sprintf("%scommand.%d", at, i)] = doc.Origins.Lookup(fmt.Sprintf("%s.command.%d", from, i))
			}
		}
		for name := range r.Env {
			o[at+"env."+name] = doc.Origins.Lookup(from + ".env." + name)
		}
	}
	return o
}

// matching are the indices of the patterns that the client matches.
func matching(from []acl.Pattern, c decide.Client) (out []int) {
	for i, p := range from {
		m, err := decide.Compile(&acl.List{Rules: []acl.Rule{{Verdict: acl.Allow, From: []acl.Pattern{p}}}, Default: acl.Deny})
		if err == nil && m.Decide(c).Verdict == acl.Allow {
			out = append(out, i)
		}
	}
	if len(out) == 0 { // a deny rule that nobody answered
		for i := range from {
			out = append(out, i)
		}
	}
	return out
}

func patterns(from []acl.Pattern, at []int) (out []acl.Pattern) {
	for _, i := range at {
		out = append(out, from[i])
	}
	return out
}
