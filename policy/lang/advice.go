package lang

import (
	"fmt"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/sandbox/seccomp"

	"github.com/hashicorp/hcl/v2"
)

// advise looks at what is valid and still not what the author can have meant:
// rules that a client gets around at will or that nobody asks a name for, calls
// that no profile has without a reason, and a profile without network that
// reaches it all the same.
func (c *compiler) advise(services []policy.Service) {
	for _, name := range c.order[kindACL] {
		l := c.acls[name]
		for i := range l.Rules {
			c.evadable(&l.Rules[i], fmt.Sprintf("acls.%s.rules.%d", name, i))
		}
	}
	for _, name := range c.order[kindProfile] {
		if p := c.profiles[name]; p != nil { // nil after an error
			c.perilous(p, services)
			c.reach(p)
		}
	}
	for i := range services {
		c.unasked(&services[i])
	}
}

// unasked warns of names in the rules of a datagram service. The broker asks
// none there: a datagram that waits for an answer holds up all behind it.
func (c *compiler) unasked(s *policy.Service) {
	udp := slices.ContainsFunc(s.Listen, func(l address.Listen) bool { return l.Datagram() && !l.Unix() })
	l, own := c.acls[s.ACL]
	if !udp || !own || s.Wait { // with wait, rules of any kind are refused by Validate
		return
	}
	if m, err := acl.Compile(&l); err == nil && m.NeedsNames() {
		c.warn(codeUnasked, c.near("services."+s.Name+".acl"), "name addresses and prefixes",
			"names are not asked for datagrams: of acl %q, allow rules by name never match and deny rules by name always do", s.ACL)
	}
}

// evadable warns of a rule against names: having none is in the client's hands.
func (c *compiler) evadable(r *acl.Rule, path string) {
	if !r.Evadable() {
		return
	}
	list, effect := "from", "denies"
	if r.Verdict == acl.Allow {
		list, effect = "except", "excepts"
	}
	c.warn(codeEvadable, c.near(path+"."+list), fmt.Sprintf(`add "unknown" and "paranoid" to %s, or name addresses`, list),
		"a client that this rule %s by name gets around it by having no confirmed name", effect)
}

// perilous warns of calls that no group has, unless the policy says why. What
// came from a base is reported where it was written.
func (c *compiler) perilous(p *profile, services []policy.Service) {
	if (&policy.Policy{Services: services}).Explained(&p.Profile) {
		return
	}
	warn := func(name string, rng hcl.Range) {
		if why := seccomp.Perilous(name); why != "" && !slices.Contains(p.Syscalls.Deny, name) {
			c.warn(codePerilous, rng, `say why: because = "..."`, "profile %q allows %s, which %s", p.Name, name, why)
		}
	}
	for _, v := range p.items["syscalls.allow"] {
		warn(v.s, v.rng)
	}
	for i, r := range p.Syscalls.Rules {
		warn(r.Name, c.near(fmt.Sprintf("profiles.%s.syscalls.rules.%d", p.Name, i)))
	}
}

// reach reports the calls with which a profile without network reaches it: its
// empty network namespace does not hold the socket that the broker accepted.
// What a shipped base may do (profile.builtin accepts) is left to it.
func (c *compiler) reach(p *profile) {
	if p.Network.Mode != "none" {
		return
	}
	calls := c.reaching(p)
	for _, name := range p.Base {
		if base := c.base.profiles[name]; base != nil && c.blocks[kindProfile][name] == nil {
			shipped := c.reaching(base)
			calls = slices.DeleteFunc(calls, func(r string) bool { return slices.Contains(shipped, r) })
		}
	}
	if len(calls) == 0 {
		return
	}
	names := make([]string, len(calls))
	for i, r := range calls {
		names[i], _, _ = strings.Cut(r, "(")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	c.report(codeReach, c.reachedAt(p, names), `write network = "host" and because = "...", or deny these calls`,
		"profile %q has no network and allows %s, which reach it through the client's socket", p.Name, strings.Join(names, ", "))
}

// reachedAt is where the profile itself allows one of the calls, or else where
// it gives up the network that its base had for them.
func (c *compiler) reachedAt(p *profile, names []string) hcl.Range {
	inherited, rules := 0, 0
	if len(p.Base) > 0 {
		if base := c.resolve(p.Base[0]); base != nil {
			inherited, rules = len(base.items["syscalls.allow"]), len(base.Syscalls.Rules)
		}
	}
	for _, v := range p.items["syscalls.allow"][inherited:] {
		found, err := c.resolveCalls([]string{v.s}, nil)
		if err == nil && slices.ContainsFunc(found, func(r seccomp.Rule) bool { return slices.Contains(names, r.Name) }) {
			return v.rng
		}
	}
	for i, r := range p.Syscalls.Rules {
		if i >= rules && slices.Contains(names, r.Name) {
			return c.near(fmt.Sprintf("profiles.%s.syscalls.rules.%d", p.Name, i))
		}
	}
	return c.near("profiles." + p.Name + ".network.mode")
}

// reaching lists the profile's rules that reach the network. Broken lists are
// reported elsewhere.
func (c *compiler) reaching(p *profile) []string {
	r := c.resolution(p.Syscalls.Allow, p.Syscalls.Deny)
	if r.err != nil {
		return nil
	}
	var own []seccomp.Rule
	for _, r := range p.Syscalls.Rules {
		for _, v := range r.Values {
			own = append(own, seccomp.Rule{Name: r.Name, Args: []seccomp.Arg{{Index: r.Arg, Mask: r.Mask, Value: v}}})
		}
	}
	return slices.Concat(r.reach, seccomp.Reach(own))
}
