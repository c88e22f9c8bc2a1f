// Package denied says what would grant a system call that a filter denied. It is for people:
// casemate-worker writes it into records. What runs as root does not link it.
package denied

import (
	"fmt"
	"slices"
	"strings"

	"casemate/policy/calls"
	"casemate/sandbox"
	"casemate/sandbox/seccomp"
	"casemate/sandbox/seccomp/advise"
	"casemate/sandbox/seccomp/launch"
	"casemate/sandbox/seccomp/spoken"
)

// Grant is what to write into a policy so that a profile grants the call, with no more beside
// it than there must be: in one line, as
//
//	profile.own: widens = ["syscalls"], syscalls { allow = ["@identity"] }
//
// which HCL takes apart. What no attribute says, or would say for one kind of socket alone, stands
// last, as a comment (IsNote where there is nothing else). A profile that casemate ships cannot be changed, and is the base of another. "" is
// that no profile can grant it.
func Grant(of *Service, c spoken.Call) string {
	p := &of.Profile
	if p.Name == "" {
		return ""
	}
	open := p.Syscalls
	open.NoWritten = false
	rules, err := calls.Resolve(&open)
	if err != nil {
		return ""
	}
	var lines []string
	taken := takenAsWritten(p, exact(c))
	switch call := exact(c); {
	case !allows(rules, call):
		if lines = grant(p, rules, c); len(lines) > 0 {
			lines = append(lines, further(p, c)...)
		}
	case taken:
	case p.Syscalls.Rules == nil: // Once, below, would have nothing to go by
		if numbered, err := seccomp.Numbered(rules); err == nil && p.Resources.Bounded() && launch.Once(numbered) && c.Name() != "prctl" {
			lines = allow("execve") // it may place its memory where it likes once it may execute anyway
			if slices.Contains(advise.Places, c.Name()) {
				lines = append(lines, "# "+advise.OwnPlaces)
			}
		}
	}
	if taken && (len(lines) > 0 || allows(rules, exact(c))) {
		lines = liftWritten(lines)
	}
	if len(lines) == 0 {
		return ""
	}
	return of.owner() + ": " + strings.Join(append(head(p, lines), lines...), ", ")
}

// takenAsWritten tells whether the profile denies the call for what deny_write_execute says.
func takenAsWritten(p *sandbox.Profile, call seccomp.Rule) bool {
	all, err := seccomp.Normalize([]seccomp.Rule{{Name: call.Name}})
	return err == nil && p.Syscalls.NoWritten && !allows(seccomp.WithoutWritten(all), call)
}

// liftWritten has the lines take that back as well.
func liftWritten(lines []string) []string {
	const block, lift = "syscalls { ", "deny_write_execute = false"
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, block); ok {
			lines[i] = block + lift + ", " + rest
			return lines
		}
	}
	return append([]string{block + lift + " }"}, lines...)
}

// further is what the kernel asks for beside, where a profile does not have it.
func further(p *sandbox.Profile, c spoken.Call) []string {
	switch need := advise.Capability(c.Name()); {
	case need == "" || need == "CAP_NET_BIND_SERVICE" || slices.Contains(p.Capabilities, need):
		return nil // a port is no more than the call
	case slices.Contains(sandbox.Capabilities, need):
		return []string{fmt.Sprintf(`# for what is not its own already the kernel asks for %s too: widens = ["capabilities"], because = "...", capabilities = [%[1]q]`, need)}
	default:
		return []string{fmt.Sprintf("# and then the kernel refuses it for want of %s, which no service gets", need)}
	}
}

// owner is the profile to write it into.
func (of *Service) owner() string {
	if strings.HasPrefix(of.At, "shipped/") {
		return "a profile with base = profile." + of.Profile.Name
	}
	return "profile." + of.Profile.Name
}

// head is what the lines need beside them: their layers in widens, and a reason for the host's network.
func head(p *sandbox.Profile, lines []string) []string {
	widens := slices.Clone(p.Widens)
	host := false
	for _, l := range lines {
		layer, _, _ := strings.Cut(l, " ")
		host = host || layer == "network" && strings.Contains(l, `mode = "host"`)
		if layer == "syscalls" || layer == "network" {
			widens = append(widens, layer)
		}
	}
	var out []string
	if slices.Sort(widens); !strings.HasPrefix(lines[0], "#") {
		out = append(out, fmt.Sprintf(`widens = ["%s"]`, strings.Join(slices.Compact(widens), `", "`)))
	}
	if host && p.Because == "" {
		out = append(out, `because = "..."`)
	}
	return out
}

