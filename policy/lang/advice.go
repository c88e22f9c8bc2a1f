package lang

import (
	"fmt"
	"slices"
	"strings"

	"casemate/acl"
	"casemate/acl/decide"
	"casemate/acl/trace"
	"casemate/listener/address"
	"casemate/policy"
	"casemate/policy/calls"
	"casemate/policy/valid"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"

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
			c.incapable(p)
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
	if !udp || !own || s.Wait { // with wait, rules by name are refused by valid.Check
		return
	}
	if _, err := decide.Compile(&l); err == nil && trace.NeedsNames(&l) {
		c.warn(codeUnasked, c.near("services."+s.Name+".acl"), "name addresses and prefixes: anybody may forge where a datagram is from, and would choose whose DNS is asked while those behind it wait",
			"names are not asked for datagrams: of acl %q, allow rules by name never match and deny rules by name always do", s.ACL)
	}
}

// evadable warns of a rule against names: having none is in the client's hands.
func (c *compiler) evadable(r *acl.Rule, path string) {
	if !trace.Evadable(r) {
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
	if valid.Explained(&policy.Policy{Services: services}, &p.Profile) {
		return
	}
	warn := func(r seccomp.Rule, rng hcl.Range) {
		if why := advise.Perilous(r); why != "" && !slices.Contains(p.Syscalls.Deny, r.Name) {
			c.warn(codePerilous, rng, `say why: because = "..."`, "profile %q allows %s, which %s", p.Name, r.Name, why)
		}
	}
	for _, v := range p.items["syscalls.allow"] {
		warn(seccomp.Rule{Name: v.s}, v.rng)
	}
	for i, r := range p.Syscalls.ByArgument {
		for _, one := range calls.ByArgument(&r) {
			warn(one, c.near(fmt.Sprintf("profiles.%s.syscalls.rules.%d", p.Name, i)))
		}
	}
}

// incapable warns of calls that a profile itself names and the kernel refuses for want of a capability: of what the
// filter lets through there is no record.
func (c *compiler) incapable(p *profile) {
	rules, err := c.filter(&p.Syscalls)
	if err != nil || slices.ContainsFunc(rules, func(r seccomp.Rule) bool { return r.Name == "unshare" }) {
		return // it may make itself a user namespace, in which it has them all
	}
	for _, v := range p.items["syscalls.allow"] {
		need := advise.Capability(v.s)
		if !advise.Always(v.s) || slices.Contains(p.Capabilities, need) || slices.Contains(p.Syscalls.Deny, v.s) {
			continue
		}
		next := "leave it out, and a record says that it is denied"
		if slices.Contains(sandbox.Capabilities, need) {
			next = fmt.Sprintf(`add capabilities = [%q] to the profile, or %s`, need, next)
		}
		c.warn(codeIncapable, v.rng, next, "profile %q allows %s, which the kernel refuses without %s, and no record names that", p.Name, v.s, need)
	}
}

// reach reports the calls with which a profile reaches more than its network
// says. An empty network namespace does not hold the socket that the broker
// handed over, and a list of ports holds plain TCP alone.
func (c *compiler) reach(p *profile) {
	rules, err := c.filter(&p.Syscalls)
	if err != nil {
		return // reported where it is written
	}
	var reaching []string
	next, what := "or deny these calls", "has no network"
	how := "reach it through the socket it is handed"
	switch n := p.Network; {
	case n.Mode == sandbox.NetworkNone:
		reaching = advise.Reach(rules)
		next = hostWay(p, rules, reaching) + ", or deny these calls"
		if len(advise.Reach(rules, "@socket-accept")) == 0 {
			next = `write network { mode = "listener" } and widens = ["network"], or deny these calls`
		}
	case n.Mode == sandbox.NetworkPrivate:
		reaching, what, how = advise.Unlisted(rules), "has a network of its own", "make sockets that it does not hold"
		next = "name the kinds of sockets that it needs in sockets, in place of them"
	case n.Mode == sandbox.NetworkListener:
		reaching, what, how = advise.Reach(rules, "@socket-accept"), "has no network but its listener", "reach more"
		next = hostWay(p, rules, reaching) + ", or deny these calls"
	case !slices.Contains(n.Connect, 0) || !slices.Contains(n.Bind, 0):
		reaching, what = advise.Unlisted(rules), "lists its ports"
		how, next = "make sockets that no list of ports holds", `allow "@socket-client" or "@socket-server" in place of them`
	}
	if len(reaching) == 0 {
		return
	}
	names := make([]string, len(reaching))
	for i, r := range reaching {
		names[i], _, _ = strings.Cut(r, "(")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	c.report(codeReach, c.reachedAt(p, reaching), next, "profile %q %s and allows %s, which %s", p.Name, what, strings.Join(names, ", "), how)
}

// hostWay is all that the host's network takes of a profile, in one step: the ports and
// kinds of sockets that it names bring their calls. Where the profile makes no internet sockets
// its calls may be for unix sockets, which no word of the network block brings them for.
func hostWay(p *profile, rules []seccomp.Rule, reaching []string) string {
	layers := append(slices.Clone(p.Widens), "network")
	because := fmt.Sprintf("because = %q, ", "...")
	calls := func(names ...string) bool {
		return slices.ContainsFunc(reaching, func(r string) bool { name, _, _ := strings.Cut(r, "("); return slices.Contains(names, name) })
	}
	var kinds []string
	if calls("sendto", "sendmsg", "sendmmsg", "socket", "setsockopt") || !calls("connect", "bind", "listen") {
		kinds = append(kinds, `sockets = ["udp"]`)
	}
	if calls("connect", "socket") || len(kinds) > 0 {
		kinds = append(kinds, `connect = ["PORT"] (tcp)`)
	}
	if calls("bind", "listen", "accept", "accept4") || len(kinds) > 0 {
		kinds = append(kinds, `bind = ["PORT"]`)
	}
	inet := fmt.Sprintf(`write %s%s and, in place of the calls, network { mode = "host" } with %s in it`, because, announces(layers), strings.Join(kinds, " or "))
	if calls("bind", "listen", "connect") && !advise.Internet(rules) {
		return fmt.Sprintf(`of TCP or UDP sockets %s; of unix sockets there is no way without the host's network, for the filter does not see of which family a socket is: `+
			`%s%s, network { mode = "host" } and the calls as they are`, inet, because, announces(append(layers, "syscalls")))
	}
	return inet
}

// announces is the widens that announces layers.
func announces(layers []string) string {
	return fmt.Sprintf(`widens = ["%s"]`, strings.Join(slices.Compact(slices.Sorted(slices.Values(layers))), `", "`))
}

// reachedAt is where the profile itself allows one of the calls, or else where
// it gives up the network that its base had for them.
func (c *compiler) reachedAt(p *profile, calls []string) hcl.Range {
	inherited, rules := 0, 0
	if len(p.Base) > 0 {
		if base := c.resolve(p.Base[0]); base != nil {
			inherited, rules = len(base.items["syscalls.allow"]), len(base.Syscalls.ByArgument)
		}
	}
	for _, v := range p.items["syscalls.allow"][inherited:] {
		found, err := c.resolveCalls([]string{v.s}, nil)
		if err == nil && slices.ContainsFunc(found, func(r seccomp.Rule) bool { return slices.Contains(calls, r.String()) }) {
			return v.rng
		}
	}
	for i, r := range p.Syscalls.ByArgument {
		if i >= rules && slices.ContainsFunc(calls, func(call string) bool { return strings.HasPrefix(call, r.Name+"(") }) {
			return c.near(fmt.Sprintf("profiles.%s.syscalls.rules.%d", p.Name, i))
		}
	}
	return c.near("profiles." + p.Name + ".network.mode")
}