// exact is the call with its arguments as they are; where they are not known, with any.
func exact(c spoken.Call) seccomp.Rule {
	r := seccomp.Rule{Name: c.Name()}
	for i, v := range c.Args {
		if !c.Blind {
			r.Args = append(r.Args, seccomp.Arg{Index: uint(i), Value: uint32(v)})
		}
	}
	if all, err := seccomp.Normalize([]seccomp.Rule{r}); err == nil && c.Blind {
		return all[0] // of a send, all that a rule may let through
	}
	return r
}

// allows tells whether the rules let a call through, whatever of its arguments is not known.
func allows(rules []seccomp.Rule, call seccomp.Rule) bool {
	if len(call.Args) < len(spoken.Call{}.Args) {
		return seccomp.Cover(rules, call)
	}
	return seccomp.Allows(rules, call)
}

// grant is the lines for a call that the rules do not allow.
func grant(p *sandbox.Profile, rules []seccomp.Rule, c spoken.Call) []string {
	if lines, ok := familyless(p, rules, c); ok {
		return lines
	}
	if lines := network(p, c); lines != nil {
		return lines
	}
	call := exact(c)
	if _, err := seccomp.Numbered([]seccomp.Rule{call}); err != nil {
		return nil // withheld from every service, or MSG_FASTOPEN, which no rule lets through
	}
	if group := narrowest(rules, call); group != "" {
		return append(reached(p, seccomp.GroupRules(group)), without(p, group, call)...)
	}
	if arg, ok := distinct(c); ok {
		one := seccomp.Rule{Name: call.Name, Args: []seccomp.Arg{{Index: uint(arg), Value: uint32(c.Args[arg])}}}
		return append(reached(p, []seccomp.Rule{one}), fmt.Sprintf(`syscalls { rule %q { arg = %d, values = ["%#x"] } }`, call.Name, arg, one.Args[0].Value))
	}
	return append(reached(p, []seccomp.Rule{{Name: call.Name}}), without(p, call.Name, call)...)
}

// reached is the line for the network that rules reach, beyond what the profile has of it.
func reached(p *sandbox.Profile, rules []seccomp.Rule) []string {
	n := &p.Network
	any := func(ports []uint16) bool { return slices.Contains(ports, 0) }
	switch host := n.Mode == sandbox.NetworkHost; {
	case n.Mode == sandbox.NetworkPrivate && len(advise.Unlisted(rules)) == 0, !host && len(advise.Reach(rules)) == 0, host && len(advise.Unlisted(rules)) == 0, host && any(n.Connect) && any(n.Bind):
		return nil
	case !host && len(advise.Reach(rules, "@socket-accept")) == 0:
		if n.Mode == sandbox.NetworkListener {
			return nil
		}
		return []string{`network { mode = "listener" }`}
	case len(advise.Unlisted(rules)) == 0:
		return []string{`network { mode = "host" }`}
	case host:
		return []string{`network { connect = ["any"], bind = ["any"] }`}
	}
	return []string{`network { mode = "host", connect = ["any"], bind = ["any"] }`} // no list of ports holds such sockets
}

// without is the line that allows an entry, or takes away the one that denies it.
func without(p *sandbox.Profile, entry string, call seccomp.Rule) []string {
	deny := slices.DeleteFunc(slices.Clone(p.Syscalls.Deny), func(d string) bool { return d == entry })
	if rules, err := seccomp.Resolve(append(slices.Clone(p.Syscalls.Allow), entry), deny); err == nil && allows(rules, call) {
		return allow(entry)
	}
	for _, d := range p.Syscalls.Deny {
		if rules, err := seccomp.Resolve([]string{d}, nil); err == nil && allows(rules, call) {
			return []string{fmt.Sprintf("# take %q out of syscalls { deny }", d)}
		}
	}
	return nil
}

func allow(entry string) []string { return []string{fmt.Sprintf("syscalls { allow = [%q] }", entry)} }

// maxMore is how many rules a group may bring that a profile does not have: with more, the call alone is less.
const maxMore = 24

// narrowest is the group that allows the call and brings the fewest other rules; "" is none that is
// narrow. Those that are whole profiles are none.
func narrowest(rules []seccomp.Rule, call seccomp.Rule) string {
	best, least := "", maxMore+1
	for _, g := range seccomp.Groups() {
		own := seccomp.GroupRules(g)
		if !allows(own, call) {
			continue
		}
		more := 0
		for _, r := range own {
			if !seccomp.Cover(rules, r) {
				more++
			}
		}
		if more < least {
			best, least = g, more
		}
	}
	return best
}

// distinct is the argument by which groups allow such calls and no others: one value of it is
// less than the call.
func distinct(c spoken.Call) (int, bool) {
	at, ok := c.Main()
	if !ok {
		return 0, false
	}
	for _, g := range seccomp.Groups() {
		for _, r := range seccomp.GroupRules(g) {
			if r.Name == c.Name() && slices.ContainsFunc(r.Args, func(a seccomp.Arg) bool { return a.Index == uint(at) }) {
				return at, true
			}
		}
	}
	return 0, false
}

// network is the lines for the sockets that the network block has words for: with their
// calls they bring the network itself.
func network(p *sandbox.Profile, c spoken.Call) []string {
	host := `mode = "host", `
	if p.Network.Mode == sandbox.NetworkHost {
		host = ""
	}
	if p.Network.Mode == sandbox.NetworkPrivate {
		return private(c)
	}
	of := func(mode, what string) []string { return []string{fmt.Sprintf("network { %s%s }", mode, what)} }
	if call := exact(c); c.Name() == "socket" && !c.Blind {
		for _, w := range []struct{ group, mode, line string }{{"@socket-tcp", host, `connect = ["PORT"]`}, {"@socket-udp", host, `sockets = ["udp"]`},
			{"@socket-unix", "", `sockets = ["unix"]`}, {"@netlink-route", host, `sockets = ["netlink-route"]`}} {
			if allows(seccomp.GroupRules(w.group), call) {
				return of(w.mode, w.line)
			}
		}
	}
	switch c.Name() {
	case "connect":
		return of(host, `connect = ["PORT"]`)
	case "bind", "listen":
		return of(host, `bind = ["PORT"]`)
	}
	return nil
}

// private is network for a profile with a network of its own, in which a word brings all that its sockets are for.
func private(c spoken.Call) []string {
	if call := exact(c); c.Name() == "socket" && !c.Blind {
		for _, w := range []string{"tcp", "udp", "unix", "netlink-route"} {
			group := "@socket-" + w
			if w == "netlink-route" {
				group = "@" + w
			}
			if allows(seccomp.GroupRules(group), call) {
				return []string{fmt.Sprintf("network { sockets = [%q] }", w)}
			}
		}
	}
	return nil
}

// HCL is a Grant as it stands in a profile block, one attribute to a line.
func HCL(grant string) string {
	_, text, _ := strings.Cut(grant, ": ")
	var out strings.Builder
	depth, brackets, quoted := 0, 0, false
	line := func() { out.WriteString("\n" + strings.Repeat("  ", depth)) }
	for i := 0; i < len(text); i++ {
		switch ch := text[i]; {
		case ch == '#' && !quoted:
			out.WriteString(text[i:])
			i = len(text)
		case ch == '"':
			quoted = !quoted
			out.WriteByte(ch)
		case quoted:
			out.WriteByte(ch)
		case ch == '[' || ch == ']':
			brackets += map[byte]int{'[': 1, ']': -1}[ch]
			out.WriteByte(ch)
		case brackets > 0:
			out.WriteByte(ch)
		case ch == '{':
			out.WriteByte(ch)
			depth++
			line()
			i++
		case ch == ' ' && strings.HasPrefix(text[i:], " }"):
			depth--
			line()
			out.WriteByte('}')
			i++
		case ch == ',':
			line()
			i++
		default:
			out.WriteByte(ch)
		}
	}
	return out.String()
}
